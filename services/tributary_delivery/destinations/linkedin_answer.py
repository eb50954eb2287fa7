"""What LinkedIn's answers mean: a status for each event, or one line for each event that refused them all."""

from __future__ import annotations

import re
from typing import Final

from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import CONFIG, OK, PERMANENT, REAUTH, RETRY, SPLIT, THROTTLED, Outcome
from tributary_delivery.destinations.readings import field_names, mapping_of, number_of, objects_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_PLACE: Final = re.compile(r"/?Index: ([0-9]{1,9}), ERROR :: (/\S{1,200})?")
"""With the path of the field that is wrong."""
_BAD_REQUEST, _UNAUTHORIZED, _UNPROCESSABLE, _LOCKED, _OLD_VERSION = 400, 401, 422, 423, 426
_REVOKED: Final = "REVOKED_ACCESS_TOKEN"
_SERVER_ERROR, _TOO_MANY, _TIMEOUT = 500, 429, 408


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    body = mapping_of(answer.body)
    request_id = text_of(answer.headers.get("x-li-uuid"))
    if 200 <= answer.status < 300:
        return _taken(answer, events, request_id)
    code = text_of(body.get("code"))
    why = f"HTTP {answer.status} {code}".rstrip()
    if answer.status == _UNAUTHORIZED:
        kind = CONFIG if _REVOKED in {code, text_of(body.get("serviceErrorCode"))} else REAUTH
        return Verdict(outcome_of(kind, answer, why, request_id))
    if answer.status == _OLD_VERSION:
        return Verdict(outcome_of(CONFIG, answer, f"{why}: api_version is no longer served", request_id))
    if answer.status == _LOCKED:
        return Verdict(outcome_of(RETRY, answer, why, request_id, is_untaken=True))
    if answer.status in {_BAD_REQUEST, _UNPROCESSABLE}:
        said = body.get("message")
        named = {
            int(found[1]): field_names(found[2]) or "named by its index"
            for found in _PLACE.finditer(said if isinstance(said, str) else answer.text)
        }
        rows = {
            place: outcome_of(PERMANENT, answer, f"{why}: {field}", request_id)
            for place, field in named.items()
            if place < events
        }
        return Verdict(outcome_of(SPLIT, answer, why, request_id), rows)
    return Verdict(usual(answer, request_id))


def _taken(answer: Answer, events: int, request_id: str) -> Verdict:
    """Reads the statuses of a batch: however many events are sent, it is one, and its answer has a status of each."""
    elements = objects_of(mapping_of(answer.body).get("elements"))
    if not elements:
        return Verdict(outcome_of(RETRY, answer, f"HTTP {answer.status} without statuses", request_id, is_answer=False))
    rows = {}
    for place in range(events):
        status = number_of(elements[place].get("status")) if place < len(elements) else 0
        rows[place] = _row(answer, status, request_id)
    return Verdict(Outcome(OK, answer.status, request_id=request_id), rows)


def _row(answer: Answer, status: int, request_id: str) -> Outcome:
    if 200 <= status < 300:
        return Outcome(OK, status, request_id=request_id)
    why = f"status {status} in a batch"
    if status == _TOO_MANY:
        return outcome_of(THROTTLED, answer, why, request_id)
    if status in {0, _LOCKED, _TIMEOUT} or status >= _SERVER_ERROR:
        return outcome_of(RETRY, answer, why, request_id, is_untaken=status == _LOCKED)
    return outcome_of(PERMANENT, answer, why, request_id)
