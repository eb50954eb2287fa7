"""What Salesforce's answers mean: 200 with a result for each record, in their order, or a list of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import OutcomeClass
from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import CONFIG, OK, PERMANENT, REAUTH, RETRY, THROTTLED, Outcome
from tributary_delivery.destinations.readings import field_names, mapping_of, number_of, objects_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_CLASSES: Final = {
    "UNABLE_TO_LOCK_ROW": RETRY,
    "SERVER_UNAVAILABLE": RETRY,
    "REQUEST_LIMIT_EXCEEDED": THROTTLED,
    "INVALID_SESSION_ID": REAUTH,
}
_WRAPPING: Final = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
"""An error of the customer's own code in Salesforce, which may hold one that passes."""
_PASSING: Final = ("UNABLE_TO_LOCK_ROW", "Too many SOQL queries")
_SEVERAL, _UNAUTHORIZED, _FORBIDDEN, _SERVER_ERROR = 300, 401, 403, 500
_LIMIT_SECONDS: Final = 900.0


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the records of a request."""
    results = objects_of(answer.body)
    if 200 <= answer.status < 300:
        if len(results) != events:
            why = f"HTTP {answer.status} without a result for each"
            return Verdict(outcome_of(RETRY, answer, why, is_answer=bool(results)))
        rows = {
            place: _row(answer, result) for place, result in enumerate(results) if result.get("success") is not True
        }
        return Verdict(Outcome(OK, answer.status), rows)
    codes = [code for error in results if (code := text_of(error.get("errorCode")))]
    why = " ".join([f"HTTP {answer.status}", *codes[:5]])
    for error in results:
        if (kind := _class_of(text_of(error.get("errorCode")), error)) is not None:
            wait, is_refused = _LIMIT_SECONDS if kind == THROTTLED else 0.0, answer.status < _SERVER_ERROR
            return Verdict(outcome_of(kind, answer, why, wait=wait, is_untaken=is_refused))
    if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
        return Verdict(outcome_of(REAUTH if answer.status == _UNAUTHORIZED else CONFIG, answer, why))
    if answer.status == _SEVERAL:
        return Verdict(outcome_of(PERMANENT, answer, f"{why}: several records have this id"))
    return Verdict(usual(answer))


def read_limits(answer: Answer) -> Outcome:
    """Tells whether calls are left today."""
    if not 200 <= answer.status < 300:
        return classify(answer, 1).whole
    calls = mapping_of(mapping_of(answer.body).get("DailyApiRequests"))
    if calls and number_of(calls.get("Remaining")) <= 0:
        return outcome_of(THROTTLED, answer, "no calls are left today", wait=_LIMIT_SECONDS)
    return Outcome(OK, answer.status)


def _row(answer: Answer, result: Mapping[str, Any]) -> Outcome:
    errors = objects_of(result.get("errors"))
    codes = [text_of(error.get("statusCode")) for error in errors]
    kinds = [_class_of(code, error) for code, error in zip(codes, errors, strict=True)]
    passing = next((kind for kind in kinds if kind in {RETRY, THROTTLED}), None)
    fields = field_names(*(error.get("fields") for error in errors))
    why = " ".join(filter(None, [*codes[:5], fields])) or "not taken"
    return outcome_of(PERMANENT if passing is None else passing, answer, why, is_untaken=True)  # success is false


def _class_of(code: str, error: Mapping[str, Any]) -> OutcomeClass.ValueType | None:
    if code == _WRAPPING:
        said = error.get("message")
        return RETRY if isinstance(said, str) and any(text in said for text in _PASSING) else None
    return _CLASSES.get(code)
