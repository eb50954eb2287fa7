"""What is said of one part of a request that was taken apart, and the parts that wait."""

from __future__ import annotations

import pytest

from tributary_delivery.destinations.destination import (
    CONFIG,
    OK,
    PERMANENT,
    RETRY,
    THROTTLED,
    UNKNOWN,
    Outcome,
)
from tributary_delivery.taken_apart import Found

TAKEN = Outcome(OK, 200)


@pytest.mark.parametrize(
    ("outcomes", "is_held_up"),
    [
        pytest.param([TAKEN], False, id="taken"),
        pytest.param([Outcome(PERMANENT, 200)], False, id="refused"),
        pytest.param([Outcome(UNKNOWN, 200)], False, id="nobody knows"),
        pytest.param([Outcome(RETRY, 200), TAKEN], False, id="one row again"),
        pytest.param([Outcome(RETRY, 200)], False, id="again, said by an API that works"),
        pytest.param([Outcome(RETRY, 423, is_untaken=True)], False, id="locked"),
        pytest.param([Outcome(RETRY, 503)], True, id="it does not work"),
        pytest.param([Outcome(RETRY, 200, is_answer=False)], True, id="a page instead of an answer"),
        pytest.param([Outcome(RETRY, is_untaken=True, is_unsent=True)], True, id="no connection"),
        pytest.param([Outcome(THROTTLED, 429)], True, id="too many calls"),
        pytest.param([Outcome(THROTTLED, 200), TAKEN], True, id="too many, for one row"),
        pytest.param([Outcome(CONFIG, 403)], True, id="something to mend"),
        pytest.param([Outcome(CONFIG, 200), TAKEN], False, id="something to mend for one row"),
    ],
)
def test_the_others_wait_only_for_what_is_true_of_them_too(outcomes: list[Outcome], *, is_held_up: bool) -> None:
    found = Found()
    found.note(outcomes, is_alone=len(outcomes) == 1)
    assert (found.why_not is not None) == is_held_up


def test_what_waits_has_left_and_was_not_taken() -> None:
    found = Found()
    found.note([Outcome(RETRY, is_untaken=True, is_unsent=True)], is_alone=True)
    assert found.why_not is not None
    assert (found.why_not.is_untaken, found.why_not.is_unsent) == (True, False)
