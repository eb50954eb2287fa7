"""Clicks that a destination says belong to another account: one is that conversion's misfortune, all are ours.

The one rule: a click of another account says nothing of the next one, which is taken if it is the account's. So such a
conversion is given up with the reason, and nobody else waits. It is the account that is wrong, and a fault of the
configuration until something is taken, where nothing was ever taken under this account, or where many in a row were
refused for that, in however many requests of whatever process, and nothing was taken between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from tributary_delivery.attempt import CONFIG_PAUSE_SECONDS
from tributary_delivery.destinations.destination import CONFIG, RETRY, Outcome
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import UnavailableError
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates

log = structlog.get_logger(__name__)

FOREIGN_IN_A_ROW: Final = 20
"""When so many were refused, and nothing was taken between, it is not the clicks that are wrong."""


class ForeignClicks:
    """Judges those of one lane, by what all replicas saw.

    Args:
        lane: Which.
        settings: Of the destination: under which account it is called now.
        states: Where is counted.
    """

    def __init__(self, lane: Lane, settings: DestinationSettings, states: DestinationStates) -> None:
        self._lane = lane
        self._account = settings.account
        self._is_told = settings.tells_foreign_clicks
        self._states = states

    async def judge(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Returns the outcomes of a call as they are to be understood; those that wait then were not taken."""
        refused = sum(one.is_foreign for one in outcomes)
        is_taken = any(one.is_ok for one in outcomes)
        if not self._is_told or not (refused or is_taken):
            return list(outcomes)
        try:
            if is_taken:
                await self._states.took(self._lane, self._account)
                return list(outcomes)
            in_a_row = await self._states.count_foreign(self._lane, self._account, refused)
        except UnavailableError as outage:
            log.warning("foreign_clicks_not_counted", destination=self._lane.destination, reason=str(outage))
            return list(outcomes) if is_taken else [_undecided(one) if one.is_foreign else one for one in outcomes]
        return [understood(one, self._account, in_a_row) if one.is_foreign else one for one in outcomes]


def understood(refused: Outcome, account: str, in_a_row: int | None) -> Outcome:
    """Returns what it comes to that a conversion was refused as another account's.

    Args:
        refused: As the destination said it.
        account: Under which it was sent.
        in_a_row: How many were, this one among them, since something was taken; None: nothing ever was.
    """
    if in_a_row is None:  # due as soon as the pause is over: whoever sets the account right ends it
        why = f"Is {account} the account that these clicks belong to? It has taken nothing yet. {refused.message}"
        return replace(refused, outcome=CONFIG, message=why, is_foreign=False)
    if in_a_row < FOREIGN_IN_A_ROW:
        return refused
    # Due after what others plan during the pause: should the account be right, one of those shows it. Whoever ends the
    # pause before its time has them due then, after those as well (`DestinationStates.release`).
    why = f"Is {account} the account that these clicks belong to? {in_a_row} in a row do not. {refused.message}"
    return replace(refused, outcome=CONFIG, message=why, retry_after_seconds=CONFIG_PAUSE_SECONDS, is_foreign=False)


def _undecided(refused: Outcome) -> Outcome:
    """Returns what is asked once more: nobody could tell whether it is the click or the account that is wrong."""
    return replace(refused, outcome=RETRY, is_foreign=False)
