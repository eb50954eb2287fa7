"""What Snap's answers mean: 200 with a status that is VALID, or is not."""

from __future__ import annotations

from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import RETRY, SPLIT, Outcome
from tributary_delivery.destinations.readings import mapping_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_BAD_REQUEST = 400


def classify(answer: Answer, _events: int) -> Verdict:
    """Tells what became of the events of a request."""
    status = text_of(mapping_of(answer.body).get("status"))
    if 200 <= answer.status < 300 and status != "VALID":
        if not status:
            return Verdict(outcome_of(RETRY, answer, f"HTTP {answer.status} without a status"))
        # Whether it took some of them it does not say; it knows by id what it has.
        return Verdict(Outcome(SPLIT, answer.status, f"HTTP {answer.status}, status other than VALID"))
    if answer.status == _BAD_REQUEST:
        return Verdict(outcome_of(SPLIT, answer, "HTTP 400"))
    return Verdict(usual(answer))
