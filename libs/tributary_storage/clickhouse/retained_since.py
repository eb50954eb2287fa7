"""Since when workspaces have person-level events, known without asking: a loop that reads it again and again.

The one rule: who was never told knows nothing. Until it was read once there is no answer, for "since ever" would be a
wrong one; later an outage leaves what was known, which only grows.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from tributary_runtime.errors import StorageUnavailableError, TributaryError
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.retention import RetentionRecords

log = structlog.get_logger(__name__)

REFRESH_SECONDS: Final = 60.0
"""How long after it was stored it may not be known everywhere."""

_ANSWER_SECONDS: Final = 2.0
"""How long who waits for an answer of ours waits for one of ClickHouse."""


class RetainedSince:
    """Knows it, for all workspaces.

    Args:
        clickhouse: Where it is stored.
    """

    name = "retained-since"

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._records = RetentionRecords(clickhouse)
        self._known: dict[str, int] | None = None

    def known(self, workspace: str) -> int:
        """Returns since when a workspace has events of people, in microseconds, as far as is known; 0: since ever."""
        return 0 if self._known is None else self._known.get(workspace, 0)

    async def of(self, workspace: str) -> int:
        """Returns the same; asks, if it was never told.

        Raises:
            StorageUnavailableError: ClickHouse did not answer, and never did.
        """
        if self._known is None:
            await self.refresh()
        return self.known(workspace)

    async def newest(self, workspace: str) -> int:
        """Returns the same as it is stored now.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        await self.refresh()
        return self.known(workspace)

    async def lately(self, workspace: str) -> int:
        """Returns the same as it is stored now, or as it was known while ClickHouse does not answer.

        Raises:
            StorageUnavailableError: It did not answer, and never did.
        """
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self.refresh()
        except (StorageUnavailableError, TimeoutError) as outage:
            if self._known is None:
                message = "Since when the workspace has events of people cannot be told now; send the same batch again."
                raise StorageUnavailableError(message, metadata={"store": "clickhouse"}) from outage
        return self.known(workspace)

    async def refresh(self) -> None:
        """Reads it again.

        Raises:
            StorageUnavailableError: ClickHouse did not answer; what was known still is.
        """
        states = await self._records.states()
        known = self._known or {}
        since = {name: max(state.since_micros, known.get(name, 0)) for name, state in states.items()}
        self._known = {**known, **since}

    async def run(self, stop: asyncio.Event) -> None:
        """Reads until stopped; an outage is for the next time."""
        while not stop.is_set():
            try:
                await self.refresh()
            except StorageUnavailableError as outage:
                log.warning("retention_not_read", reason=outage.message)
            except TributaryError as failure:
                log.error("retention_not_read", reason=failure.message)
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue
