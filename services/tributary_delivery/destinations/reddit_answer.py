"""What Reddit's answers mean: 2xx that may name events it did not take, or an error that took none.

The one rule: what it took in part is not sent again to find out which. It deduplicates its pixel and its API; of two
calls of its API nobody says so, and each event would be in ten of the halves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import OK, PERMANENT, REAUTH, RETRY, SPLIT, UNKNOWN, Outcome
from tributary_delivery.destinations.readings import mapping_of, objects_of, outcome_of
from tributary_delivery.destinations.usual_answers import usual

_BAD_REQUEST, _UNAUTHORIZED = 400, 401
_PLACES: Final = ("index", "event_index")
"""Names under which an invalid event may say its place: none is documented."""


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    if answer.status == _BAD_REQUEST:
        return Verdict(outcome_of(SPLIT, answer, "HTTP 400"))
    if answer.status == _UNAUTHORIZED:
        return Verdict(outcome_of(REAUTH, answer, "HTTP 401"))
    if 200 <= answer.status < 300 and not isinstance(answer.body, Mapping):
        return Verdict(outcome_of(RETRY, answer, f"HTTP {answer.status} without an answer of its own"))
    body = mapping_of(answer.body)
    invalid = objects_of(body.get("invalid_events")) or objects_of(mapping_of(body.get("data")).get("invalid_events"))
    if not 200 <= answer.status < 300 or not invalid:
        return Verdict(usual(answer))
    refused = outcome_of(PERMANENT, answer, f"HTTP {answer.status}, an invalid event")
    if len(invalid) >= events:
        return Verdict(refused)
    places = [next((one[name] for name in _PLACES if isinstance(one.get(name), int)), -1) for one in invalid]
    if all(0 <= place < events for place in places):
        return Verdict(Outcome(OK, answer.status), dict.fromkeys(places, refused))
    why = f"HTTP {answer.status}, {len(invalid)} of {events} were invalid and it does not say which"
    return Verdict(Outcome(UNKNOWN, answer.status, why))
