"""Who is silent is given up soon where answers are quick, and late where all are slow."""

from __future__ import annotations

import pytest

from tributary_client.patience import Patience


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([], 2.0, id="nothing known"),
        pytest.param([0.01], 1.0, id="quick"),
        pytest.param([0.5], 4.0, id="slow"),
        pytest.param([0.5, 0.01], 3.6, id="quick after slow"),
        pytest.param([0.01, 0.5], 4.0, id="slow after quick"),
        pytest.param([5.0], 10.0, id="never longer than an attempt"),
    ],
)
def test_it_is_several_times_what_answers_take(answers: list[float], expected: float) -> None:
    patience = Patience(10.0)
    for seconds in answers:
        patience.is_answered(seconds)
    assert patience.seconds() == pytest.approx(expected)


def test_each_time_something_is_given_up_doubles_it_until_an_answer_comes() -> None:
    patience = Patience(10.0)
    patience.is_answered(0.01)
    seen = []
    for _ in range(5):
        seen.append(patience.seconds())
        patience.is_given_up()
    assert seen == [1, 2, 4, 8, 10]
    patience.is_answered(0.1)
    assert patience.seconds() == 1.0
