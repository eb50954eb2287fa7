"""What a conversion is now and what is published of it -> the revision that says the difference.

Pure: no store is asked and no clock is read, so what is published depends on what is known and on nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from tributary.attribution.v1.conversion_pb2 import (
    ConversionRole,
    ConversionState,
    InheritanceReason,
    InheritedCredit,
    NotCountedReason,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary.attribution.v1.finding_pb2 import FindingKind
from tributary.common.v1.calendar_date_pb2 import CalendarDate
from tributary_attribution.assessment import Assessment, assess
from tributary_attribution.known import MAX_CAUSING_EVENTS, Known
from tributary_attribution.rates import pin_rate
from tributary_attribution.recognising import other_people, recognise
from tributary_attribution.views import Views
from tributary_domain.conversion import ConversionStatus
from tributary_domain.data_driven import DataDrivenModel, with_data_driven
from tributary_domain.revision import ADJUSTED_BY, Cause, Change, compare, next_revision
from tributary_runtime.conversion_settings import Role
from tributary_runtime.errors import PoisonEvent
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.conversion_matches import match_of
from tributary_storage.codec.conversion_revisions import (
    describe_change,
    facts_digest,
    snapshot_of,
)
from tributary_storage.codec.conversion_states import credit_bytes, facts_message
from tributary_storage.codec.counted_paths import pack_conversion_path
from tributary_storage.codec.credit_bytes import Credited, WrittenSources, deltas_bytes, state_bytes
from tributary_storage.codec.reporting_values import add_reporting_value

_INCOMPLETE: Final = FindingKind.FINDING_KIND_INCOMPLETE_JOURNEY
_FIRST_PAYMENT: Final = InheritanceReason.INHERITANCE_REASON_FIRST_PAYMENT
_SAME_ORDER: Final = InheritanceReason.INHERITANCE_REASON_SAME_ORDER
_LEAD_ROOT: Final = InheritanceReason.INHERITANCE_REASON_LEAD_ROOT
_SUPERSEDED: Final = NotCountedReason.NOT_COUNTED_REASON_SUPERSEDED_STAGE
_MERGED: Final = (ConversionStatus.MERGED, ConversionStatus.RETRACTED)
_ROLES: Final = {role: ConversionRole.Value(f"CONVERSION_ROLE_{role.value}") for role in Role}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Revision:
    """What a conversion is from now on."""

    said: ConversionRevised
    """The revision; without models, touches and differences of credit where there is `credit`."""
    content: bytes
    """All of it, serialised."""
    state: bytes
    """The same, without the differences of credit."""
    credit: Credited | None
    """Its credit; None where shares are converted: `said` has all of it then."""

    @property
    def message(self) -> ConversionRevised:
        """The whole revision: parsed, which nobody needs who only stores it."""
        return ConversionRevised.FromString(self.content)


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
        UnknownRatesError: The exchange rates of its day have to be loaded first.
        UnknownSettingsError: The settings that it was credited under have to be loaded first.
        PoisonEvent: A source that earns credit has lost its text.
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

    sources: dict[int, TouchSource] = {}

    def source(descriptor: int) -> TouchSource:
        found = sources.get(descriptor) or assessed.source_of(descriptor)
        if found is None:  # fails closed: a touch without a source would be published under an empty channel
            raise PoisonEvent("SOURCE_TEXT_LOST", "The state store has lost the text of a source that earns credit.")
        sources[descriptor] = found
        return found

    channels = [source(touch.descriptor).channel for touch in assessed.path]
    model = model_for(known, assessed)
    if model is not None:
        attribution = with_data_driven(attribution, assessed.path, channels, model)
    person_id = "" if journey is None else journey.person_id
    if journey is None and published is not None and state.identifiers:
        person_id = published.state.person_id  # the journey has expired, the person has not
    observed = {part.event.event_id: part for part in parts if part.is_observation}
    observations = [observed[observation.event_id] for observation in state.observations]
    told = sorted([*known.told_plainly, *observations], key=lambda part: (part.event_time_micros, part.event_hash))
    match = match_of(told, recognise(known, assessed, views))
    match.person_ids.extend(other_people(known, assessed, told, person_id))
    said = [*parts, *known.valued_plainly]
    message = facts_message(known.conversion_id, said, state, person_id=person_id, settings_version=settings.version)
    definition = workspace.conversion(message.name)
    message.role = _ROLES[definition.role]
    message.secondary = not definition.primary
    if (assessed.is_trimmed and published is None) or (
        published is not None and _INCOMPLETE in published.state.findings
    ):
        message.findings[:] = sorted({*message.findings, _INCOMPLETE})
    if assessed.origin is not None:
        message.inherited_from.CopyFrom(inherited_from(known, assessed.origin))
    if state.status in _MERGED and known.merged_into is not None:
        message.merged_into.CopyFrom(known.merged_into)
    if message.not_counted_reason == _SUPERSEDED:
        message.superseded_by = known.superseded_by
    if known.merged_from is not None:
        message.merged_from.CopyFrom(known.merged_from)
    before = None if published is None else published.state
    quote = pin_rate(message, before, workspace, known.rates, frozenset(known.known_causes))
    facts = ConversionState()
    facts.CopyFrom(message)
    new = snapshot_of(message, attribution, facts_digest(facts, match))
    if counted is not None and (published is None or _may_count(known, assessed)):
        is_new_decision = state.is_counted and message.inherited_from.reason != _FIRST_PAYMENT
        now = pack_conversion_path(workspace.id, message.name, channels if is_new_decision else ())
        if now != known.stored.counted:
            counted.append(now)
    displaced = None if published is None else published.snapshot
    causes = set(known.known_causes)
    if Cause.ERASURE not in causes:  # else that is what became of the family
        causes |= _family_causes(before, message, is_lead=known.is_lead)
    change = compare(displaced, new, causes, known.arrived, _quiet_cause(known), known.released)
    if change is None and known.must_publish:
        change = Change(causes=(Cause.RECONCILIATION,), deltas=(), moves=False)
    if change is None and (published is None or state.is_counted):
        return None
    written = WrittenSources(source)
    credit = credit_bytes(attribution, written, state.conversion_time_micros)
    credited: Credited | None = Credited(attribution, written)
    if message.rate_picos:
        message.MergeFromString(credit)
        add_reporting_value(message, quote)
        credit, credited = b"", None
    if change is None:
        # What is not counted moves no total, but what is shown of it must not hang on the order of arrivals.
        if published is None or _has_same_credit(message, credit, published.state):
            return None
        change = Change(causes=(Cause.LATE_TOUCHPOINT,), deltas=(), moves=False)
    revised = ConversionRevised(workspace=workspace.id, match=match)
    _sign(revised, known)
    describe_change(published, revised, message, change)
    content = revised.SerializeToString(deterministic=True)
    content += state_bytes(message.SerializeToString(deterministic=True) + credit)
    revised.state.CopyFrom(message)
    return Revision(revised, content + deltas_bytes(change.deltas, written), content, credited)


def _may_count(known: Known, assessed: Assessment) -> bool:
    """Tells whether the path of what was published before is counted as it is now.

    What was published and never counted stays out: in another life of the store it may have been. After a loss it was
    not, and is counted as what was published tells, even of a journey that has lost touches.
    """
    return known.recounts if not known.stored.counted else not assessed.is_trimmed


def inherited_from(known: Known, origin: Assessment) -> InheritedCredit:
    """Says whose credit a conversion has.

    Args:
        known: The conversion.
        origin: Whose credit it has.
    """
    return InheritedCredit(
        conversion_id="" if known.origin is None else known.origin.conversion_id,
        conversion_time=timestamp(origin.facts.conversion_time_micros),
        reason=_LEAD_ROOT if known.is_lead else _SAME_ORDER if known.is_one_order else _FIRST_PAYMENT,
    )


def _family_causes(before: ConversionState | None, now: ConversionState, *, is_lead: bool) -> set[Cause]:
    """Returns what of a change comes from the conversion's lead, its subscription, or the same order told otherwise."""
    if before is None:
        return set()
    causes = set()
    was_lead = before.inherited_from.reason == _LEAD_ROOT
    is_one_order = _SAME_ORDER in (before.inherited_from.reason, now.inherited_from.reason)
    if before.inherited_from.conversion_id != now.inherited_from.conversion_id:
        otherwise = Cause.OBSERVATION_MERGED if is_one_order else Cause.INHERITANCE
        causes.add(Cause.STAGE_CHANGE if is_lead or was_lead else otherwise)
    others = [(one.merged_into.conversion_id, one.merged_from.conversion_id) for one in (before, now)]
    if others[0] != others[1]:
        causes.add(Cause.OBSERVATION_MERGED)
    is_superseded = [one.not_counted_reason == _SUPERSEDED for one in (before, now)]
    is_adjusted = [{adjustment.event_id for adjustment in one.adjustments} for one in (before, now)]
    was_lost = before.retracted != now.retracted and is_adjusted[0] == is_adjusted[1]
    if is_superseded[0] != is_superseded[1] or before.superseded_by != now.superseded_by or was_lost:
        causes.add(Cause.STAGE_CHANGE)
    return causes


