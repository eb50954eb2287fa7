"""Packed events and dedup's outcomes -> verdicts, in request order."""

from collections import Counter
from collections.abc import Iterable, Sequence

from structlog.contextvars import bind_contextvars

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.dedup.v1.dedup_service_pb2 import AdmitOutcome
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_ingestion.intake import Packed
from tributary_ingestion.reasons import dedup_reason, to_messages
from tributary_runtime import metrics

_ECHOED_CHARACTERS = 256
"""Of an event id that is too long: enough to find it."""

_NAMES = {
    number: metrics.Verdict(name.removeprefix("VERDICT_")) for name, number in verdict_pb2.Verdict.items() if number
}


def decided(packed: Sequence[Packed], outcomes: Sequence[AdmitOutcome]) -> list[EventVerdict]:
    """Returns a verdict per event that dedup decided on."""
    return [_decided(one, outcome) for one, outcome in zip(packed, outcomes, strict=True)]


def validated(packed: Sequence[Packed]) -> list[EventVerdict]:
    """Returns a verdict per event of which nothing was stored: VALID where it would be accepted."""
    return [
        EventVerdict(
            event_id=one.event_id[:_ECHOED_CHARACTERS],
            verdict=verdict_pb2.VERDICT_VALID if one.verdict == verdict_pb2.VERDICT_ACCEPTED else one.verdict,
            reasons=to_messages(one.reasons),
            conversion_id=one.key.conversion_id,
        )
        for one in packed
    ]


def _decided(packed: Packed, outcome: AdmitOutcome) -> EventVerdict:
    verdict = EventVerdict(
        event_id=packed.event_id[:_ECHOED_CHARACTERS],
        verdict=outcome.verdict,
        conversion_id=packed.key.conversion_id,
        first_verdict=outcome.first_verdict,
    )
    if outcome.reason_code:
        verdict.reasons.append(_reason(packed, outcome.reason_code))
    if packed.reasons:
        verdict.reasons.extend(to_messages(packed.reasons))
    if outcome.HasField("first_accept_time"):
        verdict.first_accept_time.CopyFrom(outcome.first_accept_time)
    if outcome.HasField("retry_delay"):
        verdict.retry_delay.CopyFrom(outcome.retry_delay)
    return verdict


def _reason(packed: Packed, code: verdict_pb2.ReasonCode.ValueType) -> verdict_pb2.Reason:
    if code != verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS:
        return dedup_reason(code)
    return dedup_reason(code, AdmittedEvent.FromString(packed.admitted).event.WhichOneof("kind"))  # rare: read again


def tell(verdicts: Sequence[EventVerdict]) -> None:
    """Counts verdicts in metrics, and adds them to the call's line in the log."""
    tally = Counter(verdict.verdict for verdict in verdicts)
    metrics.REQUEST_EVENTS.record(len(verdicts))
    for number, count in tally.items():
        metrics.EVENTS.add(count, verdict=_NAMES[number])
    warnings = sum(len(verdict.reasons) for verdict in verdicts if verdict.verdict == verdict_pb2.VERDICT_ACCEPTED)
    if warnings:
        metrics.WARNINGS.add(warnings)
    bind_contextvars(events=len(verdicts), **_fields(tally.items()))


def _fields(tally: Iterable[tuple[verdict_pb2.Verdict.ValueType, int]]) -> dict[str, int]:
    return {_NAMES[number].value.lower(): count for number, count in tally}
