"""Attribution on real stores, without a door: admitted events in, published conversions out."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.model_pb2 import Model
from tributary.dedup.v1.admitted_events_pb2 import Admission, AdmittedEvent, AdmittedEvents
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED
from tributary_attribution.affected import Affected
from tributary_attribution.attributor import Attributor
from tributary_attribution.beginnings import Beginnings
from tributary_attribution.consents import ConsentLedger
from tributary_attribution.deferral import SHARE, Deferral
from tributary_attribution.erasing import Erasing
from tributary_attribution.erasure_plans import again
from tributary_attribution.erasure_waits import ErasureWaits
from tributary_attribution.explaining import Explainer
from tributary_attribution.families import Families
from tributary_attribution.forgotten_touches import ForgottenTouches
from tributary_attribution.heirs_of_erased import HeirsOfErased
from tributary_attribution.identities import Identities
from tributary_attribution.journeys import JourneyReader
from tributary_attribution.linking import Linking
from tributary_attribution.living_events import LivingEvents
from tributary_attribution.model_choices import ModelChoices
from tributary_attribution.model_publishing import ModelPublishing
from tributary_attribution.models import Models
from tributary_attribution.names_at_delivery import NamesAtDelivery
from tributary_attribution.observing import Observing
from tributary_attribution.old_evidence import OldEvidence
from tributary_attribution.old_people import OldPeople
from tributary_attribution.open_erasures import OpenErasures, reopen
from tributary_attribution.order_changes import OrderChanges
from tributary_attribution.people_as_paths import PeopleAsPaths
from tributary_attribution.pinned_settings import PinnedSettings
from tributary_attribution.publishing import Publisher
from tributary_attribution.rate_corrections import RateCorrections
from tributary_attribution.rates import Rates
from tributary_attribution.reattribution import Reattribution
from tributary_attribution.rebuild import Rebuild
from tributary_attribution.recalling import Recalling
from tributary_attribution.restoration import Restoration
from tributary_attribution.settings_history import SettingsHistory
from tributary_attribution.severed_orders import SeveredOrders
from tributary_attribution.shared_orders import SharedOrders
from tributary_attribution.stand_in_making import StandInMaking
from tributary_attribution.stand_ins import StandIns
from tributary_attribution.tombstones import Tombstones
from tributary_dedup.named_orders import name_orders
from tributary_domain import ids
from tributary_domain.path_counts import PathCounts
from tributary_domain.revision import Cause
from tributary_runtime.assumed_consent import assumed_by_id
from tributary_runtime.clock import Clock, SystemClock
from tributary_runtime.errors import NotFoundError
from tributary_runtime.identity_limits import limits_by_id
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces import Workspace, Workspaces
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.admission_rows import RecordedAdmission
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.consent_decisions import ConsentDecisions
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.deliveries_of_others import DeliveriesOfOthers
from tributary_storage.clickhouse.erased_deals import ErasedDeals
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.event_rows import EventBatch, LogPlace
from tributary_storage.clickhouse.exchange_rates import ExchangeRates
from tributary_storage.clickhouse.forgotten_events import ForgottenEvents
from tributary_storage.clickhouse.identity_changes import IdentityChanges
from tributary_storage.clickhouse.identity_words import IdentityWords
from tributary_storage.clickhouse.lost_state import LostState
from tributary_storage.clickhouse.model_versions import ModelVersions
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.clickhouse.order_changes import OrderChangeRecords
from tributary_storage.clickhouse.past_events import PastEvents
from tributary_storage.clickhouse.past_families import PastFamilies
from tributary_storage.clickhouse.published_conversions import PublishedConversions
from tributary_storage.clickhouse.recorded_events import RecordedEvents
from tributary_storage.clickhouse.retained_since import RetainedSince
from tributary_storage.clickhouse.settings_versions import SettingsVersions
from tributary_storage.clickhouse.stand_ins import StandInRecords
from tributary_storage.clickhouse.stripped_events import StrippedEvents
from tributary_storage.clickhouse.unfinished_erasures import UnfinishedErasures
from tributary_storage.clickhouse.writer import ConversionWriter, EventWriter
from tributary_storage.redis import keys
from tributary_storage.redis.claims import SCHEMA
from tributary_storage.redis.click_ids import ClickIds
from tributary_storage.redis.client import connect
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.converted_paths import ConvertedPaths
from tributary_storage.redis.current_models import CurrentModels
from tributary_storage.redis.data_keys import DataKeys
from tributary_storage.redis.dead_letters import DeadLetters
from tributary_storage.redis.deferred import DeferredConversions
from tributary_storage.redis.descriptors import Descriptors
from tributary_storage.redis.erased_names import ErasedNames
from tributary_storage.redis.erased_people import ErasedPeople
from tributary_storage.redis.erasures import Erasures
from tributary_storage.redis.journey_layout import META, meta_of
from tributary_storage.redis.log_entry import LogEntry
from tributary_storage.redis.old_paths import OldPaths
from tributary_storage.redis.people import People
from tributary_storage.redis.person_paths import PersonPaths
from tributary_storage.redis.rebuild_progress import RebuildProgress
from tributary_storage.redis.run_leases import RunLeases

SHARDS = 4
DAY = 86_400_000_000
NOON = 1_790_000_000_000_000
"""When things happen, in microseconds, unless a test says otherwise."""

_BESIDE_JOURNEYS = (b":ties", b":consent", b":traces", b":firsts")

Admitted = tuple[str, AdmittedEvent]
"""Letter of the mask, and the event."""


@dataclass
class Events:
    """Makes admitted events of one workspace; say only what matters."""

    workspace: str
    _numbers: Iterable[int] = field(default_factory=itertools.count)

    def touch(
        self,
        *tokens: str,
        at: int = NOON - DAY,
        channel: str = "Paid Search",
        letter: str = "A",
        event_id: str = "",
        **evidence: Any,
    ) -> Admitted:
        event = self._event(event_id, at, tokens)
        event.event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
        named = evidence.pop("source", channel.lower())
        is_direct = channel == "Direct"
        event.channel_evidence.channel = channel
        event.channel_evidence.source = "(direct)" if is_direct else named
        event.channel_evidence.medium = "(none)" if is_direct else "cpc"
        event.channel_evidence.rule = "direct" if is_direct else "utm"
        for family, value in evidence.pop("clicks", {}).items():
            event.channel_evidence.click_ids.add(family=family, value=value)
        for name, value in evidence.items():
            setattr(event.channel_evidence, name, value)
        return letter, event

    def order(
        self,
        *tokens: str,
        at: int = NOON,
        order_id: str = "o-1",
        micros: int | None = 90_000_000,
        letter: str = "A",
        event_id: str = "",
        rank: int = 2,
        click_ids: Mapping[str, str] | None = None,
        page_url: str = "",
        **own: Any,
    ) -> Admitted:
        event = self._event(event_id, at, tokens)
        conversion = event.event.conversion
        conversion.name, conversion.order_id = "purchase", order_id
        if micros is not None:
            conversion.value.currency_code, conversion.value.amount_micros = "EUR", micros
        event.conversion_id = self.conversion_id(order_id)
        event.source_rank = rank
        if click_ids:
            event.event.MergeFrom(Event(click_ids=click_ids))
        if page_url:
            event.event.context.page_url = page_url
        for name, value in own.items():
            setattr(event.event, name, value)
        return letter, event

    def retraction(self, *, at: int = NOON + DAY, order_id: str = "o-1") -> Admitted:
        """Returns a retraction of an order."""
        letter, event = self.refund(0, at=at, order_id=order_id, event_id="retraction")
        event.event.adjustment.reason = AdjustmentReason.ADJUSTMENT_REASON_RETRACTION
        event.event.adjustment.ClearField("amount")
        return letter, event

    def refund(
        self, micros: int, *, at: int = NOON + DAY, order_id: str = "o-1", event_id: str = "", of_event: str = ""
    ) -> Admitted:
        event = self._event(event_id, at, ())
        adjustment = event.event.adjustment
        adjustment.conversion_name, adjustment.order_id = "purchase", order_id
        if of_event:
            adjustment.event_id = of_event
        adjustment.reason = AdjustmentReason.ADJUSTMENT_REASON_REFUND
        adjustment.amount.currency_code, adjustment.amount.amount_micros = "EUR", micros
        event.conversion_id = self.conversion_id(order_id)
        if of_event:
            event.conversion_id = ids.conversion_id(ids.event_digest(self.workspace, of_event))
        return "A", event

    def release(self, quarantined: Admitted, *, merged: bool = False) -> Admitted:
        """Returns what the log carries when a quarantined event is released."""
        event = AdmittedEvent()
        event.CopyFrom(quarantined[1])
        event.decision.quarantine.event_id = event.event.event_id
        event.decision.quarantine.verdict = VERDICT_ACCEPTED
        return "M" if merged else "A", event

    def identify(self, *tokens: str, at: int = NOON + DAY, event_id: str = "") -> Admitted:
        event = self._event(event_id, at, tokens)
        event.event.identify.SetInParent()
        return "A", event

    def conversion_id(self, order_id: str = "o-1") -> str:
        return ids.conversion_id(ids.order_digest(self.workspace, "purchase", "", order_id))

    def _event(self, event_id: str, at: int, tokens: Sequence[str]) -> AdmittedEvent:
        event = AdmittedEvent(identity_tokens=tokens)
        event.event.event_id = event_id or f"e-{next(iter(self._numbers))}"
        event.event.event_time.CopyFrom(timestamp(at))
        return event


def leaving(admitted: Admitted, sealed: bytes = b"", *, denies: str = "", **browser_ids: str) -> Admitted:
    """Gives an event sealed match keys and browser ids; lets it deny a purpose."""
    admitted[1].sealed_match_keys = sealed
    for name, value in browser_ids.items():
        setattr(admitted[1].event.browser_ids, name, value)
    if denies:
        setattr(admitted[1].event.consent, denies, CONSENT_STATE_DENIED)
    return admitted


def entry(
    workspace: str, events: Sequence[Admitted], accept_micros: int = NOON + 2 * DAY, *, backfill: bool = False
) -> LogEntry:
    """Returns the log entry of a batch."""
    admission = Admission(workspace=workspace, events=[event.SerializeToString() for _, event in events])
    admission.accept_context.backfill = backfill
    return LogEntry(
        shard=0,
        lane="live",
        entry_id="1-1",
        schema=SCHEMA,
        payload=AdmittedEvents(admissions=[admission]).SerializeToString(),
        mask="".join(letter for letter, _ in events),
        accept_micros=accept_micros,
        deliveries=1,
    )


async def record(
    clickhouse: ClickHouse, workspace: str, *events: Admitted, accept_micros: int = NOON + 2 * DAY
) -> None:
    """Records events in ClickHouse, as dedup does."""
    batch, batched = EventBatch(), entry(workspace, events, accept_micros)
    place = LogPlace.of(batched.shard, batched.lane, batched.entry_id, batched.accept_micros)
    for position, letter, admission, admitted in batched.events():
        batch.add(place, position, letter, admission.workspace, admitted, admission.accept_context)
    await name_orders(batch, RecordedEvents(clickhouse))
    await EventWriter(clickhouse).write(batch)


class CountedQuestions(ForgottenEvents):
    """Counts what is asked."""

    asked = 0

    async def between(self, *asked: Any) -> list[RecordedAdmission]:
        self.asked += 1
        return await super().between(*asked)


@dataclass
class Attribution:
    """A running attribution, seen from all sides."""

    workspace: Workspace
    attributor: Attributor
    deferral: Deferral
    journeys: JourneyReader
    state: redis.asyncio.Redis
    clickhouse: ClickHouse
    people: People
    identities: Identities
    consents: Consents
    erasures: Erasures
    opened: OpenErasures
    erasing: Erasing
    shared_orders: SharedOrders
    waiting: list[int]
    """When events were accepted that the event log would still hold for somebody."""
    conversions: Conversions
    descriptors: Descriptors
    explainer: Explainer
    reattribution: Reattribution
    settings_history: SettingsHistory
    publisher: Publisher
    paths: PersonPaths
    as_paths: PeopleAsPaths
    models: Models
    model_publishing: ModelPublishing
    rate_corrections: RateCorrections
    rebuild: Rebuild
    old_people: OldPeople
    losses: list[int]
    """When losses of the state store were confirmed; 0: none was."""
    forgotten: CountedQuestions
    """What ClickHouse was asked of what journeys have forgotten."""

    async def learn(self) -> list[Model]:
        """Counts everybody, publishes what that says, and looks at it; returns what is new."""
        await self.count_people()
        published = await self.model_publishing.evaluate(self.workspace)
        await self.models.refresh()
        return published

    async def count_people(self) -> dict[str, PathCounts]:
        """Counts everybody who is marked as a path; returns all counts, by conversion name."""
        while await self.as_paths.fold_some() + await self.as_paths.count_some():
            pass
        return await self.as_paths.counts(self.workspace.id)

    async def credit_again(self, conversion_id: str, cause: Cause) -> None:
        """Credits a conversion again on purpose."""
        one = Affected(self.workspace, conversion_id, known_causes={cause})
        await self.deferral.defer([one], NOON)
        await self.work_off()

    async def handle(self, *events: Admitted, backfill: bool = False, accept_micros: int = NOON + 2 * DAY) -> None:
        """Handles events as one batch."""
        await self.attributor.handle([entry(self.workspace.id, events, accept_micros, backfill=backfill)])

    async def work_off(self) -> int:
        """Credits what was deferred; returns how many conversions were."""
        return await self.deferral.work_off()

    async def record(self, *events: Admitted, accept_micros: int = NOON + 2 * DAY) -> None:
        """Records events in ClickHouse, as dedup does."""
        await record(self.clickhouse, self.workspace.id, *events, accept_micros=accept_micros)

    async def lose_sources(self) -> None:
        """Loses the texts of where touches came from."""
        async for key in self.state.scan_iter(match="trb:*:descriptor:*"):
            await self.state.delete(key)

    async def let_journeys_age(self) -> None:
        """Makes journeys so old that the next event of each takes from it what is older than its life."""
        async for key in self.state.scan_iter(match="trb:*:journey:*"):
            if not key.endswith(_BESIDE_JOURNEYS):
                meta = meta_of(await self.state.hgetall(key))
                await self.state.hset(key, META, meta._replace(look_seconds=1).pack())

    async def let_journeys_expire(self) -> None:
        """Lets journeys expire; what lies beside them lives longer."""
        async for key in self.state.scan_iter(match="trb:*:journey:*"):
            if not key.endswith(_BESIDE_JOURNEYS):
                await self.state.delete(key)

    async def lose_state(self) -> None:
        """Loses what the state store knows of people, journeys and conversions."""
        for what in ("journey", "identifier", "conversion"):
            async for key in self.state.scan_iter(match=f"trb:*:{what}:*"):
                await self.state.delete(key)

    async def published(self, conversion_id: str) -> ConversionRevised | None:
        """Returns the newest revision of a conversion in the log; checks that it is what is published."""
        key = conversion_key(self.workspace.id, conversion_id)
        stored = (await self.conversions.observe({key: {}}, 0))[key]
        chain = [revised for revised in await self.logged() if revised.state.conversion_id == conversion_id]
        if not chain:
            assert not stored.published
            return None
        published = ConversionRevised.FromString(stored.published)
        newest = max(chain, key=lambda revised: revised.revision)
        assert (published.revision, published.state) == (newest.revision, newest.state)
        return newest

    async def logged(self) -> list[ConversionRevised]:
        """Returns the conversion log, oldest first within a shard."""
        found = []
        for shard in range(SHARDS):
            for _, fields in await self.state.xrange(keys.conversion_log(shard)):
                found.append(ConversionRevised.FromString(fields[b"revised"]))
        return found

    async def stored(self, columns: str) -> list[tuple[Any, ...]]:
        """Returns the newest rows of the workspace's conversions."""
        return await self.clickhouse.execute(
            f"SELECT {columns} FROM conversions FINAL"  # noqa: S608 - columns of the test
            " WHERE workspace = %(w)s ORDER BY conversion_time, conversion_id",
            {"w": self.workspace.id},
        )

    async def stored_revisions(self, conversion_id: str) -> list[int]:
        """Returns the revisions of a conversion in ClickHouse, oldest first."""
        rows = await self.clickhouse.execute(
            "SELECT DISTINCT revision FROM conversion_revisions FINAL"
            " WHERE workspace = %(w)s AND conversion_id = %(c)s ORDER BY revision",
            {"w": self.workspace.id, "c": conversion_id},
        )
        return [row[0] for row in rows]


