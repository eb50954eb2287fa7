"""Concurrent callers that retry with the same ids until they are answered, and the check of what they were told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import redis.asyncio

from tests.support.admissions import Sent, stored
from tributary.dedup.v1 import admitted_events_pb2
from tributary.event.v1 import verdict_pb2

Send = Callable[[Sequence[Sent]], Awaitable[Sequence[int]]]
"""Sends a batch and returns a verdict per event; raises if nobody knows what became of it."""

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
DUPLICATE = verdict_pb2.VERDICT_DUPLICATE
UNDECIDED = verdict_pb2.VERDICT_UNDECIDED
_PAUSE_SECONDS = 0.02


@dataclass
class Load:
    """Events that every one of several callers sends, each in its own order, until all are answered."""

    send: Send
    events: Sequence[Sent]
    callers: int = 4
    batch: int = 20
    answers: dict[str, Counter[int]] = field(default_factory=dict)
    """Per event id what its callers were told."""
    unanswered: int = 0
    """Batches whose answer never came: each may turn an ACCEPTED into a DUPLICATE."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    most: float = 1.0
    """Of the answers: who sends may wait while more are there."""

    async def run(self) -> None:
        """Returns when every caller has an answer for every event."""
        await asyncio.gather(*[self._call(seed) for seed in range(self.callers)])

    @property
    def progress(self) -> float:
        """Share of the answers that are there."""
        return sum(counter.total() for counter in self.answers.values()) / (len(self.events) * self.callers)

    async def _call(self, seed: int) -> None:
        events = list(self.events)
        random.Random(seed).shuffle(events)
        for at in range(0, len(events), self.batch):
            left = events[at : at + self.batch]
            while left:
                left = await self._attempt(left)

    async def _attempt(self, events: Sequence[Sent]) -> list[Sent]:
        """Returns what has to be sent again."""
        try:
            verdicts = await self.send(events)
        except Exception:  # whatever it was: nobody knows, so the same is sent again
            self.unanswered += 1
            await asyncio.sleep(_PAUSE_SECONDS)
            return list(events)
        again = []
        for event, verdict in zip(events, verdicts, strict=True):
            if verdict == UNDECIDED:
                self.unanswered += 1
                again.append(event)
            else:
                self.answers.setdefault(event.event_id, Counter())[verdict] += 1
        return again


async def findings(load: Load, log: redis.asyncio.Redis) -> list[str]:
    """Compares what callers were told with what is there; empty if promises 1 and 2 hold."""
    found = []
    there = await events_in_log(log)
    lost = [event.event_id for event in load.events if event.event_id in load.answers and not there[event.event_id]]
    if lost:
        found.append(f"{len(lost)} acknowledged events are not in the log")
    twice = [event_id for event_id, count in there.items() if count > 1]
    if twice:
        found.append(f"{len(twice)} events are in the log more than once")
    told_twice = [event_id for event_id, told in load.answers.items() if told[ACCEPTED] > 1]
    if told_twice:
        found.append(f"{len(told_twice)} events were told ACCEPTED more than once")
    never_told = sum(1 for told in load.answers.values() if not told[ACCEPTED])
    if never_told > load.unanswered * load.batch:
        found.append(f"{never_told} events were never told ACCEPTED, with {load.unanswered} answers lost")
    sides = await stored(log)
    if sides.counted["ACCEPTED"] != sides.letters["A"]:
        found.append(f"counted {sides.counted['ACCEPTED']} but appended {sides.letters['A']}")
    plain = sum(1 for event in load.events if not event.order)
    ordered = len(load.events) - plain
    if sides.claims != plain + 2 * ordered:
        found.append(f"{sides.claims} claims for {plain} plain and {ordered} ordered events")
    return found


async def events_in_log(log: redis.asyncio.Redis) -> Counter[str]:
    """Counts event ids that consumers would see, over all streams."""
    seen: Counter[str] = Counter()
    async for stream in log.scan_iter(match="trb:*:log:*", count=1000):
        for _, fields in await log.xrange(stream):
            mask, position = fields[b"mask"].decode(), 0
            for admission in admitted_events_pb2.AdmittedEvents.FromString(fields[b"payload"]).admissions:
                for event in admission.events:
                    if mask[position] in "AMQ":
                        seen[admitted_events_pb2.AdmittedEvent.FromString(event).event.event_id] += 1
                    position += 1
    return seen
