"""What TikTok's answers mean: HTTP 200 whatever happened, and a code in the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import OutcomeClass
from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import CONFIG, OK, PERMANENT, RETRY, SPLIT, THROTTLED, Outcome
from tributary_delivery.destinations.readings import mapping_of, number_of, objects_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_DONE, _PARTLY = 0, 20_001
_CLASSES: Final = {40_100: THROTTLED, 40_001: CONFIG, 40_002: SPLIT, 40_105: CONFIG}
_UNAUTHORIZED: Final = range(40_100, 40_200)
_REQUEST_AT_FAULT: Final = range(40_000, 50_000)
_SERVER_ERROR: Final = 50_000
"""And above: TikTok's own, of whatever it is sent."""


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    body = mapping_of(answer.body)
    request_id = text_of(body.get("request_id"))
    code = body.get("code")
    if not isinstance(code, int) or isinstance(code, bool):
        if 200 <= answer.status < 300:
            why = f"HTTP {answer.status} without a code"
            return Verdict(outcome_of(RETRY, answer, why, request_id, is_answer=False))
        return Verdict(usual(answer, request_id))
    if code == _DONE and answer.status < 300:
        return Verdict(Outcome(OK, answer.status, request_id=request_id))
    if code == _PARTLY:
        return _partly(answer, mapping_of(body.get("data")), events, request_id)
    why = f"HTTP {answer.status}, code {code}"
    return Verdict(outcome_of(_class_of(code), answer, why, request_id, is_answer=code < _SERVER_ERROR))


def _class_of(code: int) -> OutcomeClass.ValueType:
    if code in _CLASSES:
        return _CLASSES[code]
    if code in _UNAUTHORIZED:
        return CONFIG
    return SPLIT if code in _REQUEST_AT_FAULT else RETRY


def _partly(answer: Answer, data: Mapping[str, Any], events: int, request_id: str) -> Verdict:
    """Reads which events failed. Where that cannot be read all are sent again, halved: it knows by id what it has."""
    failed = objects_of(data.get("failed_events"))
    places = [one.get("order_in_batch") for one in failed]
    if not failed or not all(isinstance(place, int) and 0 <= place < events for place in places):
        why = f"HTTP {answer.status}, code {_PARTLY}"
        return Verdict(Outcome(SPLIT, answer.status, why, request_id=request_id))
    rows = {}
    for one in failed:
        why = f"code {number_of(one.get('error_code'))} in a batch"
        rows[number_of(one.get("order_in_batch"))] = outcome_of(PERMANENT, answer, why, request_id)
    return Verdict(Outcome(OK, answer.status, request_id=request_id), rows)
