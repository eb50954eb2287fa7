"""What Reddit's answers mean: 2xx that may name events it did not take, or an error that took none.

The one rule: who is to blame is refused, and nobody else. Where it does not say who that is, halves are sent again: it
knows a conversion id of a type again (`resend_hours` says for how long; with 0 what is in doubt is a dead letter).
"""

from __future__ import annotations

from collections.abc import Mapping

from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import OK, PERMANENT, REAUTH, RETRY, SPLIT, Outcome
from tributary_delivery.destinations.event_places import places_of
from tributary_delivery.destinations.readings import mapping_of, objects_of, outcome_of
from tributary_delivery.destinations.usual_answers import usual

_BAD_REQUEST, _UNAUTHORIZED = 400, 401


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    body = mapping_of(answer.body)
    if answer.status == _BAD_REQUEST:
        error = mapping_of(body.get("error"))
        places: set[int] = set()
        for one in [error, *objects_of(error.get("fields"))]:
            places |= places_of(one, events)
        named = outcome_of(PERMANENT, answer, "HTTP 400, named by its place")
        return Verdict(outcome_of(SPLIT, answer, "HTTP 400"), dict.fromkeys(places, named))
    if answer.status == _UNAUTHORIZED:
        return Verdict(outcome_of(REAUTH, answer, "HTTP 401"))
    if 200 <= answer.status < 300 and not isinstance(answer.body, Mapping):
        return Verdict(outcome_of(RETRY, answer, f"HTTP {answer.status} without an answer of its own", is_answer=False))
    invalid = objects_of(body.get("invalid_events")) or objects_of(mapping_of(body.get("data")).get("invalid_events"))
    if not 200 <= answer.status < 300 or not invalid:
        return Verdict(usual(answer))
    refused = outcome_of(PERMANENT, answer, f"HTTP {answer.status}, an invalid event")
    if len(invalid) >= events:
        return Verdict(refused)
    found = [places_of(one, events) for one in invalid]
    rows = dict.fromkeys(set().union(*found), refused)
    if all(found) and len(rows) == len(invalid):
        return Verdict(Outcome(OK, answer.status), rows)
    why = f"HTTP {answer.status}, {len(invalid)} of {events} were invalid and it does not say which"
    return Verdict(Outcome(SPLIT, answer.status, why), rows)
