"""Trims the conversion log behind what every group has finished."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from tributary_runtime.errors import TributaryError
from tributary_storage.redis.conversion_log import ConversionLogKeeping

log = structlog.get_logger(__name__)

_TRIM_SECONDS: Final = 60.0


class Retention:
    """The loop that trims.

    Args:
        keeping: Of the conversion log.
        horizon_seconds: How long revisions stay after they were planned.
    """

    name = "retention"

    def __init__(self, keeping: ConversionLogKeeping, horizon_seconds: float) -> None:
        self._keeping = keeping
        self._horizon_seconds = horizon_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Trims once a minute until stopped."""
        while not stop.is_set():
            try:
                await self._keeping.trim(self._horizon_seconds)
            except TributaryError as failure:
                log.warning("trim_postponed", reason=str(failure))
            try:
                async with asyncio.timeout(_TRIM_SECONDS):
                    await stop.wait()
            except TimeoutError:
                pass
