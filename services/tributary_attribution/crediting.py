"""A conversion's parts and its person's journey -> the revision that says what it is now.

Pure: no store is asked and no clock is read, so what is published depends on what is known and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from tributary.attribution.v1.conversion_pb2 import ConversionRole, ConversionState
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary.attribution.v1.finding_pb2 import FindingKind
from tributary.common.v1.calendar_date_pb2 import CalendarDate
from tributary.event.v1.conversion_pb2 import ValueSource
from tributary_attribution.credit_settings import settings_for
from tributary_attribution.models import Models
from tributary_attribution.views import Views, as_direct
from tributary_domain import conversion as domain
from tributary_domain.attribution import Attribution, attribute, kept
from tributary_domain.conversion import ConversionStatus, conversion_facts
from tributary_domain.data_driven import DataDrivenModel, with_data_driven, without_data_driven
from tributary_domain.journey import JourneyTouch, path_start
from tributary_domain.revision import ADJUSTED_BY, Cause, Change, compare, next_revision
from tributary_domain.settings import AttributionSettings
from tributary_domain.windows import CreditableConversion, is_whole
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.conversion_matches import JourneyClick, match_of
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.codec.conversion_revisions import (
    PublishedConversion,
    add_deltas,
    describe_change,
    facts_digest,
    snapshot_of,
)
from tributary_storage.codec.conversion_states import add_credit, facts_message
from tributary_storage.codec.counted_paths import pack_conversion_path
from tributary_storage.redis.conversions import StoredConversion
from tributary_storage.redis.descriptors import digest_of
from tributary_storage.redis.journey_layout import Journey

MAX_CAUSING_EVENTS: Final = 16

_MAY_BE_DEFAULT: Final = (ValueSource.VALUE_SOURCE_DEFAULT, ValueSource.VALUE_SOURCE_RESTATED)
"""What a value may be called whose first was the default."""
_INCOMPLETE: Final = FindingKind.FINDING_KIND_INCOMPLETE_JOURNEY
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD_MICROS: Final = 5 * 60 * 1_000_000


class CausingEvent(NamedTuple):
    """An event that may have changed a conversion; the first two decide which of many are named."""

    accept_time_micros: int
    event_id: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of a conversion."""

    workspace: Workspace
    conversion_id: str
    stored: StoredConversion
    """What is published, and when that was read."""
    parts: Sequence[ConversionPart]
    """In event order."""
    journey: Journey | None
    """Of its person; None if it is nobody's, or the journey has expired."""
    causing: Sequence[CausingEvent]
    """Events that may have changed it, at least the first `MAX_CAUSING_EVENTS`."""
    arrived: Collection[int]
    """Hashes of all of these."""
    known_causes: Collection[Cause]
    """What a comparison of states cannot see."""
    models: Models | None = None
    """The models of data_driven; None: it is not credited."""
    must_publish: bool = False
    """Whether it is published again even if nothing changed."""


@dataclass(frozen=True, slots=True)
class Revision:
    """What a conversion is from now on."""

    message: ConversionRevised
    content: bytes
    """The message, serialised."""
    state: bytes
    """The same, without the differences of credit."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a conversion is, who shares it, and all that this was computed from."""

    facts: domain.ConversionFacts
    published: PublishedConversion | None
    """What is published of it."""
    settings: AttributionSettings
    conversion: CreditableConversion
    entries: Sequence[JourneyTouch]
    """Of the journey, as it sees it, in event order."""
    settled: Sequence[JourneyTouch]
    """Touches of before that the journey has forgotten."""
    clicks: list[JourneyClick]
    """Click ids of the journey."""
    attribution: Attribution
    """Its credit: computed, or as published as far as forgetting alone would change it."""
    is_trimmed: bool
    """Whether the journey has lost what an exact answer needs."""
    path: Sequence[JourneyTouch]
    """The touches of data_driven's window, oldest first."""
    source_of: Callable[[int], TouchSource | None]
    """Descriptor -> source."""


def assess(
    known: Known,
    views: Views,
    journey_life_seconds: int,
    settings: AttributionSettings | None = None,
) -> Assessment | None:
    """Computes what a conversion is now, whatever is published.

    Args:
        known: All that is known of it.
        views: Knows how it sees the journey.
        journey_life_seconds: How long a journey lives after its last event.
        settings: To credit it under; None: those that were effective at its time.

    Returns:
        None where only adjustments are known so far.
    """
    workspace, parts, journey = known.workspace, known.parts, known.journey
    published = PublishedConversion(known.stored.published) if known.stored.published else None
    state = conversion_facts(
        [part.observation() for part in parts if part.is_observation],
        [part.adjustment() for part in parts if not part.is_observation],
        _default_value(known, published),
    )
    if state.anchor is None:
        return None
    time = state.conversion_time_micros

    def known_source(descriptor: int) -> TouchSource | None:
        found = views.source_of(workspace.id, descriptor)
        if found is None and published is not None:
            found = published.sources.get(descriptor)
        return found

    settings = settings or settings_for(workspace, time)
    view = views.of(workspace.id, journey, settings, sees_internal=state.status is ConversionStatus.UNCOUNTED)
    entries, clicks = view.entries, list(view.clicks)
    has_earlier_touch = journey is not None and journey.has_lost_touches
    conversion = _creditable(entries, state, settings, has_earlier_touch=has_earlier_touch)
    is_trimmed = journey is not None and not is_whole(entries, time, settings, journey.trimmed_until_micros)
    settled: Sequence[JourneyTouch] = ()
    path: list[JourneyTouch] = []
    if published is None:
        attribution = attribute(entries, conversion, settings, path=path)
    else:
        forgotten = published.touches
        if is_trimmed:  # what is left tells less than what was published: nothing is earned anew from it
            entries = ()
        else:
            forgotten = [touch for touch in published.touches if touch[:2] not in view.held]
        if forgotten or is_trimmed or is_incomplete(journey, settings, time, journey_life_seconds):
            known_clicks = {click[1:] for click in clicks}
            clicks += [click for click in published.clicks if click[1:] not in known_clicks]
        settled = as_direct(forgotten, settings, known_source)
        computed = attribute(entries, conversion, settings, settled, path)
        attribution = _keep(published, computed, conversion, has_forgotten=bool(forgotten))
    return Assessment(
        facts=state,
        published=published,
        settings=settings,
        conversion=conversion,
        entries=entries,
        settled=settled,
        clicks=clicks,
        attribution=attribution,
        is_trimmed=is_trimmed,
        path=path,
        source_of=known_source,
    )


def revise(
    known: Known,
    views: Views,
    journey_life_seconds: int,
    counted: list[bytes] | None = None,
) -> Revision | None:
    """Says what a conversion is now, if that differs from what is published.

    Args:
        known: All that is known of it.
        views: Knows how it sees the journey.
        journey_life_seconds: How long a journey lives after its last event.
        counted: Receives as what path the conversion is to be counted, where that is to change.

    Returns:
        The revision, with its number; None where nothing changed, or only adjustments are known so far.

    Raises:
        UnknownModelError: The published credit pins a model that has to be loaded first.
    """
    assessed = assess(known, views, journey_life_seconds)
    if assessed is None:
        return None
    workspace, parts, journey = known.workspace, known.parts, known.journey
    published, state, settings, attribution = (
        assessed.published,
        assessed.facts,
        assessed.settings,
        assessed.attribution,
    )

    def source(descriptor: int) -> TouchSource:
        found = assessed.source_of(descriptor)
        if found is None:  # fails closed: a touch without a source would be published under an empty channel
            raise RuntimeError("a touch is credited before its source is read")
        return found

    model, path = _model(known, published), assessed.path
    channels = [source(touch.descriptor).channel for touch in path]
    if model is not None:
        attribution = with_data_driven(attribution, path, channels, model)
    person_id = "" if journey is None else journey.person_id
    if journey is None and published is not None and state.identifiers:
        person_id = published.state.person_id  # the journey has expired, the person has not
    observed = {part.event.event_id: part for part in parts if part.is_observation}
    match = match_of([observed[observation.event_id] for observation in state.observations], assessed.clicks)
    message = facts_message(known.conversion_id, parts, state, person_id=person_id, settings_version=settings.version)
    definition = workspace.conversion(message.name)
    message.role = ConversionRole.Value(f"CONVERSION_ROLE_{definition.role.value}")
    message.secondary = not definition.primary
    if (assessed.is_trimmed and published is None) or (
        published is not None and _INCOMPLETE in published.state.findings
    ):
        message.findings[:] = sorted({*message.findings, _INCOMPLETE})
    facts = ConversionState()
    facts.CopyFrom(message)
    new = snapshot_of(message, attribution, facts_digest(facts, match))
    if counted is not None and not (published is not None and (assessed.is_trimmed or not known.stored.counted)):
        # What was published and never counted stays out: in another life of the store it may have been.
        now = pack_conversion_path(workspace.id, message.name, channels if state.is_counted else ())
        if now != known.stored.counted:
            counted.append(now)
    displaced = None if published is None else published.snapshot
    change = compare(displaced, new, known.known_causes, known.arrived, _quiet_cause(known))
    if change is None and known.must_publish:
        change = Change(causes=(Cause.RECONCILIATION,), deltas=(), moves=False)
    if change is None and (published is None or state.is_counted):
        return None
    add_credit(message, attribution, source, state.conversion_time_micros)
    if change is None:
        # What is not counted moves no total, but what is shown of it must not hang on the order of arrivals.
        if published is None or _has_same_credit(message, published.state):
            return None
        change = Change(causes=(Cause.LATE_TOUCHPOINT,), deltas=(), moves=False)
    revised = ConversionRevised(workspace=workspace.id, state=message, match=match)
    _sign(revised, known)
    describe_change(published, revised, change)
    state_content = revised.SerializeToString(deterministic=True)
    add_deltas(revised, change, source)
    return Revision(revised, revised.SerializeToString(deterministic=True), state_content)


def _model(known: Known, published: PublishedConversion | None) -> DataDrivenModel | None:
    """Returns the model that data_driven is credited under: pinned when the conversion was credited first."""
    models, workspace_id = known.models, known.workspace.id
    if models is None:
        return None
    if published is None or Cause.MODEL_CHANGE in known.known_causes:
        name = next((part.event.conversion.name for part in known.parts if part.is_observation), "")
        return models.in_use(workspace_id, name)
    version = published.attribution.model_version
    return models.pinned(workspace_id, version) if version else None


def _default_value(known: Known, published: PublishedConversion | None) -> domain.DefaultValue | None:
    """Returns what the conversion is worth where no source states a value: pinned when it is first published."""
    if published is not None:
        before = published.state
        if before.value_source not in _MAY_BE_DEFAULT or not before.HasField("original_value"):
            return None
        return domain.DefaultValue(before.original_value.amount_micros, before.original_value.currency_code)
    name = next((part.event.conversion.name for part in known.parts if part.is_observation), "")
    declared = known.workspace.conversion(name).default_value
    return None if declared is None else domain.DefaultValue(declared.amount_micros, declared.currency)


def _quiet_cause(known: Known) -> Cause:
    """Returns the cause of what is no change of value, touches or observations.

    It is an adjustment that arrived and changed no value, such as a foreign one; else the arrival of an event of the
    journey, which brought a click id.
    """
    adjusting = (part for part in known.parts if not part.is_observation and part.event_hash in known.arrived)
    otherwise = Cause.LATE_TOUCHPOINT if known.arrived else Cause.RECONCILIATION
    return next((ADJUSTED_BY[part.adjustment().kind] for part in adjusting), otherwise)


def _has_same_credit(one: ConversionState, other: ConversionState) -> bool:
    return one.touches == other.touches and one.models == other.models


def _keep(
    published: PublishedConversion, computed: Attribution, conversion: CreditableConversion, *, has_forgotten: bool
) -> Attribution:
    """Returns the credit of a conversion that was published before, whatever of its journey is forgotten."""
    if published.touches and not has_forgotten:
        return computed  # all that earned is still there
    before, start = published.snapshot, conversion.path_start
    place = conversion.event_time_micros, conversion.event_hash
    is_moved = (before.conversion_time_micros, before.event_hash) != place
    is_reset = start is not None and any(touch[:2] <= start for touch in published.touches)
    return kept(
        without_data_driven(published.attribution),
        computed,
        is_anonymous=conversion.is_anonymous,
        is_moved=is_moved or is_reset,
    )


def _creditable(
    entries: Sequence[JourneyTouch],
    state: domain.ConversionFacts,
    settings: AttributionSettings,
    *,
    has_earlier_touch: bool,
) -> CreditableConversion:
    anchor = state.anchor
    if anchor is None:
        raise ValueError("a conversion that nobody observed earns nobody anything")
    resetting = {digest_of(name.encode()) for name in settings.path_reset_names}
    return CreditableConversion(
        event_time_micros=anchor.event_time_micros,
        event_hash=anchor.event_hash,
        amount_micros=state.amount_micros or 0,
        session=state.session,
        is_anonymous=not state.identifiers,
        has_earlier_touch=has_earlier_touch,
        path_start=path_start(entries, anchor.order_key, resetting) if resetting else None,
    )


def _sign(revised: ConversionRevised, known: Known) -> None:
    """Gives a revision its number, its times and what caused it."""
    stored = known.stored
    revised.revision = next_revision(stored.revision, stored.redis_time_micros)
    revised.previous_revision = stored.revision
    revised.publish_time.CopyFrom(timestamp(revised.revision))
    revised.posting_date.CopyFrom(_posting_date(known.workspace, revised.revision))
    events = sorted(known.causing)
    revised.causing_event_ids.extend([event.event_id for event in events[:MAX_CAUSING_EVENTS]])
    revised.traceparent = next((event.traceparent for event in events if event.traceparent), "")
    if events:  # what no event caused has no latency either
        revised.cause_accept_time.CopyFrom(timestamp(events[0].accept_time_micros))


def _posting_date(workspace: Workspace, publish_micros: int) -> CalendarDate:
    """Returns the day of publication in the books' zone, or the first open day if that is closed already."""
    reporting = workspace.reporting
    day: date = (_EPOCH + timedelta(microseconds=publish_micros)).astimezone(reporting.zone).date()
    if reporting.books_closed_through is not None:
        day = max(day, reporting.books_closed_through + timedelta(days=1))
    return CalendarDate(year=day.year, month=day.month, day=day.day)


def is_incomplete(
    journey: Journey | None, settings: AttributionSettings, conversion_time_micros: int, journey_life_seconds: int
) -> bool:
    """Tells whether Redis may have forgotten touches of the window: then those that earned credit before still do."""
    if journey is None:
        return True
    return conversion_time_micros - settings.history_micros < complete_since_micros(journey, journey_life_seconds)


def complete_since_micros(journey: Journey, journey_life_seconds: int) -> int:
    """Returns from when on a journey is whole: an older one would still be there, had anything come since then."""
    begun = journey.create_time_micros - journey_life_seconds * 1_000_000 + _AHEAD_MICROS
    return max(begun, journey.trimmed_until_micros)