def model_for(known: Known, assessed: Assessment) -> DataDrivenModel | None:
    """Returns the model that data_driven is credited under: pinned when the conversion was credited first.

    An heir is credited under that of whose credit it has.

    Raises:
        UnknownModelError: It has to be loaded first.
    """
    if known.origin is not None and assessed.origin is not None:
        return model_for(known.origin, assessed.origin)
    models, workspace_id, published = known.models, known.workspace.id, assessed.published
    if models is None:
        return None
    if known.model_version:
        return models.pinned(workspace_id, known.model_version)
    if published is None or Cause.MODEL_CHANGE in known.known_causes:
        name = next((part.event.conversion.name for part in known.parts if part.is_observation), "")
        return models.in_use(workspace_id, name)
    version = published.attribution.model_version
    return models.pinned(workspace_id, version) if version else None


def _quiet_cause(known: Known) -> Cause:
    """Returns the cause of what is no change of value, touches or observations.

    It is an adjustment that arrived and changed no value, such as a foreign one; else the arrival of an event of the
    person, which brought something to recognise them by.
    """
    adjusting = (part for part in known.parts if not part.is_observation and part.event_hash in known.arrived)
    otherwise = Cause.LATE_TOUCHPOINT if known.arrived else Cause.RECONCILIATION
    return next((ADJUSTED_BY[part.adjustment().kind] for part in adjusting), otherwise)


