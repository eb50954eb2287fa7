"""What Meta's answers mean. An event that it cannot take refuses the whole request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import OutcomeClass
from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import CONFIG, RETRY, SPLIT, THROTTLED
from tributary_delivery.destinations.readings import mapping_of, number_of, objects_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_PASSING: Final = frozenset({1, 2})
_THROTTLED: Final = frozenset({4, 17, 32, 613, *range(80_000, 80_015)})
_CONFIG: Final = frozenset({10, 102, 104, 190, 200})
_BAD_PARAMETER, _NO_SUCH_OBJECT = 100, 33
_BAD_EVENT: Final = range(2_804_000, 2_805_000)
"""Subcodes of what is wrong with an event."""
_USAGE_HEADER: Final = "x-business-use-case-usage"
_MOST_WAIT_SECONDS: Final = 24 * 3_600.0


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    body = mapping_of(answer.body)
    error = mapping_of(body.get("error"))
    request_id = text_of(error.get("fbtrace_id")) or text_of(body.get("fbtrace_id"))
    if error:
        code, subcode = number_of(error.get("code")), number_of(error.get("error_subcode"))
        kind = _class_of(code, subcode, is_transient=error.get("is_transient") is True)
        why = f"HTTP {answer.status}, error {code}/{subcode}"
        if kind is None:
            kind = usual(answer).outcome
        return Verdict(outcome_of(kind, answer, why, request_id, wait=_asked_wait(answer)))
    if 200 <= answer.status < 300 and body.get("events_received") != events:
        why = f"HTTP {answer.status} that does not confirm all events"
        return Verdict(outcome_of(RETRY, answer, why, request_id, is_answer="events_received" in body))
    return Verdict(usual(answer, request_id))


def _class_of(code: int, subcode: int, *, is_transient: bool) -> OutcomeClass.ValueType | None:
    if code in _THROTTLED:
        return THROTTLED
    if code in _CONFIG or (code == _BAD_PARAMETER and subcode == _NO_SUCH_OBJECT):
        return CONFIG
    if code in _PASSING or is_transient:
        return RETRY
    return SPLIT if code == _BAD_PARAMETER or subcode in _BAD_EVENT else None


def _asked_wait(answer: Answer) -> float:
    """Returns the seconds until Meta takes calls again, as its header of use says; 0: it says nothing."""
    try:
        usage: Any = json.loads(answer.headers.get(_USAGE_HEADER, "{}"))
    except ValueError:
        return 0.0
    uses = [use for uses in usage.values() for use in objects_of(uses)] if isinstance(usage, Mapping) else []
    minutes = max((number_of(use.get("estimated_time_to_regain_access")) for use in uses), default=0)
    return min(minutes * 60.0, _MOST_WAIT_SECONDS)
