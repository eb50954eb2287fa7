"""Sends events in batches and tallies what became of each; what may pass by itself, the client tries again.

What is still undecided at the end of its patience is counted so: sending the file again is safe and finishes it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary_cli.event_lines import EventLine, UnreadableLine
from tributary_client import OverdueError

_MOST_BYTES = 2 * 2**20  # a request may have 4 MiB
_KEPT_PROBLEMS = 1_000
_NOT_TAKEN = ("conflict", "rejected", "undecided")


class Ingest(Protocol):
    """The door that events are sent to."""

    def __call__(self, events: Sequence[Event]) -> list[verdict_pb2.EventVerdict]:
        """Returns one verdict per event, in order; blocks. Called from several threads.

        Raises:
            OverdueError: No answer came in time.
            TributaryClientError: Sending again cannot help.
        """
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """An event, or a line, that was not taken."""

    line: int
    """Its line in the file, from 1."""
    event_id: str
    """Its event id; empty if the line is no event."""
    verdict: str
    """unreadable | conflict | rejected | undecided."""
    field: str
    """Path of the field to blame; empty if there is none."""
    message: str
    """What is wrong with it, for people."""


@dataclass(slots=True)
class Tally:
    """What became of a file."""

    verdicts: Counter[str] = field(default_factory=Counter)
    """Verdict in lower case -> how many events."""
    unreadable: int = 0
    """Lines that are no event, and were not sent."""
    problems: list[Problem] = field(default_factory=list)
    """What was not taken and why, in order of answers; the first thousand."""

    @property
    def is_all_taken(self) -> bool:
        """Whether nothing was unreadable, in conflict, rejected or left undecided."""
        return not self.unreadable and not any(self.verdicts[verdict] for verdict in _NOT_TAKEN)

    def add_unreadable(self, line: UnreadableLine) -> None:
        """Counts a line that is no event."""
        self.unreadable += 1
        self._keep(Problem(line.number, "", "unreadable", line.field, line.message))

    def add_verdict(self, line: int, verdict: verdict_pb2.EventVerdict) -> None:
        """Counts an event."""
        name = verdict_pb2.Verdict.Name(verdict.verdict).removeprefix("VERDICT_").lower()
        self.verdicts[name] += 1
        if name in _NOT_TAKEN:
            reasons = verdict.reasons or [verdict_pb2.Reason(message="")]
            self._keep(Problem(line, verdict.event_id, name, reasons[0].field, reasons[0].message))

    def _keep(self, problem: Problem) -> None:
        if len(self.problems) < _KEPT_PROBLEMS:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends batches, several calls at a time."""

    ingest: Ingest
    """Makes the calls of one batch."""
    batch_size: int
    """Events per call, 1-1000."""
    calls_in_flight: int
    """Batches at a time."""

    def send(self, lines: Iterable[EventLine | UnreadableLine], progressed: Callable[[int], None]) -> Tally:
        """Sends every event of `lines`, which is read only as far ahead as calls are in flight.

        Args:
            lines: The file.
            progressed: Told the line number up to which every line has its answer.

        Raises:
            TributaryClientError: A call failed in a way that repeating cannot mend.
        """
        tally = Tally()
        waiting: deque[tuple[list[EventLine], Future[list[verdict_pb2.EventVerdict]]]] = deque()

        def count_oldest() -> None:
            batch, answer = waiting.popleft()
            for line, verdict in zip(batch, answer.result(), strict=True):
                tally.add_verdict(line.number, verdict)
            progressed(batch[-1].number)

        pool = ThreadPoolExecutor(self.calls_in_flight, thread_name_prefix="send")
        try:
            for batch in self._batches(lines, tally):
                if len(waiting) >= self.calls_in_flight:
                    count_oldest()
                waiting.append((batch, pool.submit(self._send_batch, batch)))
            while waiting:
                count_oldest()
        finally:  # where that is a failure or Ctrl-C, nobody waits for calls in flight; their owner ends them
            pool.shutdown(wait=not waiting, cancel_futures=True)
        return tally

    def _batches(self, lines: Iterable[EventLine | UnreadableLine], tally: Tally) -> Iterator[list[EventLine]]:
        batch: list[EventLine] = []
        size = 0
        for line in lines:
            if isinstance(line, UnreadableLine):
                tally.add_unreadable(line)
                continue
            more = line.event.ByteSize()
            if batch and (len(batch) >= self.batch_size or size + more > _MOST_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(line)
            size += more
        if batch:
            yield batch

    def _send_batch(self, batch: Sequence[EventLine]) -> list[verdict_pb2.EventVerdict]:
        try:
            return self.ingest([line.event for line in batch])
        except OverdueError as error:
            reason = verdict_pb2.Reason(message=str(error))
            undecided = verdict_pb2.VERDICT_UNDECIDED
            return [
                verdict_pb2.EventVerdict(event_id=line.event.event_id, verdict=undecided, reasons=[reason])
                for line in batch
            ]
