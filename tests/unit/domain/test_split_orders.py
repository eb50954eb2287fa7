"""Which of the ways in which one order was told counts, is adjusted, and has the credit."""

from __future__ import annotations

import pytest

from tributary_domain.split_orders import SplitOrder, Told, split_order

BROWSER, BACKEND = 1, 2


def told(conversion_id: str, at: int, rank: int, **is_: bool) -> Told:
    return Told(conversion_id, (at, 0), rank, **is_)


PLAIN = told("plain", 5, BROWSER)
CYCLE = told("cycle", 3, BACKEND)


@pytest.mark.parametrize(
    ("plain", "cycles", "expected"),
    [
        pytest.param(PLAIN, [], None, id="no-cycle"),
        pytest.param(None, [CYCLE], SplitOrder("cycle", ("cycle",), ""), id="nobody-told-it-plainly"),
        pytest.param(PLAIN, [CYCLE], SplitOrder("cycle", ("cycle",), "plain"), id="the-browser-has-the-path"),
        pytest.param(
            told("plain", 5, BACKEND),
            [told("cycle", 9, BROWSER)],
            SplitOrder("cycle", ("cycle",), "cycle"),
            id="cycle-has-it",
        ),
        pytest.param(
            told("plain", 5, BACKEND), [CYCLE], SplitOrder("cycle", ("cycle",), "cycle"), id="of-equals-the-earliest"
        ),
        pytest.param(
            told("plain", 3, BACKEND), [CYCLE], SplitOrder("cycle", ("cycle",), "cycle"), id="at-one-time-the-lower-id"
        ),
        pytest.param(
            PLAIN, [CYCLE, told("other", 2, BACKEND)], SplitOrder("other", ("other", "cycle"), "plain"), id="several"
        ),
        pytest.param(
            PLAIN,
            [CYCLE, told("other", 2, BACKEND, is_retracted=True)],
            SplitOrder("cycle", ("cycle",), "plain"),
            id="one-of-several-was-a-mistake",
        ),
        pytest.param(
            PLAIN,
            [told("cycle", 3, BACKEND, is_retracted=True), told("other", 2, BACKEND, is_retracted=True)],
            SplitOrder("other", ("other",), "plain"),
            id="all-were-taken-back",
        ),
        pytest.param(
            PLAIN,
            [CYCLE, told("s1", 2, BACKEND, is_frozen=True)],
            SplitOrder("s1", ("s1", "cycle"), "s1"),
            id="one-of-several-was-erased",
        ),
        pytest.param(
            PLAIN,
            [CYCLE, told("s1", 2, BACKEND, is_frozen=True, is_gone=True)],
            SplitOrder("cycle", ("s1", "cycle"), "s1"),
            id="one-of-several-was-erased-when-all-was-taken-back",
        ),
        pytest.param(
            PLAIN,
            [told("s1", 3, BACKEND, is_frozen=True)],
            SplitOrder("s1", ("s1",), "s1"),
            id="the-only-one-was-erased",
        ),
    ],
)
def test_an_order_told_in_two_ways_is_one(plain: Told | None, cycles: list[Told], expected: SplitOrder | None) -> None:
    assert split_order(plain, cycles) == expected
    assert split_order(plain, list(reversed(cycles))) == expected
