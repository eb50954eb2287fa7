"""Which events travel together, when, and what happens to those that come back: no thread, no clock, no network.

The one rule: an event leaves the dispatcher decided, or refused for good; nothing else makes it go away. A call that
failed says something about the way there, so the next one waits for all; one that others have overtaken, about one
replica; a verdict UNDECIDED says something about one event, so only that one waits. Those that were undecided together
are sent again together.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf

from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_client.entry import Entry
from tributary_client.errors import CallError
from tributary_client.outcome import Answered, Failed, Outcome, Remedy, delay_of
from tributary_client.retry import RetryPolicy
from tributary_domain.backoff import Chance


@dataclass(frozen=True, slots=True)
class Batching:
    """How many events travel together."""

    events: int = 500
    """At most, 1-1000."""
    bytes: int = 1024 * 1024
    """At most; also the largest event that is taken. Many load balancers refuse messages above 4 MiB."""
    linger_seconds: float = 0.2
    """How long the first event waits for others."""
    in_flight: int = 4
    """Batches under way at once."""

    def __post_init__(self) -> None:
        """Refuses what the server, or common sense, would."""
        if not 1 <= self.events <= 1000:
            raise ValueError("events must be from 1 to 1000")
        if self.bytes < 1 or self.in_flight < 1 or self.linger_seconds < 0:
            raise ValueError("bytes and in_flight must be positive, linger_seconds not negative")


@dataclass(eq=False, slots=True)
class Parcel:
    """Events that travel together."""

    entries: list[Entry]
    """At least one."""
    validate_only: bool = False
    """As in the contract."""
    backfill: bool = False
    """As in the contract."""
    generation: int = 0
    """How many failures there had been when it left."""


@dataclass(slots=True)
class Settled:
    """What is over after an outcome."""

    decided: list[tuple[Entry, EventVerdict]] = field(default_factory=list)
    """Events with their answers."""
    refused: list[tuple[Entry, CallError]] = field(default_factory=list)
    """Events that the server refuses to read, whatever they are sent with."""
    undecided: int = 0
    """How many were answered UNDECIDED and wait to be sent again."""


class Dispatcher:
    """Forms parcels from events, and takes their outcomes. Every time is in seconds, of one clock that never goes back.

    Args:
        batching: How large parcels are.
        retry: How long to wait after a failure.
        chance: Where jitter comes from.
        validate_only: Of every parcel.
        backfill: Of every parcel.
    """

    def __init__(
        self,
        batching: Batching,
        retry: RetryPolicy,
        chance: Chance,
        *,
        validate_only: bool = False,
        backfill: bool = False,
    ) -> None:
        self._batching = batching
        self._retry = retry
        self._chance = chance
        self._validate_only = validate_only
        self._backfill = backfill
        self._ready: deque[tuple[float, Entry]] = deque()  # (since when, event)
        self._ready_bytes = 0
        self._halves: deque[list[Entry]] = deque()  # to be sent by themselves
        self._waiting: list[tuple[float, int, Entry]] = []
        self._order = count()
        self._in_flight = 0
        self._failures = 0
        self._generation = 0
        self._resume_time = -inf
        self.resent = 0
        """How many events were sent again."""

    @property
    def waiting(self) -> int:
        """Events that were answered UNDECIDED, until they are sent again."""
        return len(self._waiting)

    @property
    def ready(self) -> int:
        """Events to be sent next."""
        return len(self._ready) + sum(map(len, self._halves))

    @property
    def in_flight(self) -> int:
        """Parcels under way."""
        return self._in_flight

    @property
    def lacks(self) -> int:
        """How many more events would make a parcel leave at once; 0: it waits for something else."""
        return max(0, self._batching.events - len(self._ready))

    def add(self, entry: Entry, now: float) -> None:
        """Takes an event."""
        self._ready.append((now, entry))
        self._ready_bytes += len(entry.body)

    def next_parcel(self, now: float, *, hurry: bool = False) -> Parcel | None:
        """Returns the parcel to send now; None if there is none, or none may be sent.

        Args:
            now: The time.
            hurry: Whether somebody waits for what is there: then it does not wait for more.
        """
        # After a failure one parcel finds out whether it has passed.
        if self._in_flight >= (1 if self._failures else self._batching.in_flight) or now < self._resume_time:
            return None
        self._wake(now)
        if self._halves:
            entries = self._halves.popleft()
        elif self._ready and (hurry or self._is_full() or now - self._ready[0][0] >= self._batching.linger_seconds):
            entries = self._take_ready()
        else:
            return None
        self.resent += sum(1 for entry in entries if entry.tries)
        for entry in entries:
            entry.tries += 1
        self._in_flight += 1
        return Parcel(entries, self._validate_only, self._backfill, self._generation)

    def next_time(self) -> float:
        """Returns when `next_parcel` may have one that it has not now; infinity: only after `add` or `take`."""
        if self._in_flight >= (1 if self._failures else self._batching.in_flight):
            return inf
        time = self._waiting[0][0] if self._waiting else inf
        if self._ready:
            time = min(time, self._ready[0][0] + (0.0 if self._is_full() else self._batching.linger_seconds))
        if self._halves:
            time = -inf
        return max(time, self._resume_time)

    def take(self, parcel: Parcel, outcome: Outcome, now: float) -> Settled:
        """Notes what came of a parcel; returns what is over."""
        self._in_flight -= 1
        if isinstance(outcome, Answered):
            return self._answered(parcel, outcome.verdicts, now)
        return self._failed(parcel, outcome, now)

    def take_all(self) -> list[Entry]:
        """Gives up everything that is not under way, and returns it."""
        entries = [entry for _, entry in self._ready]
        entries += [entry for half in self._halves for entry in half]
        entries += [entry for *_, entry in self._waiting]
        self._ready.clear()
        self._halves.clear()
        self._waiting.clear()
        self._ready_bytes = 0
        return entries

    def _answered(self, parcel: Parcel, verdicts: Sequence[EventVerdict], now: float) -> Settled:
        self._failures, self._resume_time = 0, -inf
        settled = Settled()
        dues: dict[tuple[int, float], float] = {}  # of one chance for all: each by its own would go by itself
        for entry, verdict in zip(parcel.entries, verdicts, strict=True):
            asked = delay_of(verdict)
            if asked is None:
                settled.decided.append((entry, verdict))
                continue
            settled.undecided += 1
            alike = entry.tries, asked
            if alike not in dues:
                dues[alike] = now + self._retry.delay_seconds(entry.tries, asked, self._chance)
            heapq.heappush(self._waiting, (dues[alike], next(self._order), entry))
        return settled

    def _failed(self, parcel: Parcel, failed: Failed, now: float) -> Settled:
        settled, entries, remedy = Settled(), parcel.entries, failed.remedy
        if remedy is Remedy.ELSEWHERE:  # it says something of one replica, and nothing of the way to the others
            self._put_back(entries)
            return settled
        if remedy is Remedy.SPLIT:  # the way there is fine
            self._failures, self._resume_time = 0, -inf
        else:
            self._pause(parcel, failed, now, slowly=remedy is Remedy.KEY)
        if remedy is Remedy.SPLIT and len(entries) == 1:
            settled.refused.append((entries[0], failed.error))
            return settled
        if remedy in (Remedy.SPLIT, Remedy.SPLIT_AND_AGAIN) and len(entries) > 1:
            middle = len(entries) // 2
            self._halves.extend((entries[:middle], entries[middle:]))
        elif remedy is Remedy.SPLIT_AND_AGAIN:  # one event that the server cannot handle holds up no other
            due = now + self._retry.delay_seconds(entries[0].tries, failed.retry_after_seconds, self._chance)
            heapq.heappush(self._waiting, (due, next(self._order), entries[0]))
        else:
            self._put_back(entries)
        return settled

    def _pause(self, parcel: Parcel, failed: Failed, now: float, *, slowly: bool) -> None:
        if parcel.generation == self._generation:  # those under way at the time of a failure share it
            self._generation += 1
            self._failures += 1
        attempt = 40 if slowly else self._failures
        delay = self._retry.delay_seconds(attempt, failed.retry_after_seconds, self._chance)
        self._resume_time = max(self._resume_time, now + delay)

    def _wake(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            self._put_back([heapq.heappop(self._waiting)[2]])

    def _put_back(self, entries: Sequence[Entry]) -> None:
        """Puts events before all others: they have waited."""
        self._ready.extendleft((-inf, entry) for entry in reversed(entries))
        self._ready_bytes += sum(len(entry.body) for entry in entries)

    def _is_full(self) -> bool:
        return len(self._ready) >= self._batching.events or self._ready_bytes >= self._batching.bytes

    def _take_ready(self) -> list[Entry]:
        entries: list[Entry] = []
        size = 0
        while self._ready and len(entries) < self._batching.events:
            more = len(self._ready[0][1].body)
            if entries and size + more > self._batching.bytes:
                break
            entries.append(self._ready.popleft()[1])
            size += more
        self._ready_bytes -= size
        return entries
