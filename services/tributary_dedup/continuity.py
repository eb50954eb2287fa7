"""Refuses to acknowledge on an event log that is older than what ClickHouse has recorded from it.

The one rule: a log that ends before the last recorded place has lost acknowledged events and their claims, however
healthy it looks: it was restored from a copy. Somebody must look, and confirm.

Asked at the start and whenever Redis was restarted. While ClickHouse does not answer the question stays open and work
goes on: an outage of ClickHouse must not stop the door.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from tributary_runtime.errors import PreconditionError, UnavailableError
from tributary_storage.redis.keys import Lane

log = structlog.get_logger(__name__)

Position = tuple[int, int]
Positions = dict[tuple[int, Lane], Position]

_SHOWN: Final = 3
_RECORD_SECONDS: Final = 3.0
"""How long ClickHouse may take; shorter than a commit, which may wait for it on a new connection."""


class Log(Protocol):
    """The event log."""

    async def last_positions(self) -> Positions:
        """Returns the last id each stream has given out."""
        ...

    async def run_id(self) -> str:
        """Returns what names this run of the Redis server."""
        ...


class Record(Protocol):
    """What was recorded of the log."""

    async def last_positions(self) -> Positions:
        """Returns the highest place recorded of each stream; streams of which nothing was are missing."""
        ...


class Continuity:
    """A guard.

    Args:
        event_log: What is there.
        record: What was there.
        is_confirmed: Whether an operator has said that an older log is meant.
    """

    name = "log:continuity"

    def __init__(self, event_log: Log, record: Record, *, is_confirmed: bool) -> None:
        self._event_log = event_log
        self._record = record
        self._is_confirmed = is_confirmed
        self._checked_run = ""

    async def __call__(self) -> None:
        """Returns if the log has everything that was recorded of it, or if that cannot be asked now.

        Raises:
            PreconditionError: It is an older copy.
            StorageUnavailableError: The log does not answer.
        """
        run = await self._event_log.run_id()
        if run == self._checked_run:
            return
        try:
            async with asyncio.timeout(_RECORD_SECONDS):
                recorded = await self._record.last_positions()
        except (UnavailableError, TimeoutError) as outage:
            log.warning("continuity_unknown", reason=str(outage) or "ClickHouse did not answer in time.")
            return
        there = await self._event_log.last_positions()
        behind = sorted(stream for stream, position in recorded.items() if there.get(stream, (0, 0)) < position)
        if behind and not self._is_confirmed:
            streams = ", ".join(f"{shard}/{lane}" for shard, lane in behind[:_SHOWN])
            message = (
                f"The event log is older than what ClickHouse has recorded of it ({streams}; {len(behind)} streams in "
                "all): it was restored from a copy, or ClickHouse belongs to another installation. If it is meant, set "
                "TRIBUTARY_DEDUP_ACCEPT_OLDER_LOG=true until the log has caught up."
            )
            raise PreconditionError(message, subject="redis:log", reason="LOG_OLDER_THAN_RECORD")
        if behind:
            log.warning("older_log_accepted", streams=len(behind))
        self._checked_run = run