@asynccontextmanager
async def running_attribution(
    redis_url: str,
    clickhouse_url: str,
    workspace_id: str,
    *,
    descriptors_as: type[Descriptors] = Descriptors,
    conversions_as: type[Conversions] = Conversions,
    epoch_micros: int = 0,
    loss_micros: int = 0,
    history_as: type[ConversionHistory] = ConversionHistory,
    lookup: WorkspaceLookup | None = None,
    share: int = SHARE,
    clock: Clock | None = None,
    delivery_seconds: float = 0,
    **settings: Any,
) -> AsyncIterator[Attribution]:
    """Puts an attribution together as its `__main__` does.

    Args:
        redis_url: Of the role state.
        clickhouse_url: Migrated.
        workspace_id: The one workspace it knows.
        descriptors_as: What keeps the texts of sources.
        conversions_as: What keeps parts and published states.
        epoch_micros: When the state store was created.
        loss_micros: When a loss of it was confirmed.
        history_as: What knows of conversions beside it.
        lookup: Knows others instead.
        share: How much of one person's journey a batch looks at.
        clock: Tells another time.
        delivery_seconds: How long an erasure waits for delivery (`forgetting`).
        settings: Whatever else `workspaces.yaml` would say of it.
    """
    workspace = Workspace.model_validate({"id": workspace_id, "pepper": {"value": "pepper"}, **settings})
    async with (
        connect(redis_url, name="tests") as state,
        clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse,
    ):
        clock, losses = clock or SystemClock(), [loss_micros]
        limits_of = limits_by_id(lambda _: workspace)
        people, conversions = People(state, SHARDS, limits_of), conversions_as(state, SHARDS)
        descriptors = descriptors_as(state, SHARDS, clock, lambda: losses[-1])

        class Directory:
            current = Workspaces(workspaces=(workspace,))

            def find(self, wanted: str) -> Workspace | None:
                return workspace if wanted == workspace.id else None

            async def refresh(self) -> None:
                pass

            def get(self, wanted: str) -> Workspace:
                found = self.find(wanted)
                if found is None:
                    raise NotFoundError("no such workspace", resource_type="workspace", resource_name=wanted)
                return found

        directory = Directory()
        history = history_as(clickhouse)
        observing = Observing(conversions, history)
        restoration = Restoration(history, conversions, epoch_micros, lambda: losses[-1])
        writer = ConversionWriter(clickhouse)
        known = lookup or WorkspaceLookup(directory, clock, 0)
        paths = PersonPaths(state, SHARDS, 0)
        current, versions = CurrentModels(state), ModelVersions(clickhouse)
        models = Models(current, versions)
        rates = Rates(ExchangeRates(clickhouse), clock)
        settings_history = SettingsHistory(SettingsVersions(clickhouse), directory)
        erasures, records = Erasures(state), ErasureRecords(clickhouse)
        unfinished = UnfinishedErasures(clickhouse, lambda name: directory.get(name).pepper.reveal().encode())
        tombstones = Tombstones(
            *(erasures, records, history, lambda *who: again(*who, clock.unix_micros())),
            *(lambda: losses[-1], lambda: reopen(erasures, unfinished)),
        )
        click_ids = ClickIds(state, SHARDS, lambda: losses[-1], lambda: tombstones.known)
        opened = OpenErasures(erasures, unfinished, tombstones.refresh, clock)
        severed = SeveredOrders(tombstones)
        families = Families(conversions, restoration, PastFamilies(clickhouse), severed, lambda: losses[-1])
        assumed_of = assumed_by_id(directory.find)
        forgotten, retained_since = CountedQuestions(clickhouse), RetainedSince(clickhouse)
        touches = ForgottenTouches(forgotten, descriptors, click_ids, tombstones, retained_since.newest, assumed_of)
        recalling = Recalling(people, touches, clock)
        publisher = Publisher(
            *(people, conversions, descriptors, click_ids, writer, restoration, paths, models, rates, families),
            *(PinnedSettings(settings_history, clock), recalling, severed, clock),
        )
        deferral = Deferral(DeferredConversions(state, SHARDS), conversions, publisher, known, clock, share)
        linking = Linking(people.ties, IdentityChanges(clickhouse), limits_of, lambda: losses[-1])
        consents = Consents(state, SHARDS)
        keeping = ConsentLedger(consents, ConsentDecisions(clickhouse), lambda: losses[-1])
        waiting: list[int] = []

        async def oldest_waiting() -> int | None:
            return min(waiting, default=None)

        changes = OrderChanges(conversions, OrderChangeRecords(clickhouse))
        shared_orders = SharedOrders(conversions, records, directory)
        of_stand_ins = (conversions, publisher, StandInRecords(clickhouse), changes, directory, clock)
        making, stand_ins = StandInMaking(*of_stand_ins), StandIns(*of_stand_ins)
        erasing = Erasing(
            *(
                people,
                erasures,
                ErasedPeople(state, SHARDS),
                opened,
                records,
                DataKeys(state, SHARDS),
                paths,
                conversions,
            ),
            making,
            stand_ins,
            HeirsOfErased(StandInRecords(clickhouse), DeliveriesOfOthers(clickhouse)),
            shared_orders,
            ErasedDeals(clickhouse, lambda name: directory.get(name).pepper.reveal().encode()),
            DeadLetters(state, state, SHARDS),
            NamesAtDelivery(ErasedNames(state), opened, making, patience_seconds=delivery_seconds),
            *(directory, clock),
            ErasureWaits(oldest_waiting, RunLeases(state)),
            grace_seconds=0,
        )
        attributor = Attributor(
            *(
                people,
                linking,
                observing,
                descriptors,
                click_ids,
                publisher,
                deferral,
                keeping,
                LivingEvents(tombstones, StrippedEvents(clickhouse), lambda: losses[-1]),
                recalling,
                known,
                clock,
            ),
            assumed_of=assumed_of,
            knows_everybody=lambda: rebuild.is_whole(),
        )
        converted = ConvertedPaths(state, SHARDS)
        as_paths = PeopleAsPaths(paths, converted, people, conversions, descriptors, known, clock)
        beginnings = Beginnings(people, conversions, descriptors, history)
        journeys = JourneyReader(people, conversions, descriptors, directory, beginnings, clock)
        choices = ModelChoices(models, versions)
        explainer = Explainer(
            *(publisher, conversions, history, PastEvents(clickhouse), IdentityWords(clickhouse)),
            *(settings_history, directory, choices, beginnings, retained_since.newest),
        )
        reattribution = Reattribution(publisher, PublishedConversions(clickhouse), directory, choices)
        identities = Identities(
            *(people, beginnings, IdentityChanges(clickhouse), IdentityWords(clickhouse)),
            *(attributor.relink, directory, clock),
        )
        old_people = OldPeople(
            *(LostState(clickhouse), PastEvents(clickhouse), IdentityWords(clickhouse), consents),
            assumed_by_id(directory.find),
        )
        rebuild = Rebuild(
            RebuildProgress(state),
            LostState(clickhouse),
            IdentityWords(clickhouse),
            attributor,
            publisher,
            converted,
            paths,
            current,
            versions,
            OldEvidence(
                *(LostState(clickhouse), history, old_people, conversions, OldPaths(state, SHARDS)),
                settings_history,
            ),
            directory,
            clock,
            lambda: losses[-1],
        )
        yield Attribution(
            workspace=workspace,
            attributor=attributor,
            deferral=deferral,
            journeys=journeys,
            state=state,
            clickhouse=clickhouse,
            people=people,
            identities=identities,
            consents=consents,
            erasures=erasures,
            opened=opened,
            erasing=erasing,
            shared_orders=shared_orders,
            waiting=waiting,
            conversions=conversions,
            descriptors=descriptors,
            explainer=explainer,
            reattribution=reattribution,
            settings_history=settings_history,
            publisher=publisher,
            paths=paths,
            as_paths=as_paths,
            models=models,
            model_publishing=ModelPublishing(
                as_paths, current, versions, known_workspaces(workspace), clock, 1, rebuild.is_whole
            ),
            rate_corrections=RateCorrections(
                ExchangeRates(clickhouse), rates, deferral, known_workspaces(workspace), clock
            ),
            rebuild=rebuild,
            old_people=old_people,
            losses=losses,
            forgotten=forgotten,
        )


@dataclass
class KnownWorkspaces:
    """What a file of workspaces says."""

    current: Workspaces


def known_workspaces(*workspaces: Workspace) -> KnownWorkspaces:
    """Returns what a file with these workspaces would say."""
    return KnownWorkspaces(Workspaces(workspaces=workspaces))
