"""Keeps the conversion log for its replay horizon."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from tributary_runtime.errors import TributaryError

log = structlog.get_logger(__name__)

_TRIM_SECONDS: Final = 15.0


class Keeping(Protocol):
    """The conversion log as seen from outside of its readers."""

    async def trim(self, horizon_seconds: float) -> int:
        """Removes what every group has finished and is older; returns how many revisions. May run twice."""
        ...


class Retention:
    """A loop that trims the conversion log.

    Args:
        keeping: What trims.
        horizon_seconds: How long finished revisions are kept.
    """

    name = "retention"

    def __init__(self, keeping: Keeping, horizon_seconds: float) -> None:
        self._keeping = keeping
        self._horizon_seconds = horizon_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Trims until stopped; an outage is for the next time."""
        while not stop.is_set():
            try:
                removed = await self._keeping.trim(self._horizon_seconds)
            except TributaryError as failure:
                log.warning("trim_failed", reason=failure.message)
            else:
                if removed:
                    log.info("log_trimmed", entries=removed)
            try:
                async with asyncio.timeout(_TRIM_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue
