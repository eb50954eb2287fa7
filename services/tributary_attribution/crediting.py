"""A conversion's parts and its person's journey -> the revision that says what it is now.

Pure: no store is asked and no clock is read, so what is published depends on what is known and on nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.common.v1.calendar_date_pb2 import CalendarDate
from tributary_attribution.credit_settings import settings_for
from tributary_domain.attribution import attribute
from tributary_domain.conversion import ConversionStatus, conversion_state
from tributary_domain.journey import DIRECT, JourneyTouch, path_start
from tributary_domain.revision import Cause, next_revision
from tributary_domain.settings import AttributionSettings
from tributary_domain.windows import CreditableConversion
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.conversion_matches import match_of
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.codec.conversion_revisions import change_between, describe_change, touch_of
from tributary_storage.codec.conversion_states import state_message
from tributary_storage.codec.touch_sources import SourceTexts, descriptor_of
from tributary_storage.redis.conversions import ConversionRecord
from tributary_storage.redis.descriptors import digest_of
from tributary_storage.redis.journey_layout import Journey

MAX_CAUSING_EVENTS: Final = 16

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD_MICROS: Final = 5 * 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class CausingEvent:
    """An event of the batch that may have changed a conversion."""

    event_id: str
    accept_time_micros: int
    traceparent: str


def revise(
    workspace: Workspace,
    conversion_id: str,
    record: ConversionRecord,
    parts: Sequence[ConversionPart],
    journey: Journey | None,
    texts: Mapping[int, bytes],
    causing: Sequence[CausingEvent],
    known_causes: Collection[Cause],
    journey_life_seconds: int,
) -> ConversionRevised | None:
    """Says what a conversion is now, if that differs from what is published.

    Args:
        workspace: Whose it is.
        conversion_id: Its id.
        record: What is published, and when that was read.
        parts: Its parts, in event order.
        journey: Of its person; None if it is nobody's, or the journey has expired.
        texts: Descriptor -> text, of every descriptor in the journey.
        causing: Events that may have changed it.
        known_causes: What a comparison of states cannot see.
        journey_life_seconds: How long a journey lives after its last event.

    Returns:
        The revision, with its number; None where nothing changed, or only adjustments are known so far.
    """
    state = conversion_state(
        [part.observation() for part in parts if part.is_observation],
        [part.adjustment() for part in parts if not part.is_observation],
    )
    if state.anchor is None:
        return None
    published = ConversionRevised.FromString(record.published) if record.published else None
    settings = settings_for(workspace, state.conversion_time_micros)
    sources = SourceTexts(_texts_of(published, texts))
    is_counted_traffic = state.status is not ConversionStatus.UNCOUNTED
    entries = _entries(journey, settings, sources, sees_internal=not is_counted_traffic)
    if published is not None and _is_incomplete(journey, settings, state.conversion_time_micros, journey_life_seconds):
        known = {entry[:2] for entry in entries}
        entries += [touch for touch in map(touch_of, published.state.touches) if touch[:2] not in known]
    resetting = {digest_of(name.encode()) for name in settings.path_reset_names}
    creditable = CreditableConversion(
        event_time_micros=state.conversion_time_micros,
        event_hash=state.anchor.event_hash,
        amount_micros=state.amount_micros or 0,
        session=state.session,
        is_anonymous=not state.identifiers,
        path_start=path_start(entries, state.anchor.order_key, resetting) if resetting else None,
    )
    by_id = {part.event.event_id: part for part in parts if part.is_observation}
    revised = ConversionRevised(
        workspace=workspace.id,
        state=state_message(
            conversion_id,
            parts,
            state,
            attribute(entries, creditable, settings),
            sources,
            person_id="" if journey is None else journey.person_id,
            settings_version=settings.version,
        ),
        match=match_of([by_id[observation.event_id] for observation in state.observations]),
    )
    if journey is None and published is not None and state.identifiers:
        revised.state.person_id = published.state.person_id  # the journey has expired, the person has not
    change = change_between(published, revised, known_causes)
    if change is None:
        return None
    describe_change(published, revised, change)
    _sign(revised, record, workspace, causing, fallback=parts[0].accept_time_micros)
    return revised


def _sign(
    revised: ConversionRevised,
    record: ConversionRecord,
    workspace: Workspace,
    causing: Sequence[CausingEvent],
    *,
    fallback: int,
) -> None:
    """Gives a revision its number, its times and what caused it."""
    revised.revision = next_revision(record.revision, record.redis_time_micros)
    revised.previous_revision = record.revision
    revised.publish_time.CopyFrom(timestamp(revised.revision))
    revised.posting_date.CopyFrom(_posting_date(workspace, revised.revision))
    events = sorted(causing, key=lambda event: (event.accept_time_micros, event.event_id))
    revised.causing_event_ids.extend([event.event_id for event in events[:MAX_CAUSING_EVENTS]])
    revised.traceparent = next((event.traceparent for event in events if event.traceparent), "")
    revised.cause_accept_time.CopyFrom(timestamp(events[0].accept_time_micros if events else fallback))


def _posting_date(workspace: Workspace, publish_micros: int) -> CalendarDate:
    """Returns the day of publication in the books' zone, or the first open day if that is closed already."""
    reporting = workspace.reporting
    day: date = (_EPOCH + timedelta(microseconds=publish_micros)).astimezone(reporting.zone).date()
    if reporting.books_closed_through is not None:
        day = max(day, reporting.books_closed_through + timedelta(days=1))
    return CalendarDate(year=day.year, month=day.month, day=day.day)


def _texts_of(published: ConversionRevised | None, texts: Mapping[int, bytes]) -> Mapping[int, bytes]:
    """Returns the texts of all sources: of the journey, and of what is published."""
    if published is None:
        return texts
    return {**dict(descriptor_of(touch.source) for touch in published.state.touches), **texts}


def _entries(
    journey: Journey | None, settings: AttributionSettings, sources: SourceTexts, *, sees_internal: bool
) -> list[JourneyTouch]:
    """Returns the journey as a conversion sees it; internal and test traffic only where it is such traffic itself."""
    if journey is None:
        return []
    entries = list(journey.entries)
    if journey.internal and not sees_internal:
        entries = [entry for entry in entries if entry.event_hash not in journey.internal]
    if settings.direct_channels != {"Direct"}:
        direct = {
            entry.descriptor for entry in entries if sources(entry.descriptor).channel in settings.direct_channels
        }
        entries = [
            entry._replace(flags=entry.flags | DIRECT) if entry.descriptor in direct else entry for entry in entries
        ]
    return entries


def _is_incomplete(
    journey: Journey | None, settings: AttributionSettings, conversion_time_micros: int, journey_life_seconds: int
) -> bool:
    """Tells whether Redis may have forgotten touches of the window: then those that earned credit before still do."""
    if journey is None:
        return True
    return conversion_time_micros - settings.history_micros < complete_since_micros(journey, journey_life_seconds)


def complete_since_micros(journey: Journey, journey_life_seconds: int) -> int:
    """Returns from when on a journey is whole: an older one would still be there, had anything come since then."""
    return journey.create_time_micros - journey_life_seconds * 1_000_000 + _AHEAD_MICROS
