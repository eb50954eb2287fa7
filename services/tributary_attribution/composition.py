"""What credits events, put together: the same parts for the service and for the nightly job.

The one rule: nothing here is left to a default. Who credits events beside the service without knowing of a confirmed
loss, or on a store that its guards refuse, takes an older copy of the store for the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tributary_attribution.attributor import Attributor
from tributary_attribution.consents import ConsentLedger
from tributary_attribution.deferral import Deferral
from tributary_attribution.erasure_plans import again
from tributary_attribution.families import Families
from tributary_attribution.forgotten_touches import ForgottenTouches
from tributary_attribution.linking import Linking
from tributary_attribution.living_events import LivingEvents
from tributary_attribution.models import Models
from tributary_attribution.observing import Observing
from tributary_attribution.open_erasures import reopen
from tributary_attribution.pinned_settings import PinnedSettings
from tributary_attribution.publishing import Publisher
from tributary_attribution.rates import Rates
from tributary_attribution.recalling import Recalling
from tributary_attribution.restoration import Restoration
from tributary_attribution.settings import AttributionServiceSettings
from tributary_attribution.settings_history import SettingsHistory
from tributary_attribution.severed_orders import SeveredOrders
from tributary_attribution.tombstones import Tombstones
from tributary_runtime.assumed_consent import assumed_by_id
from tributary_runtime.clock import Clock
from tributary_runtime.identity_limits import limits_by_id
from tributary_runtime.readiness import Guard
from tributary_runtime.settings import DurabilityMode
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.consent_decisions import ConsentDecisions
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.exchange_rates import ExchangeRates
from tributary_storage.clickhouse.forgotten_events import ForgottenEvents
from tributary_storage.clickhouse.identity_changes import IdentityChanges
from tributary_storage.clickhouse.model_versions import ModelVersions
from tributary_storage.clickhouse.past_families import PastFamilies
from tributary_storage.clickhouse.retained_since import RetainedSince
from tributary_storage.clickhouse.role_marks import PublishedMarks
from tributary_storage.clickhouse.settings_versions import SettingsVersions
from tributary_storage.clickhouse.stripped_events import StrippedEvents
from tributary_storage.clickhouse.unfinished_erasures import UnfinishedErasures
from tributary_storage.clickhouse.writer import ConversionWriter
from tributary_storage.continuity import Continuity
from tributary_storage.redis.click_ids import ClickIds
from tributary_storage.redis.client import Redis
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.conversions import Conversions
from tributary_storage.redis.current_models import CurrentModels
from tributary_storage.redis.deferred import DeferredConversions
from tributary_storage.redis.descriptors import Descriptors
from tributary_storage.redis.durability import Durability
from tributary_storage.redis.epoch import Epoch
from tributary_storage.redis.erasures import Erasures
from tributary_storage.redis.people import People
from tributary_storage.redis.person_paths import PersonPaths


@dataclass(frozen=True, slots=True)
class StateGuards:
    """What must hold of the state store before anything is published into it."""

    guards: list[Guard]
    continuity: Continuity
    """One of them: knows the last confirmed loss."""
    replicas: int
    """How many must have what is published; 0: none."""


def state_guards(
    checks: Redis, epoch: Epoch, clickhouse: ClickHouse, settings: AttributionServiceSettings
) -> StateGuards:
    """Returns them.

    Args:
        checks: The Redis of role state, on connections that are not confirmed.
        epoch: Of it.
        clickhouse: Knows what was published.
        settings: Of the process.
    """
    replicas = settings.attribution_replicas if settings.durability is DurabilityMode.REPLICATED else 0
    continuity = Continuity(
        checks, "state", Conversions(checks, epoch.shards), PublishedMarks(clickhouse, epoch.shards)
    )
    durability = Durability(checks, "state", settings.durability, epoch=epoch, replicas=replicas)
    return StateGuards([durability, continuity], continuity, replicas)


@dataclass(frozen=True, slots=True)
class CreditingParts:
    """What credits events."""

    people: People
    conversions: Conversions
    descriptors: Descriptors
    history: ConversionHistory
    paths: PersonPaths
    current_models: CurrentModels
    model_versions: ModelVersions
    models: Models
    rates: Rates
    settings_history: SettingsHistory
    publisher: Publisher
    deferral: Deferral
    changes: IdentityChanges
    erasures: Erasures
    tombstones: Tombstones
    retained_since: RetainedSince
    attributor: Attributor


def crediting_parts(
    state: Redis,
    epoch: Epoch,
    clickhouse: ClickHouse,
    workspaces: WorkspacesFile,
    lookup: WorkspaceLookup,
    settings: AttributionServiceSettings,
    clock: Clock,
    loss_micros: Callable[[], int],
    knows_everybody: Callable[[], bool],
) -> CreditingParts:
    """Puts them together.

    Args:
        state: The Redis of role state, on connections that its guards confirm.
        epoch: Of it.
        clickhouse: Where events and revisions are.
        workspaces: Knows the workspaces.
        lookup: Likewise, for a batch at once.
        settings: Of the process.
        clock: Says when.
        loss_micros: Tells when the last confirmed loss of the state store was; 0: there was none.
        knows_everybody: Tells whether all is back that the state store ever lost.
    """
    limits_of = limits_by_id(workspaces.find)
    people, conversions = People(state, epoch.shards, limits_of), Conversions(state, epoch.shards)
    descriptors = Descriptors(state, epoch.shards, clock, loss_micros)
    history = ConversionHistory(clickhouse)
    restoration = Restoration(history, conversions, epoch.create_time_micros, loss_micros)
    paths = PersonPaths(state, epoch.shards, settings.attribution_path_delay_seconds)
    current_models, model_versions = CurrentModels(state), ModelVersions(clickhouse)
    models = Models(current_models, model_versions)
    rates = Rates(ExchangeRates(clickhouse), clock)
    settings_history = SettingsHistory(SettingsVersions(clickhouse), workspaces)
    erasures, assumed_of = Erasures(state), assumed_by_id(workspaces.find)
    unfinished = UnfinishedErasures(clickhouse, lambda name: workspaces.get(name).pepper.reveal().encode())
    tombstones = Tombstones(
        erasures,
        ErasureRecords(clickhouse),
        history,
        lambda workspace, token, until: again(workspace, token, until, clock.unix_micros()),
        loss_micros,
        lambda: reopen(erasures, unfinished),
    )
    click_ids = ClickIds(state, epoch.shards, loss_micros, lambda: tombstones.known)
    severed = SeveredOrders(tombstones)
    families = Families(conversions, restoration, PastFamilies(clickhouse), severed, loss_micros)
    retained_since = RetainedSince(clickhouse)
    forgotten = ForgottenTouches(
        *(ForgottenEvents(clickhouse), descriptors, click_ids, tombstones, retained_since.of, assumed_of)
    )
    recalling = Recalling(people, forgotten, clock)
    publisher = Publisher(
        *(people, conversions, descriptors, click_ids, ConversionWriter(clickhouse), restoration, paths, models),
        *(rates, families, PinnedSettings(settings_history, clock), recalling, severed, clock),
    )
    deferral = Deferral(DeferredConversions(state, epoch.shards), conversions, publisher, lookup, clock)
    changes = IdentityChanges(clickhouse)
    linking = Linking(people.ties, changes, limits_of, loss_micros)
    consents = ConsentLedger(Consents(state, epoch.shards), ConsentDecisions(clickhouse), loss_micros)
    attributor = Attributor(
        *(people, linking, Observing(conversions, history), descriptors, click_ids, publisher, deferral, consents),
        *(LivingEvents(tombstones, StrippedEvents(clickhouse), loss_micros), recalling, lookup, clock),
        assumed_of=assumed_of,
        knows_everybody=knows_everybody,
    )
    return CreditingParts(
        people=people,
        conversions=conversions,
        descriptors=descriptors,
        history=history,
        paths=paths,
        current_models=current_models,
        model_versions=model_versions,
        models=models,
        rates=rates,
        settings_history=settings_history,
        publisher=publisher,
        deferral=deferral,
        changes=changes,
        erasures=erasures,
        tombstones=tombstones,
        retained_since=retained_since,
        attributor=attributor,
    )
