"""What the answers of Microsoft's Campaign Management API mean: 200 with the places that failed, or a fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import CONFIG, OK, PERMANENT, REAUTH, RETRY, SPLIT, THROTTLED, Outcome
from tributary_delivery.destinations.readings import mapping_of, number_of, objects_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_INTERNAL: Final = 0
_CLASSES: Final = {
    _INTERNAL: RETRY,
    117: THROTTLED,
    109: REAUTH,
    **dict.fromkeys((105, 106, 108, 116, 120, 122), CONFIG),
}
_THROTTLED_SECONDS: Final = 60.0
"""Its limit is per minute."""


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    body = mapping_of(answer.body)
    request_id = text_of(body.get("TrackingId")) or text_of(answer.headers.get("trackingid"))
    faults = objects_of(body.get("Errors")) or objects_of(body.get("OperationErrors"))
    for fault in faults:
        if isinstance(fault.get("Code"), int) and fault["Code"] in _CLASSES:
            kind, why = _CLASSES[fault["Code"]], f"HTTP {answer.status}, error {fault['Code']}"
            wait = _THROTTLED_SECONDS if kind == THROTTLED else 0.0
            return Verdict(outcome_of(kind, answer, why, request_id, wait=wait))
    if not 200 <= answer.status < 300 or faults:
        codes = " ".join(str(number_of(fault.get("Code"))) for fault in faults[:5])
        if faults and answer.status < 500:
            return Verdict(outcome_of(PERMANENT, answer, f"HTTP {answer.status}, errors {codes}", request_id))
        return Verdict(usual(answer, request_id))
    if not isinstance(answer.body, Mapping):
        why = f"HTTP {answer.status} without an answer"
        return Verdict(outcome_of(RETRY, answer, why, request_id, is_answer=False))
    rows, rest = {}, Outcome(OK, answer.status, request_id=request_id)
    for partial in objects_of(body.get("PartialErrors")):
        place, code = _place(partial, events), number_of(partial.get("Code"))
        why = f"error {code} {text_of(partial.get('ErrorCode'))}".rstrip()
        if place is None:  # one of the rest failed, and nobody knows which: halves are sent again
            rest = Outcome(SPLIT, answer.status, f"HTTP {answer.status}, {why} at no place", request_id=request_id)
            continue
        kind = RETRY if code == _INTERNAL and partial.get("ErrorCode") == "InternalError" else PERMANENT
        rows[place] = outcome_of(kind, answer, why, request_id)
    return Verdict(rest, rows)


def _place(partial: Mapping[str, Any], events: int) -> int | None:
    """Returns the place of an error in the request; None: it names none."""
    place = partial.get("Index")
    if isinstance(place, str) and place.isascii() and place.isdigit():
        place = int(place[:9])
    return place if isinstance(place, int) and not isinstance(place, bool) and 0 <= place < events else None
