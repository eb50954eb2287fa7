"""What waits in tests can also fail."""

from __future__ import annotations

import itertools

import pytest

from tests.support.eventually import eventually, eventually_async


def test_it_returns_the_first_true_answer() -> None:
    answers = iter([0, 0, 7])
    assert eventually(lambda: next(answers)) == 7


def test_it_repeats_what_is_asserted_until_it_holds() -> None:
    numbers = itertools.count()

    def check() -> None:
        assert next(numbers) == 3

    eventually(check)


def test_it_fails_with_the_last_failure() -> None:
    def check() -> None:
        raise AssertionError("the sea is empty")

    with pytest.raises(AssertionError, match=r"within 0.01 s; last: the sea is empty"):
        eventually(check, 0.01)


def test_it_asks_why_once_and_only_if_it_fails() -> None:
    asked = itertools.count()
    assert eventually(lambda: True, explain=lambda: f"asked {next(asked)}")
    with pytest.raises(AssertionError, match="last: False\nasked 0"):
        eventually(lambda: False, 0.01, explain=lambda: f"asked {next(asked)}")


def test_an_error_that_is_no_assertion_is_not_waited_for() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 / 0)


async def test_on_the_loop_it_takes_coroutines_and_plain_functions() -> None:
    answers = iter([False, True])

    async def check() -> bool:
        return next(answers)

    assert await eventually_async(check)
    with pytest.raises(AssertionError):
        await eventually_async(lambda: False, 0.01)
