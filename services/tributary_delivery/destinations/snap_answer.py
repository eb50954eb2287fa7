"""What Snap's answers mean: 200 with a status that is VALID, or is not."""

from __future__ import annotations

from tributary_delivery.destinations.adapter import Answer, Verdict
from tributary_delivery.destinations.destination import PERMANENT, RETRY, SPLIT, UNKNOWN, Outcome
from tributary_delivery.destinations.readings import mapping_of, outcome_of, text_of
from tributary_delivery.destinations.usual_answers import usual

_BAD_REQUEST = 400


def classify(answer: Answer, events: int) -> Verdict:
    """Tells what became of the events of a request."""
    status = text_of(mapping_of(answer.body).get("status"))
    if 200 <= answer.status < 300 and status != "VALID":
        if not status:
            return Verdict(outcome_of(RETRY, answer, f"HTTP {answer.status} without a status"))
        if events == 1:
            return Verdict(outcome_of(PERMANENT, answer, f"HTTP {answer.status}, status other than VALID"))
        # Whether it took some of them it does not say, nor which: halves would send each of those up to ten times.
        return Verdict(Outcome(UNKNOWN, answer.status, f"HTTP {answer.status}, status other than VALID"))
    if answer.status == _BAD_REQUEST:
        return Verdict(outcome_of(SPLIT, answer, "HTTP 400"))
    return Verdict(usual(answer))
