"""Which erasures are gone on with: one that a bug ended waits longer each time, what does not answer now does not."""

from __future__ import annotations

import pytest

from tests.support.sealing import Hurried
from tributary_attribution.due_erasures import FIRST_SECONDS, MOST_SECONDS, DueErasures
from tributary_attribution.erasure_plans import planned
from tributary_domain.erasures import Erasure
from tributary_runtime.errors import Backpressure, StorageUnavailableError

SOMEBODY = "customer:somebody"


@pytest.fixture
def clock() -> Hurried:
    return Hurried()


def an_erasure(workspace: str) -> Erasure:
    return planned(workspace, (SOMEBODY,), 0, removes=True, reason="", requested_by="", own_seconds=0)


def test_it_waits_longer_each_time_up_to_a_bound_and_no_more_once_it_went_on(clock: Hurried) -> None:
    due, erasure = DueErasures(clock), an_erasure("shop")
    waits = []
    for _ in range(12):
        with due.tried(erasure):
            raise TypeError(SOMEBODY)
        waits.append(next(seconds for seconds in range(1, 4_000) if _is_due(due, erasure, clock, seconds)))
    assert waits[:3] == [10, 20, 40]
    assert waits[-1] == MOST_SECONDS
    clock.ahead += MOST_SECONDS
    with due.tried(erasure):
        pass
    assert due.among([erasure]) == [erasure]
    with due.tried(erasure):
        raise TypeError(SOMEBODY)
    assert _is_due(due, erasure, clock, FIRST_SECONDS)
    assert due.among([]) == []
    assert due.among([erasure]) == [erasure], "of who is erased nothing is remembered"


@pytest.mark.parametrize("failure", [StorageUnavailableError("no answer"), Backpressure("not now")])
def test_what_does_not_answer_now_is_asked_at_the_next_look(clock: Hurried, failure: Exception) -> None:
    due, erasure = DueErasures(clock), an_erasure("shop")
    with due.tried(erasure):
        raise failure
    assert due.among([erasure]) == [erasure]


def _is_due(due: DueErasures, erasure: Erasure, clock: Hurried, seconds: float) -> bool:
    before = clock.ahead
    clock.ahead += seconds
    found = due.among([erasure])
    clock.ahead = before
    return bool(found)
