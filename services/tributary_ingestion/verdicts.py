"""Packed events and dedup's outcomes -> verdicts, in request order.

This is the hot path: what most verdicts share is written once, and they are put together as bytes. The one rule: what
is joined here parses as the `EventVerdict` it stands for, which a test shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Final

from structlog.contextvars import bind_contextvars

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_domain.claim_records import OUTCOME_RECORD
from tributary_domain.reasons import Reason
from tributary_ingestion.admission import Outcomes
from tributary_ingestion.packed import Packed
from tributary_ingestion.reasons import dedup_reason, to_messages
from tributary_runtime import metrics
from tributary_storage.codec.framing import length_tag, varint, write_time

_ECHOED_CHARACTERS: Final = 256
"""Of an event id that is too long: enough to find it."""

_NAMES: Final = {
    number: metrics.Verdict(name.removeprefix("VERDICT_")) for name, number in verdict_pb2.Verdict.items() if number
}
_ID_TAG: Final = length_tag(EventVerdict.EVENT_ID_FIELD_NUMBER)
_CONVERSION_TAG: Final = length_tag(EventVerdict.CONVERSION_ID_FIELD_NUMBER)
_FIRST_TIME_TAG: Final = length_tag(EventVerdict.FIRST_ACCEPT_TIME_FIELD_NUMBER)
_RECORDS: Final = Struct(f"{OUTCOME_RECORD.size}s")


@dataclass(frozen=True, slots=True)
class Answers:
    """The verdicts on one batch."""

    written: Sequence[bytes]
    """A serialised `EventVerdict` per event, in order."""
    tally: dict[verdict_pb2.Verdict.ValueType, int]
    """How often each verdict was given."""
    warnings: int
    """Told about events that were accepted."""

    def field(self, number: int) -> bytes:
        """Returns them as the repeated field `number` (1 to 15) of a response."""
        tag = length_tag(number)
        return b"".join([part for one in self.written for part in (tag, varint(len(one)), one)])


def decided(packed: Sequence[Packed], outcomes: Outcomes) -> Answers:
    """Returns a verdict per event that dedup decided on."""
    endings: dict[bytes, bytes] = {}
    written, warnings = [], 0
    for one, (record,) in zip(packed, _RECORDS.iter_unpack(outcomes.records), strict=True):
        ending = endings.get(record)
        if ending is None:
            ending = _ending(one, record, outcomes.retry_delay_seconds)
            if record[2] != verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS:  # which says it differently by kind
                endings[record] = ending
        if one.reasons:
            ending += b"".join(map(_write_reason, one.reasons))
            warnings += len(one.reasons) if record[0] == verdict_pb2.VERDICT_ACCEPTED else 0
        written.append(_beginning(one) + ending)
    given = outcomes.records[:: OUTCOME_RECORD.size]
    return Answers(written, {number: given.count(number) for number in _NAMES if number in given}, warnings)


def validated(packed: Sequence[Packed]) -> Answers:
    """Returns a verdict per event of which nothing was stored: VALID where it would be accepted."""
    written = []
    tally: dict[verdict_pb2.Verdict.ValueType, int] = {}
    for one in packed:
        verdict = verdict_pb2.VERDICT_VALID if one.verdict == verdict_pb2.VERDICT_ACCEPTED else one.verdict
        ending = EventVerdict(verdict=verdict, reasons=to_messages(one.reasons)).SerializeToString()
        written.append(_beginning(one) + ending)
        tally[verdict] = tally.get(verdict, 0) + 1
    return Answers(written, tally, 0)


def tell(answers: Answers) -> None:
    """Counts verdicts in metrics, and adds them to the call's line in the log."""
    metrics.REQUEST_EVENTS.record(len(answers.written))
    for number, count in answers.tally.items():
        metrics.EVENTS.add(count, verdict=_NAMES[number])
    if answers.warnings:
        metrics.WARNINGS.add(answers.warnings)
    told = {_NAMES[number].value.lower(): count for number, count in answers.tally.items()}
    bind_contextvars(events=len(answers.written), **told)


def _beginning(packed: Packed) -> bytes:
    """Writes whose verdict it is."""
    event_id = packed.event_id[:_ECHOED_CHARACTERS].encode()
    conversion_id = packed.key.conversion_id
    if not conversion_id:
        return _ID_TAG + varint(len(event_id)) + event_id
    conversion = conversion_id.encode()
    return b"".join((_ID_TAG, varint(len(event_id)), event_id, _CONVERSION_TAG, varint(len(conversion)), conversion))


def _ending(packed: Packed, record: bytes, retry_delay_seconds: float) -> bytes:
    """Writes what dedup said."""
    verdict, code, first_verdict, first_accept_micros = OUTCOME_RECORD.unpack(record)
    kind = None
    if code == verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS:
        kind = AdmittedEvent.FromString(packed.admitted).event.WhichOneof("kind")  # rare: read again
    said = _said(verdict, code, first_verdict, kind, retry_delay_seconds)
    if not first_accept_micros:
        return said
    time = write_time(first_accept_micros)
    return b"".join((said, _FIRST_TIME_TAG, varint(len(time)), time))


@lru_cache(1_024)
def _said(
    verdict: verdict_pb2.Verdict.ValueType,
    code: verdict_pb2.ReasonCode.ValueType,
    first_verdict: verdict_pb2.Verdict.ValueType,
    kind: str | None,
    retry_delay_seconds: float,
) -> bytes:
    """Writes what is the same for many events: all but the time."""
    message = EventVerdict(verdict=verdict, first_verdict=first_verdict)
    if code:
        message.reasons.append(dedup_reason(code, kind))
    if verdict == verdict_pb2.VERDICT_UNDECIDED:
        message.retry_delay.FromMilliseconds(int(retry_delay_seconds * 1000))
    return message.SerializeToString()


@lru_cache(4_096)
def _write_reason(reason: Reason) -> bytes:
    return EventVerdict(reasons=to_messages([reason])).SerializeToString()
