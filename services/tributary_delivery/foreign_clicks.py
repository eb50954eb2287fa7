"""Clicks that a destination says belong to another account: one is that conversion's misfortune, all are ours.

The one rule: a click of another account says nothing of the next one, which is taken if it is the account's. So such a
conversion is given up with the reason, and nobody else waits. Only when many in a row were refused for that, in however
many requests, and nothing was taken between, is it the account that is wrong: from then on it is a fault of the
configuration, until something is taken again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tributary_delivery.attempt import CONFIG_PAUSE_SECONDS
from tributary_delivery.destinations.destination import CONFIG, Outcome

FOREIGN_IN_A_ROW: Final = 20
"""When so many were refused, and nothing was taken between, it is not the clicks that are wrong."""


class ForeignClicks:
    """Counts them for one lane, as one process sees it."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def judge(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Returns the outcomes of a call as they are to be understood; those that wait then were not taken."""
        if any(one.is_ok for one in outcomes):
            self._in_a_row = 0
            return list(outcomes)
        self._in_a_row += sum(one.is_foreign for one in outcomes)
        if self._in_a_row < FOREIGN_IN_A_ROW:
            return list(outcomes)
        return [self._ours(one) if one.is_foreign else one for one in outcomes]

    def _ours(self, refused: Outcome) -> Outcome:
        why = f"Is it the account that these clicks belong to? {self._in_a_row} in a row do not. {refused.message}"
        return replace(refused, outcome=CONFIG, message=why, retry_after_seconds=CONFIG_PAUSE_SECONDS, is_foreign=False)
