"""Answers why a conversion has the credit it has, and what credit it would have under other settings. Stores nothing.

The one rule: it is computed by the steps that publish (`crediting.assess`), from the same parts and the same journey.
Of a past moment only what had been accepted by then is looked at, beside the revision that was published then; whether
that gives the credit of the revision is said in the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from tributary.attribution.v1.conversion_pb2 import NotCountedReason
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary.attribution.v1.explanation_pb2 import CreditSettings, Explanation
from tributary_attribution.affected import Affected
from tributary_attribution.assessment import Assessment, assess, complete_since_micros
from tributary_attribution.beginnings import Beginnings
from tributary_attribution.credit_settings import core_settings, declared_for, journey_life_seconds
from tributary_attribution.crediting import inherited_from
from tributary_attribution.directory import Directory
from tributary_attribution.explanation_bounds import bound, pending_revisions
from tributary_attribution.explanations import (
    Around,
    data_driven_message,
    fill,
    is_same_credit,
    is_same_data_driven,
)
from tributary_attribution.knowledge_then import KnowledgeThen, Past, PastEvents
from tributary_attribution.known import Known
from tributary_attribution.model_choices import Evidence, ModelChoices, name_of, no_model
from tributary_attribution.publishing import Publisher
from tributary_attribution.repair import Words
from tributary_attribution.simulated_settings import simulated
from tributary_attribution.views import Views
from tributary_domain.event_order import OrderKey
from tributary_domain.explanation import explain
from tributary_domain.journey import Exclusion
from tributary_domain.model_explanation import with_model
from tributary_domain.settings import AttributionSettings
from tributary_domain.windows import exclusions
from tributary_runtime import attribution_settings as declared
from tributary_runtime.errors import NotFoundError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.conversion_states import REASON_OF_STATUS
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.journey_layout import Journey

_COUNTS: Final = NotCountedReason.NOT_COUNTED_REASON_UNSPECIFIED


class Settings(Protocol):
    """What knows the settings that revisions name."""

    async def find(self, workspace: Workspace, version: str) -> declared.AttributionSettings | None:
        """Returns the settings that a version names; None if nobody knows them any more.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


class Explained(NamedTuple):
    """Why a conversion has the credit it has, and what of it ClickHouse may lack."""

    message: Explanation
    pending: list[ConversionRevised]
    """Revisions that were published and not everywhere yet when it was read, oldest first; of the past none."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A conversion with all that is known of it, now or at a moment."""

    known: Known
    views: Views
    entries: Journey | None
    """The journey as it is now; of an heir, that of whose credit it has."""
    unknown: frozenset[int]
    """Event hashes of what was not known at the moment."""


