"""Keeps the event log for its replay horizon, and no longer than memory allows.

The one rule: ClickHouse acknowledges before it is on its disk, so what it acknowledged is kept for a while: a day, or a
quarter of an hour where memory is scarce.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from tributary_runtime.errors import UnavailableError

log = structlog.get_logger(__name__)

LEAST_HORIZON_SECONDS: Final = 900
SCARCE_SHARE: Final = 0.5
"""Of the Redis memory in use: above it only the least horizon is kept."""

_TRIM_SECONDS: Final = 15.0


class Keeping(Protocol):
    """The log as seen from outside of its readers."""

    async def trim(self, horizon_seconds: float) -> int:
        """Removes what every group has finished and is older; returns how many entries. May run twice."""
        ...


class Fill(Protocol):
    """How full the log is."""

    @property
    def share(self) -> float:
        """Of the memory Redis may use, when last measured."""
        ...


class Retention:
    """A loop that trims the log.

    Args:
        keeping: What trims.
        fill: How full the log is.
        horizon_seconds: How long finished entries are kept.
    """

    name = "retention"

    def __init__(self, keeping: Keeping, fill: Fill, horizon_seconds: float) -> None:
        self._keeping = keeping
        self._fill = fill
        self._horizon_seconds = horizon_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Trims until stopped."""
        while not stop.is_set():
            await self.trim()
            try:
                async with asyncio.timeout(_TRIM_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def trim(self) -> None:
        """Trims once; an outage is for the next time."""
        is_scarce = self._fill.share > SCARCE_SHARE
        try:
            removed = await self._keeping.trim(LEAST_HORIZON_SECONDS if is_scarce else self._horizon_seconds)
        except UnavailableError as outage:
            log.warning("trim_failed", reason=outage.message)
            return
        if removed:
            log.info("log_trimmed", entries=removed, is_scarce=is_scarce)
