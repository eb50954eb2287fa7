"""What the answers of Google Ads' uploads mean: a result for each event, empty where it failed, and why.

The one rule: an adjustment counts as taken only if this one was. One that comes with no later time than another before
it was not, whatever that one said: it is sent again, later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import OutcomeClass
from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import (
    CONFIG,
    OK,
    PERMANENT,
    REAUTH,
    RETRY,
    SPLIT,
    THROTTLED,
    Outcome,
)
from tributary_delivery.destinations.google_reasons import FOREIGN, NOT_OURS
from tributary_delivery.destinations.readings import mapping_of, number_of, objects_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_LISTS: Final = frozenset({"conversions", "conversion_adjustments", "conversionAdjustments", "operations"})
_FAILURE: Final = "partialFailureError"
_TOO_RECENT: Final = "TOO_RECENT_"
_TOO_RECENT_SECONDS: Final = 6 * 3_600.0
_NOT_LATER: Final = frozenset({"RESTATEMENT_ALREADY_EXISTS", "MORE_RECENT_RESTATEMENT_FOUND"})
"""Another adjustment has the same time, or a later one: two within a second, or from a clock that is ahead."""
_NOT_LATER_SECONDS: Final = 1.0
"""Times are to the second."""
_GONE: Final = "CONVERSION_ALREADY_RETRACTED"
"""Good news of a retraction; what was retracted is never restated."""
_REFUSED_FOR_NOW: Final = frozenset({*_NOT_LATER, "CONVERSION_NOT_FOUND"})
_CLASSES: Final = {
    **dict.fromkeys(("TRANSIENT_ERROR", "INTERNAL_ERROR", "DEADLINE_EXCEEDED", *_REFUSED_FOR_NOW), RETRY),
    **dict.fromkeys(("RESOURCE_EXHAUSTED", "RESOURCE_TEMPORARILY_EXHAUSTED"), THROTTLED),
    **dict.fromkeys(
        (
            "ORDER_ID_ALREADY_IN_USE",
            "CLICK_CONVERSION_ALREADY_EXISTS",
            "CONVERSION_ALREADY_ENHANCED",
        ),
        OK,
    ),
    **dict.fromkeys(
        ("NO_CONVERSION_ACTION_FOUND", "INVALID_CONVERSION_ACTION_TYPE", "UNAUTHORIZED_CUSTOMER"),
        CONFIG,
    ),
    "OAUTH_TOKEN_EXPIRED": REAUTH,
    "TOO_MANY_CONVERSIONS_IN_REQUEST": SPLIT,
    "TOO_MANY_ADJUSTMENTS_IN_REQUEST": SPLIT,
}
_CONFIG_PREFIXES: Final = (
    "CUSTOMER_NOT_ACCEPTED_",
    "CUSTOMER_NOT_ENABLED_",
    "CUSTOMER_DATA_POLICY_PROHIBITS_",
    "CUSTOMER_NOT_ALLOWLISTED_",
)
_CONFIG_KINDS: Final = frozenset({"authenticationError", "authorizationError", "notAllowlistedError", "headerError"})


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    body = mapping_of(answer.body)
    request_id = text_of(answer.headers.get("request-id"))
    if not 200 <= answer.status < 300 or "error" in body:
        return Verdict(_whole(answer, mapping_of(body.get("error")), request_id))
    rows = {
        place: _row(answer, error, request_id)
        for error in _errors(mapping_of(body.get(_FAILURE)))
        if 0 <= (place := _place(error)) < events
    }
    results = objects_of(body.get("results"))
    if len(results) != events and not rows:
        why = f"HTTP {answer.status} without a result for each"
        return Verdict(outcome_of(RETRY, answer, why, request_id, is_answer=bool(results)))
    for place in range(events):
        if place not in rows and not (place < len(results) and results[place]):
            rows[place] = outcome_of(RETRY, answer, f"HTTP {answer.status}, neither result nor error", request_id)
    return Verdict(Outcome(OK, answer.status, request_id=request_id), rows)


def validated(answer: Answer, events: int) -> Outcome:
    """Tells what became of events that were only validated: there are no results, and made-up ones match nobody."""
    body = mapping_of(answer.body)
    if 200 <= answer.status < 300 and isinstance(answer.body, Mapping) and not body.keys() & {"error", _FAILURE}:
        return Outcome(OK, answer.status)
    verdict = classify(answer, events)
    wrong = (one for one in (verdict.of(place) for place in range(events)) if not one.is_ok)
    serious = (one for one in wrong if one.message not in NOT_OURS)
    return next((one for one in serious if "neither result nor error" not in one.message), Outcome(OK, answer.status))


def _whole(answer: Answer, error: Mapping[str, Any], request_id: str) -> Outcome:
    for one in _errors(error):
        kind, name = _code(one)
        if (found := _class_of(kind, name)) not in {None, OK}:
            return outcome_of(found or PERMANENT, answer, f"HTTP {answer.status} {name}", request_id)
    status = text_of(error.get("status"))
    if status == "UNAUTHENTICATED":
        return outcome_of(REAUTH, answer, f"HTTP {answer.status} {status}", request_id)
    return usual(answer, request_id)


def _row(answer: Answer, error: Mapping[str, Any], request_id: str) -> Outcome:
    kind, name = _code(error)
    if name == _GONE:
        return replace(outcome_of(PERMANENT, answer, name, request_id, is_untaken=True), is_gone=True)
    if name in FOREIGN:
        return replace(outcome_of(PERMANENT, answer, name, request_id), is_foreign=True)
    found = _class_of(kind, name)
    if found == OK:
        return Outcome(OK, answer.status, name, request_id=request_id)
    if name.startswith(_TOO_RECENT):
        return outcome_of(RETRY, answer, name, request_id, wait=_TOO_RECENT_SECONDS, is_untaken=True)
    if name in _REFUSED_FOR_NOW:
        wait = _NOT_LATER_SECONDS if name in _NOT_LATER else 0.0
        return outcome_of(RETRY, answer, name, request_id, wait=wait, is_untaken=True)
    return outcome_of(PERMANENT if found in {None, SPLIT} else found or PERMANENT, answer, name, request_id)


def _class_of(kind: str, name: str) -> OutcomeClass.ValueType | None:
    if name in _CLASSES:
        return _CLASSES[name]
    if name.startswith(_TOO_RECENT):
        return RETRY
    return CONFIG if kind in _CONFIG_KINDS or name.startswith(_CONFIG_PREFIXES) else None


def _errors(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for detail in objects_of(status.get("details")):
        yield from objects_of(detail.get("errors"))


def _code(error: Mapping[str, Any]) -> tuple[str, str]:
    """Returns an error's kind and name: {"conversionUploadError": "TOO_RECENT_EVENT"}."""
    code = mapping_of(error.get("errorCode"))
    return next(((kind, text_of(name)) for kind, name in code.items()), ("", ""))


def _place(error: Mapping[str, Any]) -> int:
    for element in objects_of(mapping_of(error.get("location")).get("fieldPathElements")):
        if element.get("fieldName") in _LISTS:
            return number_of(element.get("index"))
    return -1
