"""Sends a script at a steady pace over several connections, and measures how long every call took."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import VERDICT_DUPLICATE, EventVerdict, Verdict
from tributary_cli.demo.script import Expected, Sending
from tributary_client import AsyncTributary, RetryPolicy

CONNECTIONS: Final = 4
_BATCH: Final = 40


@dataclass(slots=True)
class Tally:
    """What the caller saw: nothing here comes from the system's own counters."""

    sent: int = 0
    resent: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    ack_seconds: list[float] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    """Verdicts that an undisturbed run must not give, as sentences; at most 20."""
    conversion_ids: dict[str, str] = field(default_factory=dict)
    """Event id -> the conversion id that was answered."""

    def take(self, sending: Sending, verdict: EventVerdict) -> None:
        """Counts one verdict."""
        name = Verdict.Name(verdict.verdict).removeprefix("VERDICT_").lower()
        self.verdicts[name] += 1
        if verdict.conversion_id:
            self.conversion_ids[sending.event.event_id] = verdict.conversion_id
        # Which of two simultaneous copies, or of two observations, is first is chance: only their sum is known.
        racy = {"accepted", "duplicate"}
        expected = sending.expected.value
        if sending.expected is Expected.QUARANTINED and verdict.verdict == VERDICT_DUPLICATE:
            first = Verdict.Name(verdict.first_verdict)  # the answer before was lost
            name = first.removeprefix("VERDICT_").lower()
        if name != expected and not {name, expected} <= racy and len(self.surprises) < 20:
            reasons = "; ".join(reason.message for reason in verdict.reasons)
            self.surprises.append(f"{sending.event.event_id}: expected {expected}, was {name} ({reasons})")


class Sender:
    """Open connections to the door; used inside `async with`."""

    def __init__(self, target: str, api_key: str, tally: Tally, progress: Callable[[int], None]) -> None:
        """Connects lazily.

        Args:
            target: Address of the ingestion service.
            api_key: Key with the scope `ingest`.
            tally: Where the answers are counted.
            progress: Called with the number of events newly answered.
        """
        # Patient enough for every service to be killed and started again meanwhile.
        retry = RetryPolicy(total_seconds=90, max_delay_seconds=1.0, attempt_seconds=5)
        self._clients = [AsyncTributary(target, api_key=api_key, retry=retry) for _ in range(CONNECTIONS)]
        self._closing = AsyncExitStack()
        self._tally = tally
        self._progress = progress

    async def __aenter__(self) -> Sender:
        """Opens the connections."""
        for client in self._clients:
            await self._closing.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the connections."""
        self._tally.resent = sum(client.resent_events for client in self._clients)
        await self._closing.aclose()

    async def send(self, sendings: list[Sending], events_per_second: float) -> None:
        """Sends everything, in order per connection, and returns when all is answered.

        Raises:
            TributaryClientError: A call was not answered in time, or can never be.
        """
        lanes: list[list[Sending]] = [[] for _ in self._clients]
        lane = 0
        for sending in sendings:
            lane = (lane + 1) % len(lanes)
            lanes[lane].append(sending)
        async with asyncio.TaskGroup() as group:
            for client, share in zip(self._clients, lanes, strict=True):
                group.create_task(self._send_lane(client, share, events_per_second / len(lanes)))

    async def probe(self, event: Event) -> None:
        """Sends one event by itself, not counted as part of the script."""
        await self._clients[0].ingest([event])

    async def _send_lane(self, client: AsyncTributary, share: list[Sending], events_per_second: float) -> None:
        started = time.monotonic()
        for offset in range(0, len(share), _BATCH):
            await asyncio.sleep(max(0.0, started + offset / events_per_second - time.monotonic()))
            batch = share[offset : offset + _BATCH]
            before = time.perf_counter()
            verdicts = await client.ingest([sending.event for sending in batch])
            self._tally.ack_seconds.append(time.perf_counter() - before)
            self._tally.sent += len(batch)
            for sending, verdict in zip(batch, verdicts, strict=True):
                self._tally.take(sending, verdict)
            self._progress(len(batch))