def _has_same_credit(facts: ConversionState, credit: bytes, published: ConversionState) -> bool:
    now = ConversionState(touches=facts.touches, models=facts.models)
    now.MergeFromString(credit)
    return now.touches == published.touches and now.models == published.models


def _sign(revised: ConversionRevised, known: Known) -> None:
    """Gives a revision its number, its times and what caused it."""
    stored = known.stored
    accepted = max((event.accept_time_micros for event in known.causing), default=0)
    revised.revision = next_revision(stored.revision, stored.redis_time_micros, accepted)
    revised.previous_revision = stored.revision
    revised.publish_time.CopyFrom(timestamp(revised.revision))
    reporting, second = known.workspace.reporting, revised.revision // 1_000_000
    day = posting_day(reporting.zone, reporting.books_closed_through, second)
    revised.posting_date.CopyFrom(CalendarDate(year=day.year, month=day.month, day=day.day))
    events = sorted(known.causing)
    revised.causing_event_ids.extend([event.event_id for event in events[:MAX_CAUSING_EVENTS]])
    revised.traceparent = next((event.traceparent for event in events if event.traceparent), "")
    if events:  # what no event caused has no latency either
        revised.cause_accept_time.CopyFrom(timestamp(events[0].accept_time_micros))


@lru_cache(maxsize=1024)
def posting_day(zone: tzinfo, closed_through: date | None, publish_second: int) -> date:
    """Returns the day of publication in the books' zone, or the first open day if that is closed already."""
    day = (_EPOCH + timedelta(seconds=publish_second)).astimezone(zone).date()
    return day if closed_through is None else max(day, closed_through + timedelta(days=1))
