"""The asyncio client: as `sync`, without blocking the loop.

The one rule: only the waiting differs. The work is done by the same thread, which a busy loop cannot hold up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Self

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_client.client import BaseClient
from tributary_client.entry import Entry
from tributary_client.event_ids import with_id
from tributary_client.fields import EventFields
from tributary_client.sync import CLOSE_SECONDS


class AsyncTributary(BaseClient[Coroutine[Any, Any, str]]):
    """Tracks events in the background, or sends them and returns their verdicts; from any event loop.

    async with AsyncTributary("ingest.example.com:443", api_key=key, tls=Tls()) as tributary:
        await tributary.track_touchpoint(visitor_id="v-1", page_url=url, user_agent=agent)
    """

    async def track(self, event: Event, *, traceparent: str | None = None) -> str:
        """Tracks an event made by hand. As `Tracking.track`."""
        event = with_id(event)
        await self._put_entry(self._entry(event, traceparent, is_stamped=False))
        return event.event_id

    async def ingest(
        self, events: Iterable[Event], *, validate_only: bool = False, backfill: bool = False
    ) -> list[EventVerdict]:
        """Sends 1-1000 events now and returns one verdict per event, in order. As `Tributary.ingest`."""
        exchange = self._exchange(events, validate_only=validate_only, backfill=backfill)
        return await asyncio.wrap_future(exchange.future)

    async def flush(self, timeout: float = CLOSE_SECONDS) -> bool:  # noqa: ASYNC109 - the same arguments as `Tributary`
        """Waits until everything tracked until now is decided or dropped; tells whether it was in time."""
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wrap_future(self._engine.flush())
        except TimeoutError:
            return False
        return True

    async def close(self, timeout: float = CLOSE_SECONDS) -> None:  # noqa: ASYNC109 - as above
        """Takes no more, and waits for what was tracked. As `Tributary.close`."""
        await asyncio.to_thread(self._engine.close, timeout)

    async def __aenter__(self) -> Self:
        """Opens the spool, if there is one, and returns itself. As `Tributary.__enter__`."""
        await asyncio.to_thread(self._engine.open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the client."""
        await self.close()

    async def _put(self, event: Event, fields: EventFields) -> str:
        await self._put_entry(self._entry_of(event, fields))
        return event.event_id

    async def _put_entry(self, entry: Entry) -> None:
        seconds = self._wait_seconds
        room = await self._offer(entry, waits=seconds > 0)
        if room is None:
            return
        end_time = asyncio.get_running_loop().time() + seconds
        while room is not None:
            try:
                async with asyncio.timeout_at(end_time):  # not what follows: what was refused must not be taken later
                    await asyncio.wrap_future(room)
            except TimeoutError:
                self._refuse(entry)
                return
            room = await self._offer(entry, waits=True)

    async def _offer(self, entry: Entry, *, waits: bool) -> Future[None] | None:
        if self._waits_for_disk:
            return await asyncio.to_thread(partial(self._engine.offer, entry, waits=waits))
        return self._engine.offer(entry, waits=waits)
