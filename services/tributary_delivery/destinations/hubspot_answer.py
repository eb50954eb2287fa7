"""What HubSpot's answers mean: 207 names what failed by the trace id that the request gave it, which is its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, Final

from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import CONFIG, OK, PERMANENT, REAUTH, RETRY, SPLIT, THROTTLED, Outcome
from tributary_delivery.destinations.readings import field_names, mapping_of, number_of, objects_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_NO_CONTENT, _PARTLY = 204, 207
_TRACE: Final = "objectWriteTraceId"
_LOCKED: Final = (423, 477)
"""For now: nothing was done."""
_CLASSES: Final = {400: SPLIT, 401: REAUTH, 409: SPLIT, 429: THROTTLED, **dict.fromkeys(_LOCKED, RETRY)}
_DAILY: Final = "DAILY"
_EMAIL: Final = "email"


def classify(answer: Answer, events: int, zone: tzinfo = UTC) -> Verdict:
    """Tells what became of the events of a request.

    Success names every object that was written. Where it names none, or fewer, nobody knows what was: they are sent
    again, for an object is what it is told last.

    Args:
        answer: To the request.
        events: How many were in it.
        zone: Of the account, whose daily limit ends at midnight there.
    """
    verdict = _classify(answer, events, zone)
    if answer.status in (_NO_CONTENT, _PARTLY) or verdict.rows or not verdict.whole.is_ok:
        return verdict
    body = mapping_of(answer.body)
    written = len(list(objects_of(body.get("results"))))
    if written >= events:
        return verdict
    request_id, why = text_of(body.get("correlationId")), f"HTTP {answer.status} names {written} of {events} objects"
    if written:
        return Verdict(Outcome(SPLIT, answer.status, why, request_id=request_id))
    return Verdict(outcome_of(RETRY, answer, why, request_id, is_answer=False))


def _classify(answer: Answer, events: int, zone: tzinfo) -> Verdict:
    body = mapping_of(answer.body)
    request_id = text_of(body.get("correlationId"))
    if answer.status in _CLASSES:
        policy = text_of(body.get("policyName"))
        why = f"HTTP {answer.status} {text_of(body.get('category')) or policy}".rstrip()
        wait = _until_midnight(answer.now_seconds, zone) if policy == _DAILY else 0.0
        is_locked = answer.status in _LOCKED
        return Verdict(outcome_of(_CLASSES[answer.status], answer, why, request_id, wait=wait, is_untaken=is_locked))
    if 200 <= answer.status < 300 and answer.status != _NO_CONTENT and not isinstance(answer.body, Mapping):
        why = f"HTTP {answer.status} without an answer of its own"
        return Verdict(outcome_of(RETRY, answer, why, request_id, is_answer=False))
    errors = objects_of(body.get("errors"))
    if answer.status != _PARTLY and not (answer.status < 300 and errors):
        return Verdict(usual(answer, request_id))
    rows: dict[int, Outcome] = {}
    rest = Outcome(OK, answer.status, request_id=request_id)
    for error in errors:
        context = mapping_of(error.get("context"))
        fields = field_names(context.get("propertyName"), context.get("properties"))
        why = " ".join(filter(None, [f"HTTP {answer.status}", text_of(error.get("category")), fields]))
        places = list(_places(context.get(_TRACE), events))
        rows |= {place: outcome_of(PERMANENT, answer, why, request_id) for place in places}
        if not places:
            # One of the rest failed, and nobody knows which. They are sent again: an object is what it is told last.
            rest = Outcome(SPLIT, answer.status, f"HTTP {answer.status} names no place", request_id=request_id)
    if not errors and number_of(body.get("numErrors")):
        return Verdict(Outcome(SPLIT, answer.status, f"HTTP {answer.status} lists no errors", request_id=request_id))
    return Verdict(rest, rows)


def read_property(answer: Answer) -> Outcome:
    """Tells whether a property can tell objects apart: `email` of contacts can, others where they were made so."""
    body = mapping_of(answer.body)
    found = _classify(answer, 1, UTC).of(0)
    if found.is_ok and body.get("name") != _EMAIL and body.get("hasUniqueValue") is not True:
        return Outcome(CONFIG, answer.status, "The property that objects are known by is not unique (hasUniqueValue).")
    return found


def _places(traces: Any, events: int) -> Iterator[int]:
    for trace in traces if isinstance(traces, list) else []:
        if isinstance(trace, str) and trace.isascii() and trace.isdigit() and int(trace[:9]) < events:
            yield int(trace[:9])


def _until_midnight(now_seconds: int, zone: tzinfo) -> float:
    """Returns the seconds until the account's next day begins."""
    now = datetime.fromtimestamp(now_seconds, zone)
    return (datetime.combine(now.date() + timedelta(days=1), time(), zone) - now.astimezone(UTC)).total_seconds()
