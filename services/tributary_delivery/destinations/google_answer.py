"""What the answers of Google's Data Manager API mean: 200 is *queued*, and one bad event refuses them all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import (
    CONFIG,
    PERMANENT,
    REAUTH,
    RETRY,
    SPLIT,
    THROTTLED,
    Outcome,
)
from tributary_delivery.destinations.google_reasons import class_at_once
from tributary_delivery.destinations.readings import field_names, mapping_of, number_of, objects_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_CLASSES: Final = {
    "UNAUTHENTICATED": REAUTH,
    "PERMISSION_DENIED": CONFIG,
    "RESOURCE_EXHAUSTED": THROTTLED,
    "UNAVAILABLE": RETRY,
    "DEADLINE_EXCEEDED": RETRY,
    "INTERNAL": RETRY,
}
_REAUTH_STATUS, _BAD_REQUEST = 401, 400
_PLACE: Final = re.compile(r"events\[([0-9]{1,9})\]\.?(\S*)")
"""Anywhere in the path of a field: how it is spelt varies."""
_TOO_EARLY_SECONDS: Final = 6 * 3_600.0


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    body = mapping_of(answer.body)
    error = mapping_of(body.get("error"))
    if not error:
        request_id = text_of(body.get("requestId"))
        if 200 <= answer.status < 300 and not request_id:
            return Verdict(outcome_of(RETRY, answer, f"HTTP {answer.status} without a request id", is_answer=False))
        if answer.status == _REAUTH_STATUS:
            return Verdict(outcome_of(REAUTH, answer, "HTTP 401"))
        return Verdict(usual(answer, request_id))
    details = objects_of(error.get("details"))
    status = text_of(error.get("status"))
    request_id = _request_id(details)
    violations = [violation for detail in details for violation in objects_of(detail.get("fieldViolations"))]
    reasons = [reason for one in (*details, *violations) if (reason := text_of(one.get("reason")))]
    why = " ".join([f"HTTP {answer.status}", *dict.fromkeys([status, *reasons])])[:500].rstrip()
    for reason in reasons:
        if (kind := class_at_once(reason)) is not None:
            # What was refused for being early was not taken, though it is sent again.
            outcome = outcome_of(kind, answer, why, request_id, wait=_TOO_EARLY_SECONDS if kind == RETRY else 0.0)
            return Verdict(replace(outcome, is_untaken=True))
    if status in _CLASSES:
        return Verdict(outcome_of(_CLASSES[status], answer, why, request_id, wait=_asked_wait(details)))
    if answer.status == _BAD_REQUEST or status == "INVALID_ARGUMENT":
        return Verdict(outcome_of(SPLIT, answer, why, request_id), _rows(answer, violations, request_id, events))
    return Verdict(usual(answer, request_id))


def _rows(answer: Answer, violations: list[Mapping[str, Any]], request_id: str, events: int) -> dict[int, Outcome]:
    """Returns the events to blame, by place; where none is named, whoever sends halves the batch."""
    rows: dict[int, Outcome] = {}
    for violation in violations:
        found = _PLACE.search(text_of(violation.get("field")))
        if found is None or int(found[1]) >= events:
            continue
        reason = text_of(violation.get("reason")) or "refused"
        why = " ".join(filter(None, [f"HTTP {answer.status}", reason, field_names(found[2])]))
        rows.setdefault(int(found[1]), outcome_of(PERMANENT, answer, why, request_id))
    return rows


def _request_id(details: list[Mapping[str, Any]]) -> str:
    found = (text_of(mapping_of(detail.get("metadata")).get("requestId")) for detail in details)
    return next(filter(None, found), "")


def _asked_wait(details: list[Mapping[str, Any]]) -> float:
    """Returns the seconds of a `RetryInfo`: "30s"."""
    delays = (text_of(detail.get("retryDelay")) for detail in details)
    return max((float(number_of(delay.partition(".")[0].removesuffix("s"))) for delay in delays), default=0.0)
