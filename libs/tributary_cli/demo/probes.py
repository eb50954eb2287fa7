"""Measures how long it takes from a caller's send until a conversion is in a report: one probe at a time.

Probes are not of the script, and are counted apart from it everywhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from tributary.event.v1.event_pb2 import Event
from tributary_runtime.clock import Clock

PROBE_NAME: Final = "probe"
"""The conversion name of probes; so they are told apart in every report."""

LEAST: Final = 30
"""How many are measured however soon the traffic ends: a percentile of few says little."""

_PAUSE_SECONDS: Final = 0.25
_HURRIED_SECONDS: Final = 0.05
"""The pause once the traffic has ended."""
_POLL_SECONDS: Final = 0.02
"""Finer than what is measured needs; oftener, and the looks themselves would slow down what they look at."""


class Probes:
    """Sends conversions named `probe`, and waits for each to be counted."""

    def __init__(
        self, clock: Clock, send: Callable[[Event], Awaitable[None]], count: Callable[[], Awaitable[int]]
    ) -> None:
        """Keeps how to send, and how to ask a report for the number of probes."""
        self.seconds: list[float] = []
        self.sent: list[str] = []
        self._clock = clock
        self._send = send
        self._count = count

    async def run(self, ended: asyncio.Event) -> None:
        """Probes until the traffic has ended and enough were measured; a probe under way is finished.

        When cancelled, it is abandoned, but stays in `sent`.
        """
        while not ended.is_set() or len(self.seconds) < LEAST:
            await asyncio.sleep(_HURRIED_SECONDS if ended.is_set() else _PAUSE_SECONDS)
            event_id = f"p-{len(self.sent):06d}"
            event = Event(event_id=event_id)
            event.event_time.FromDatetime(self._clock.now() - timedelta(seconds=1))
            event.conversion.name = PROBE_NAME
            event.identifiers.visitor_id = f"probe-{event_id}"
            self.sent.append(event_id)
            started = time.perf_counter()
            await self._send(event)
            while await self._count() < len(self.sent):  # noqa: ASYNC110 - another process's state has no event
                await asyncio.sleep(_POLL_SECONDS)
            self.seconds.append(time.perf_counter() - started)