class Explainer:
    """Explains conversions.

    Args:
        publisher: Reads them as for publishing.
        conversions: Keeps their parts.
        history: Knows their revisions.
        events: Knows when what was accepted.
        words: Knows what operators said.
        settings: Knows what the settings of before were.
        directory: Knows the workspaces.
        choices: Knows models of data_driven.
        beginnings: Knows how people began.
        retained_since: Workspace -> since when it has events of people, in microseconds; 0: since ever. May raise
            `StorageUnavailableError`.
    """

    def __init__(
        self,
        publisher: Publisher,
        conversions: Conversions,
        history: Past,
        events: PastEvents,
        words: Words,
        settings: Settings,
        directory: Directory,
        choices: ModelChoices,
        beginnings: Beginnings,
        retained_since: Callable[[str], Awaitable[int]],
    ) -> None:
        self._retained_since = retained_since
        self._publisher = publisher
        self._conversions = conversions
        self._history = history
        self._then = KnowledgeThen(history, events, words, conversions)
        self._settings = settings
        self._directory = directory
        self._choices = choices
        self._beginnings = beginnings

    async def explain(self, workspace_id: str, conversion_id: str, as_of_micros: int | None = None) -> Explained:
        """Says why a conversion has the credit it has.

        Args:
            workspace_id: Whose it is.
            conversion_id: Its id.
            as_of_micros: From what was known at that moment; None: now.

        Raises:
            NotFoundError: There is no such conversion in the workspace, or was none.
            StorageUnavailableError: A store does not answer.
        """
        workspace = self._directory.get(workspace_id)
        if as_of_micros is None:
            read = await self._read(workspace, conversion_id)
        else:
            read = await self._read_at(workspace, conversion_id, as_of_micros)
        assessed = _assess(read, await self._named(read.known))
        message = _message(read, assessed, await self._choices.evidence(read.known, assessed))
        await self._tell_what_is_deleted(message, read.known, assessed)
        if as_of_micros is not None:
            return Explained(bound(message), [])
        await self._tell_beginning(message, read.known, assessed)
        return Explained(bound(message), pending_revisions(read.known.stored.pending.values()))

    async def simulate(self, workspace_id: str, conversion_id: str, asked: CreditSettings) -> Explanation:
        """Says what credit a conversion would have under other settings.

        Raises:
            InvalidRequestError: There are no such settings, or no such model of data_driven.
            NotFoundError: There is no such conversion in the workspace.
            StorageUnavailableError: A store does not answer.
        """
        workspace = self._directory.get(workspace_id)
        tried = [simulated(own, asked) for own in workspace.attribution]
        read = await self._read(workspace, conversion_id, tried)
        time = _assess(read).facts.conversion_time_micros
        settings = core_settings(simulated(declared_for(workspace, time), asked))
        if asked.data_driven_version:
            read = await self._under(read, asked.data_driven_version)
        assessed = _assess(read, settings)
        message = _message(read, assessed, await self._choices.evidence(read.known, assessed))
        await self._tell_what_is_deleted(message, read.known, assessed)
        if read.known.stored.published:
            published = ConversionRevised.FromString(read.known.stored.published).state
            message.published_touches.extend(published.touches)
            message.published_models.extend(published.models)
        return bound(message)

    async def _tell_beginning(self, message: Explanation, known: Known, assessed: Assessment) -> None:
        """Says how the person of a conversion began, and whether this was before it."""
        journey = known.journey
        if journey is None:
            return
        beginning = await self._beginnings.of(known.workspace, journey.tokens, journey)
        message.beginning.CopyFrom(beginning)
        name, time = name_of(known), assessed.facts.conversion_time_micros
        message.returning = any(
            one.conversion_name == name
            and one.conversion_id != known.conversion_id
            and one.event_time.ToMicroseconds() <= time
            for one in beginning.conversions
        )

    async def _tell_what_is_deleted(self, message: Explanation, known: Known, assessed: Assessment) -> None:
        """Says since when there are events of people, where touches of before may have led to a conversion."""
        since = await self._retained_since(known.workspace.id)
        if assessed.conversion.event_time_micros - assessed.settings.history_micros < since:
            message.retained_since_time.CopyFrom(timestamp(since))

    async def _under(self, read: _Read, version: str) -> _Read:
        """Returns a conversion as it would be under another model of data_driven."""
        field = "settings.data_driven_version"
        model = await self._choices.named(read.known.workspace.id, version, field)
        if model.conversion_name != name_of(read.known):
            raise no_model(field, f"It is of conversions named {model.conversion_name!r}.")
        return replace(read, known=replace(read.known, model_version=version))

    async def _named(self, known: Known) -> AttributionSettings | None:
        """Returns the settings that it was credited under, if it was, and if they are known still."""
        version = ConversionRevised.FromString(known.stored.published).state.settings_version
        found = await self._settings.find(known.workspace, version)
        return None if found is None else core_settings(found)

    async def _read(
        self,
        workspace: Workspace,
        conversion_id: str,
        tried: Sequence[declared.AttributionSettings] = (),
        others: Sequence[Affected] = (),
    ) -> _Read:
        """Reads a conversion as it is now, for settings that are tried, and others that its credit was from before."""
        key = conversion_key(workspace.id, conversion_id)
        stored = (await self._conversions.observe({key: {}}, 0))[key]
        if stored.forward:  # the id of an event that turned out to observe an order
            return await self._read(workspace, stored.forward, tried, others)
        is_here = bool(stored.parts or stored.revision)
        if not is_here and conversion_id not in await self._history.newest(workspace.id, [conversion_id]):
            raise _not_found(conversion_id)  # who asks for what never was leaves no trace
        furthest = max((core_settings(own).history_micros for own in tried), default=0)
        one = Affected(workspace, conversion_id, is_exact=True, looks_back_micros=furthest, tried=tried)
        one.take(stored)
        views = await self._publisher.read([one, *others], may_lack_sources=True)
        if one.stored is None or not any(part.is_observation for part in one.parts):
            raise _not_found(conversion_id)
        origin = _origin(one.known())
        return _Read(one.known(), views, origin.journey, frozenset())

    async def _read_at(self, workspace: Workspace, conversion_id: str, moment_micros: int) -> _Read:
        """Reads a conversion as it was known at a moment, with the credit of whom it had that of then."""
        read = await self._read(workspace, conversion_id)
        ids = await self._then.origins(workspace.id, read.known.conversion_id, moment_micros)
        others = [Affected(workspace, one, is_exact=True) for one in ids]
        if others:
            read = await self._read(workspace, read.known.conversion_id, others=others)
        today = {one.conversion_id: one.known() for one in others if any(part.is_observation for part in one.parts)}
        found = await self._then.at(read.known, moment_micros, today)
        if found is None:
            raise _not_found(read.known.conversion_id)
        known, unknown = found
        journey = read.known.journey if known.origin is None else today[_origin(known).conversion_id].journey
        return _Read(known, read.views, journey, unknown)


