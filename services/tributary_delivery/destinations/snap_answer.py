"""What Snap's answers mean: 200 with a status that is VALID, or is not.

The one rule: who is to blame is refused, and nobody else. Where it does not say who that is, halves are sent again: it
knows an event id again (`resend_hours` says for how long; with 0 what is in doubt is a dead letter).
"""

from __future__ import annotations

from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import PERMANENT, RETRY, SPLIT, Outcome
from tributary_delivery.destinations.event_places import places_of
from tributary_delivery.destinations.readings import mapping_of, objects_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_BAD_REQUEST = 400


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    body = mapping_of(answer.body)
    status = text_of(body.get("status"))
    is_success = 200 <= answer.status < 300
    if is_success and not status:
        return Verdict(outcome_of(RETRY, answer, f"HTTP {answer.status} without a status", is_answer=False))
    if (is_success and status != "VALID") or answer.status == _BAD_REQUEST:
        why = f"HTTP {answer.status}, status other than VALID" if is_success else "HTTP 400"
        refused = outcome_of(PERMANENT, answer, why)
        if events == 1 and is_success:
            return Verdict(refused)
        places: set[int] = set()
        for one in objects_of(body.get("error_records")):
            places |= places_of(one, events)
        # Whether a success took some it does not say: what is sent again it knows by its id.
        whole = Outcome(SPLIT, answer.status, why) if is_success else outcome_of(SPLIT, answer, why)
        return Verdict(whole, dict.fromkeys(places, refused))
    return Verdict(usual(answer))
