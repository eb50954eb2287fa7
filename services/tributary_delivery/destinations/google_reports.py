"""What Google's Data Manager API says of a request hours after it queued it: of how many events why, never of which."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tributary_delivery.destinations.adapter import Answer
from tributary_delivery.destinations.destination import OK
from tributary_delivery.destinations.google_reasons import TOO_EARLY, class_later, plain_reason
from tributary_delivery.destinations.readings import mapping_of, number_of, objects_of, text_of
from tributary_delivery.destinations.reporting import NO_REASON_GIVEN, RequestReport

_DONE: Final = frozenset({"SUCCESS", "FAILED", "PARTIAL_SUCCESS"})
_ALL_REFUSED: Final = {"FAILED": True, "PARTIAL_SUCCESS": False}
"""Status -> whether it says that none counts; a request fails also of what Google has already."""


def read(answer: Answer) -> RequestReport | None:
    """Returns the report; None: it is not done, or this is none."""
    statuses = objects_of(mapping_of(answer.body).get("requestStatusPerDestination"))
    names = {text_of(one.get("requestStatus")) for one in statuses}
    if not 200 <= answer.status < 300 or not names or not names <= _DONE:
        return None
    records, known, refused = 0, 0, Counter[str]()
    for one in statuses:
        records += number_of(mapping_of(one.get("eventsIngestionStatus")).get("recordCount"))
        for count in objects_of(mapping_of(one.get("errorInfo")).get("errorCounts")):
            reason = plain_reason(text_of(count.get("reason"))) or NO_REASON_GIVEN
            if class_later(reason) != OK:
                refused[reason] += number_of(count.get("recordCount"))
            else:  # it counts
                known += number_of(count.get("recordCount"))
    refused = +refused
    status = names.pop() if len(names) == 1 else "PARTIAL_SUCCESS"
    classes = {reason: (class_later(reason), n) for reason, n in sorted(refused.items())}
    return RequestReport(status, records, classes, TOO_EARLY & classes.keys(), _ALL_REFUSED.get(status), known)
