"""How full the log's Redis is: above a soft limit new events are refused, so that its workers can still drain it.

The one rule: the measure is taken beside the calls, never on their way; it may be a moment old.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import redis.asyncio
import structlog

from tributary_storage.redis.cluster_nodes import ask_each

log = structlog.get_logger(__name__)

SOFT_LIMIT: Final = 0.85
"""Of the memory it may use. At all of it Redis itself refuses, workers too."""

CHECK_SECONDS: Final = 0.25


class LogFill:
    """A loop that watches the memory of one Redis, held against `maxmemory` or else against the machine's.

    Args:
        client: Of the role *log*.
        soft_limit: Share of that memory from which on it counts as full.
    """

    name = "fill"

    def __init__(self, client: redis.asyncio.Redis, soft_limit: float = SOFT_LIMIT) -> None:
        self._client: Any = client
        self._soft_limit = soft_limit
        self.share = 0.0
        """Of the memory it may use, when last measured."""
        self._used_bytes = self._limit_bytes = 0

    def room_bytes(self, unread_bytes: int) -> int:
        """Returns how much may be unread before the log is full, if so much is unread now."""
        return max(0, int(self._limit_bytes * self._soft_limit) - self._used_bytes + unread_bytes)

    @property
    def is_full(self) -> bool:
        """Whether it is over its soft limit. Never blocks."""
        return self.share >= self._soft_limit

    async def run(self, stop: asyncio.Event) -> None:
        """Measures until stopped; keeps the last measure while Redis does not answer."""
        while not stop.is_set():
            await self.measure()
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def measure(self) -> None:
        """Measures once."""
        was_full = self.is_full
        try:
            told = await ask_each(self._client, lambda node: node.info("memory"))
        except redis.RedisError:
            return
        answers = [one for one in told if not isinstance(one, redis.RedisError)]
        if not answers:
            return
        found = []
        for told in answers:
            limit = int(told.get("maxmemory", 0)) or int(told.get("total_system_memory", 0))
            # What replicas and the append-only file buffer does not count against the limit.
            found.append((int(told["used_memory"]) - int(told.get("mem_not_counted_for_evict", 0)), limit))
        self._used_bytes, self._limit_bytes = sum(used for used, _ in found), sum(limit for _, limit in found)
        self.share = max((used / limit for used, limit in found if limit), default=0.0)  # the fullest node decides
        if self.is_full != was_full:
            log.warning("log_fill_changed", is_full=self.is_full, share=round(self.share, 3))
