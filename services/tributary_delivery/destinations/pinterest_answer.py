"""What Pinterest's answers mean: a status for each event, in their order, also where not all were taken."""

from __future__ import annotations

from typing import Final

from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import OK, PERMANENT, RETRY, SPLIT, Outcome
from tributary_delivery.destinations.readings import mapping_of, number_of, objects_of, outcome_of
from tributary_delivery.destinations.usual_answers import usual

_BAD_REQUEST, _IN_PART = 400, 422
_REFUSED: Final = frozenset({_BAD_REQUEST, _IN_PART})
_PROCESSED: Final = "processed"


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    body = mapping_of(answer.body)
    rows = objects_of(body.get("events")) or objects_of(mapping_of(body.get("details")).get("events"))
    is_success = 200 <= answer.status < 300
    if (is_success or answer.status in _REFUSED) and len(rows) == events:
        found = {
            place: Outcome(OK, answer.status)
            if row.get("status") == _PROCESSED
            else outcome_of(PERMANENT, answer, f"HTTP {answer.status}, not processed")
            for place, row in enumerate(rows)
        }
        return Verdict(Outcome(OK, answer.status), found)
    why = f"HTTP {answer.status}, code {number_of(body.get('code'))}"
    if answer.status == _IN_PART:  # and of which it does not say
        return Verdict(Outcome(SPLIT, answer.status, why))
    if answer.status == _BAD_REQUEST:
        return Verdict(outcome_of(SPLIT, answer, why))
    if is_success and number_of(body.get("num_events_processed")) != events:
        why = f"HTTP {answer.status} that does not confirm all events"
        return Verdict(outcome_of(RETRY, answer, why, is_answer="num_events_processed" in body))
    return Verdict(usual(answer))
