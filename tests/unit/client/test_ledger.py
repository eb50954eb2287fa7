"""Waiting for what was handed over until now."""

from __future__ import annotations

from tributary_client.ledger import Ledger


def test_a_wait_is_over_when_everything_before_it_is_settled_and_not_what_came_later() -> None:
    ledger = Ledger()
    first, second = ledger.issue(), ledger.issue()
    wait = ledger.wait()
    third = ledger.issue()
    ledger.settle(second)
    assert ledger.advance() == []
    assert (ledger.open, ledger.is_awaited) == (2, True)
    ledger.settle(first)
    assert ledger.advance() == [wait]
    assert (ledger.open, ledger.is_awaited) == (1, False)
    ledger.settle(third)
    ledger.advance()
    assert ledger.open == 0


def test_a_wait_for_nothing_is_over_at_once() -> None:
    ledger = Ledger()
    wait = ledger.wait()
    assert ledger.advance() == [wait]