def _assess(read: _Read, settings: AttributionSettings | None = None) -> Assessment:
    assessed = assess(read.known, read.views, journey_life_seconds([read.known.workspace]), settings)
    if assessed is None:
        raise _not_found(read.known.conversion_id)
    return assessed


def _message(read: _Read, assessed: Assessment, evidence: Evidence) -> Explanation:
    known, facts, journey = read.known, assessed.facts, read.entries
    explained = explain(assessed.entries, assessed.conversion, assessed.settings, assessed.settled)
    published, path = assessed.published, assessed.path
    channels = [(assessed.source_of(touch.descriptor) or TouchSource()).channel for touch in path]
    if evidence.model is not None:
        explained = with_model(explained, path, channels, evidence.model, assessed.settings)
    message = Explanation(
        conversion_id=known.conversion_id,
        person_id="" if known.journey is None else known.journey.person_id,
        conversion_time=timestamp(facts.conversion_time_micros),
        revision=known.stored.revision,
        not_counted_reason=REASON_OF_STATUS.get(facts.status, _COUNTS),
        reproduces_revision=published is not None
        and is_same_credit(published.attribution, explained.attribution)
        and is_same_data_driven(published.attribution, explained.attribution),
        data_driven=data_driven_message(evidence.message, evidence.model, channels),
    )
    if assessed.origin is not None:
        message.inherited_from.CopyFrom(inherited_from(known, assessed.origin))
    if facts.amount_micros is not None:
        message.value.currency_code, message.value.amount_micros = facts.currency_code, facts.amount_micros
    if journey is not None:
        life, now = journey_life_seconds([known.workspace]), known.stored.redis_time_micros
        since = complete_since_micros(journey, life, now)
        if since > 0:
            message.complete_since_time.CopyFrom(timestamp(since))
    around = Around(
        entries=() if journey is None else journey.entries,
        internal=() if journey is None else journey.internal,
        unknown=read.unknown,
        source_of=assessed.source_of,
        passed_over=_passed_over(assessed),
    )
    fill(message, explained, assessed.settings, around)
    message.settings.data_driven_version = explained.attribution.model_version
    return message


def _passed_over(assessed: Assessment) -> dict[OrderKey, Exclusion | None]:
    """Returns what is left of a journey that has lost too much, each entry with why it would earn nothing."""
    left = assessed.passed_over
    reasons = exclusions(left, assessed.conversion, assessed.settings) if left else {}
    return {entry[:2]: reasons.get(entry) for entry in left}


def _origin(known: Known) -> Known:
    """Returns the conversion whose own path a conversion is credited by."""
    return known if known.origin is None else _origin(known.origin)


def _not_found(conversion_id: str) -> NotFoundError:
    message = "There is no such conversion in this workspace, or not any more."
    return NotFoundError(message, resource_type="conversion", resource_name=conversion_id)
