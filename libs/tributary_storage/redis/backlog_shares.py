"""Whose unread events the event log holds: what each workspace appended since the oldest entry that is not finished.

The one rule: off the path of acknowledgements. Each process counts what it admits in memory, and adds it once a second
to what all have counted, in slots of ten seconds; so shares are right to within ten seconds of traffic.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import redis.asyncio
import structlog

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.backlogs import oldest_unfinished_micros
from tributary_storage.redis.fill import LogFill
from tributary_storage.redis.keys import LANES, Lane

log = structlog.get_logger(__name__)

SLOT_SECONDS: Final = 10
REFRESH_SECONDS: Final = 1.0
LIFE_SECONDS: Final = 86_400
_SLOTS_AT_ONCE: Final = 500
_STILL_OPEN: Final = 2
"""Slots before the current one that a process may still add to."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Whose unread events the log holds."""

    unread_bytes: Mapping[Lane, Mapping[str, int]] = field(default_factory=dict)
    """Per lane and workspace."""
    age_seconds: Mapping[Lane, float] = field(default_factory=dict)
    """Per lane of the oldest entry that a group has not finished; 0: none waits."""
    room_bytes: int = 0
    """How much the log may hold unread before it is full, what it holds now included."""


class BacklogShares:
    """A loop that keeps `current`.

    Args:
        client: Of the role *log*.
        shards: Of the epoch.
        fill: How full the log is.
    """

    name = "backlog_shares"

    def __init__(self, client: redis.asyncio.Redis, shards: int, fill: LogFill) -> None:
        self._client: Any = client
        self._shards = shards
        self._fill = fill
        self._counted: Counter[str] = Counter()
        self._closed: dict[int, dict[str, int]] = {}
        self.current = Shares()
        """As of the last refresh."""

    def count(self, workspace: str, lane: Lane, size: int) -> None:
        """Counts what was appended for a workspace. Never blocks."""
        self._counted[f"{workspace}|{lane}"] += size

    async def run(self, stop: asyncio.Event) -> None:
        """Refreshes until stopped; keeps what it knows while Redis does not answer."""
        while not stop.is_set():
            try:
                await self.refresh()
            except StorageUnavailableError as error:
                log.warning("backlog_unknown", reason=error.message)
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        """Tells what was counted here, and reads what all have counted.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        try:
            seconds, micros = await self._client.time()
            now_micros = int(seconds) * 1_000_000 + int(micros)
            slot = int(seconds) // SLOT_SECONDS
            await self._add(slot)
            oldest = {lane: await oldest_unfinished_micros(self._client, self._shards, lane) for lane in LANES}
            first = min(
                [slot, *[found // (SLOT_SECONDS * 1_000_000) for found in oldest.values() if found is not None]]
            )
            slots = await self._slots(max(first, slot - LIFE_SECONDS // SLOT_SECONDS), slot)
        except redis.RedisError as error:
            raise StorageUnavailableError("The event log did not answer.", metadata={"store": "log"}) from error
        unread: dict[Lane, dict[str, int]] = {}
        for lane in LANES:
            since = oldest[lane]
            counts = unread[lane] = {}
            if since is None:
                continue
            for number, slot_counts in slots.items():
                if number < _slot_of(since):
                    continue
                for name, size in slot_counts.items():
                    workspace, _, of_lane = name.rpartition("|")
                    if of_lane == lane:
                        counts[workspace] = counts.get(workspace, 0) + size
        total = sum(sum(counts.values()) for counts in unread.values())
        ages = {lane: 0.0 if since is None else max(0.0, (now_micros - since) / 1e6) for lane, since in oldest.items()}
        self.current = Shares(unread, ages, self._fill.room_bytes(total))

    async def _add(self, slot: int) -> None:
        """Adds what was counted here to the current slot."""
        counted, self._counted = self._counted, Counter()
        if not counted:
            return
        pipeline = self._client.pipeline(transaction=False)
        name = keys.backlog_slot(slot)
        for field_name, size in counted.items():
            pipeline.hincrby(name, field_name, size)
        pipeline.expire(name, LIFE_SECONDS)
        try:
            await pipeline.execute()
        except redis.RedisError:
            self._counted.update(counted)
            raise

    async def _slots(self, first: int, last: int) -> dict[int, dict[str, int]]:
        """Returns what all have counted; slots that nobody adds to any more are read once."""
        self._closed = {number: counts for number, counts in self._closed.items() if number >= first}
        wanted = [number for number in range(first, last + 1) if number not in self._closed]
        found = dict(self._closed)
        for start in range(0, len(wanted), _SLOTS_AT_ONCE):
            some = wanted[start : start + _SLOTS_AT_ONCE]
            pipeline = self._client.pipeline(transaction=False)
            for number in some:
                pipeline.hgetall(keys.backlog_slot(number))
            for number, counts in zip(some, await pipeline.execute(), strict=True):
                found[number] = {name.decode(): int(size) for name, size in counts.items()}
                if number < last - _STILL_OPEN:
                    self._closed[number] = found[number]
        return found


def _slot_of(micros: int) -> int:
    return micros // (SLOT_SECONDS * 1_000_000)
