"""What a key and a workspace may take, checked before a call is mixed with others.

The one rule: a limit is enforced where its owner alone pays for it. A key over its rate is told when to come back; a
workspace that holds more than its share of the log's room is told so before the log is full for everybody; one that
holds more than its share of the live lane goes on in the bulk lane, also while nobody else is there: who comes next
shall find the live lane free. What cannot be known refuses nobody; while nobody counts over all replicas, each keeps to
its part of a rate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import grpc
import structlog

from tributary.dedup.v1 import dedup_service_pb2
from tributary_runtime.authentication import Caller
from tributary_runtime.clock import Clock
from tributary_runtime.errors import OverloadedError
from tributary_runtime.workspaces_file import WorkspacesFile

if TYPE_CHECKING:  # exists for type checkers only
    from tributary.dedup.v1.dedup_service_pb2_grpc import DedupServiceAsyncStub

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 0.5
STALE_SECONDS: Final = 5.0
"""What is known of the backlog counts for so long."""
WAITS_SECONDS: Final = 1.0
"""From this age of its oldest entry on the live lane counts as one where events wait."""
FLOOD_BYTES: Final = 1024 * 1024
"""Unread events of a workspace that is alone in a live lane where events wait are a flood from here on. Less is worked
off in some tenths of a second, so what makes it wait is no flood: a worker that starts, or a store that is away."""
BACKLOG_RETRY_SECONDS: Final = 2.0


class Rates(Protocol):
    """Rates that all replicas share, as `SharedRates`."""

    async def take(self, name: str, per_second: int, units: int) -> float:
        """Takes units; returns 0, or after how many seconds there could be some."""
        ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """Whose unread events the log holds."""

    live_bytes: Mapping[str, int] = field(default_factory=dict)
    bulk_bytes: Mapping[str, int] = field(default_factory=dict)
    live_total: int = 0
    live_age_seconds: float = 0.0
    room_bytes: int = 0


class BacklogWatch:
    """A loop that asks dedup whose unread events the log holds.

    Args:
        dedup: Its stub, on a channel that carries the internal token.
        clock: Tells how old an answer is.
    """

    name = "backlog_watch"

    def __init__(self, dedup: DedupServiceAsyncStub, clock: Clock) -> None:
        self._dedup = dedup
        self._clock = clock
        self._known = Backlog()
        self._known_seconds = -STALE_SECONDS

    @property
    def current(self) -> Backlog:
        """What is known; nothing, if that is old. Never blocks."""
        if self._clock.monotonic_seconds() - self._known_seconds > STALE_SECONDS:
            return _NOTHING
        return self._known

    async def run(self, stop: asyncio.Event) -> None:
        """Asks until stopped."""
        while not stop.is_set():
            try:
                self.learn(
                    await self._dedup.GetBacklog(dedup_service_pb2.GetBacklogRequest(), timeout=POLL_SECONDS * 4)
                )
            except grpc.aio.AioRpcError as error:
                log.debug("backlog_unknown", code=error.code().name)
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    def learn(self, answer: dedup_service_pb2.GetBacklogResponse) -> None:
        """Takes an answer of dedup as what is known now."""
        live = {one.workspace: one.live_bytes for one in answer.workspaces}
        bulk = {one.workspace: one.bulk_bytes for one in answer.workspaces}
        age_seconds = answer.live_age.seconds + answer.live_age.nanos / 1e9
        self._known = Backlog(live, bulk, sum(live.values()), age_seconds, answer.room_bytes)
        self._known_seconds = self._clock.monotonic_seconds()


_NOTHING: Final = Backlog()


class Quotas:
    """Decides whether a call may go on, and in which lane.

    Args:
        workspaces: What is declared of keys and workspaces.
        rates: Counts over all replicas.
        backlog: Whose unread events the log holds.
    """

    def __init__(self, workspaces: WorkspacesFile, rates: Rates, backlog: BacklogWatch) -> None:
        self._workspaces = workspaces
        self._rates = rates
        self._backlog = backlog

    async def check_key(self, caller: Caller, events: int, size: int) -> None:
        """Takes a call from the rates of its key.

        Args:
            caller: Whose call it is.
            events: How many it brings.
            size: In bytes.

        Raises:
            OverloadedError: The key is over its rate; with the time to come back.
        """
        _, key = self._workspaces.current.by_key_id.get(caller.key_id, (None, None))
        if key is None:
            return
        if key.events_per_second is not None:
            await self._take(key.id, "events", key.events_per_second, events)
        if key.bytes_per_second is not None:
            await self._take(key.id, "bytes", key.bytes_per_second, size)

    async def check_bytes(self, caller: Caller, size: int) -> None:
        """Takes what holds no events, an import or what cannot be read, from the rate of bytes of its key.

        Raises:
            OverloadedError: The key is over its rate; with the time to come back.
        """
        _, key = self._workspaces.current.by_key_id.get(caller.key_id, (None, None))
        if key is not None and key.bytes_per_second is not None:
            await self._take(key.id, "bytes", key.bytes_per_second, size)

    async def is_bulk(self, caller: Caller, events: int) -> bool:
        """Tells whether the events of a call, which are no backfill, go to the bulk lane.

        Raises:
            OverloadedError: The workspace holds its share of the log's room already.
        """
        workspace_id = caller.workspace_id
        self.check_room(workspace_id)
        limits = self._workspaces.get(workspace_id).limits
        if self._floods(workspace_id, limits.live_percent):
            return True
        if limits.live_events_per_second is None:
            return False
        return await self._rates.take(f"live:{workspace_id}", limits.live_events_per_second, events) > 0

    def _floods(self, workspace_id: str, live_percent: int) -> bool:
        """Tells whether a workspace holds more than its share of a live lane where events wait."""
        backlog = self._backlog.current
        own = backlog.live_bytes.get(workspace_id, 0)
        if backlog.live_age_seconds < WAITS_SECONDS or own * 100 <= live_percent * backlog.live_total:
            return False
        if own < backlog.live_total:  # others wait too
            return True
        return own >= FLOOD_BYTES and len(self._workspaces.current.by_id) > 1  # where another one could come

    def check_room(self, workspace_id: str) -> None:
        """Refuses a workspace whose unread events hold its share of the log's room.

        Raises:
            OverloadedError: They do.
        """
        backlog = self._backlog.current
        own = backlog.live_bytes.get(workspace_id, 0) + backlog.bulk_bytes.get(workspace_id, 0)
        if not own or own * 100 <= self._workspaces.get(workspace_id).limits.backlog_percent * backlog.room_bytes:
            return
        message = "Too many events of this workspace wait to be worked on; send the same again, later."
        raise OverloadedError(
            message,
            quota_subject=f"workspace:{workspace_id}",
            retry_delay_seconds=BACKLOG_RETRY_SECONDS,
            reason="BACKLOG_SHARE_EXCEEDED",
        )

    async def _take(self, key_id: str, what: str, per_second: int, units: int) -> None:
        wait_seconds = await self._rates.take(f"key:{key_id}:{what}", per_second, units)
        if wait_seconds:
            message = f"This API key may send {per_second} {what} per second; send the same again, later."
            raise OverloadedError(
                message,
                quota_subject=f"key:{key_id}",
                retry_delay_seconds=wait_seconds,
                reason="KEY_RATE_EXCEEDED",
            )
