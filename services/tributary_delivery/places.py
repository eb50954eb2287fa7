"""Waits for a place in the quota of a lane, for what is under way already and needs another one.

The one rule: what waits stays whose it is, and asks as soon as there could be a place: before anything is begun that
would need one too. Otherwise what begins could take all places for ever, and nothing would come to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tributary_delivery.admission import Admission
from tributary_runtime.clock import Clock
from tributary_runtime.errors import UnavailableError
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates

_LOOK_SECONDS: Final = 1.0
"""How often it is looked, at least, whether the lane is stopped or paused, and what waits is still whose it is."""
_LEAST_SECONDS: Final = 0.01


class NoPlace(Exception):
    """There was none for as long as was waited.

    Args:
        wait_seconds: When there could be one.
    """

    def __init__(self, wait_seconds: float) -> None:
        super().__init__()
        self.wait_seconds = wait_seconds


class Places:
    """Those of one lane of one process.

    Args:
        lane: Which.
        settings: Digest of those that it is called under.
        states: Tells whether the destination is paused.
        admission: What calls may be made.
        clock: Tells and measures time.
    """

    def __init__(
        self, lane: Lane, settings: str, states: DestinationStates, admission: Admission, clock: Clock
    ) -> None:
        self._lane = lane
        self._settings = settings
        self._states = states
        self._admission = admission
        self._clock = clock
        self._is_stopping = False

    def stop(self) -> None:
        """Lets nobody wait any more."""
        self._is_stopping = True

    async def wait(self, hold: Callable[[], Awaitable[object]], longest_seconds: float | None = None) -> float:
        """Takes a place as soon as there is one; returns since when (monotonic), at the earliest, it is ours.

        Args:
            hold: Keeps what waits whose it is; raises if it is not any more.
            longest_seconds: For how long to wait; None: as long as it takes.

        Raises:
            NoPlace: There was none for so long.
            UnavailableError: It must not be waited any more: the lane is stopped or paused, or nobody can tell.
        """
        begin_seconds, wait_seconds = self._clock.monotonic_seconds(), 0.0
        while not self._is_stopping:
            state = await self._states.read(self._lane)
            if state.is_paused(self._clock.unix_micros() // 1000, self._settings):
                raise UnavailableError("The destination was paused meanwhile.")
            now_seconds = self._clock.monotonic_seconds()
            await hold()
            if wait_seconds <= 0:
                granted, wait_seconds = await self._admission.take(1)
                if granted:
                    return now_seconds
            if longest_seconds is not None and now_seconds - begin_seconds > longest_seconds:
                raise NoPlace(wait_seconds)
            slice_seconds = max(_LEAST_SECONDS, min(wait_seconds, _LOOK_SECONDS))
            await asyncio.sleep(slice_seconds)
            wait_seconds -= slice_seconds
        raise UnavailableError("The lane is being stopped; another one goes on.")
