"""One call of `ingest` over its attempts: which of its events still wait for a verdict.

A verdict UNDECIDED concerns one event; its neighbours' verdicts stand. So an attempt after it sends only what waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from tributary.event.v1.verdict_pb2 import VERDICT_UNDECIDED, EventVerdict
from tributary_client.dispatch import Parcel
from tributary_client.entry import Entry
from tributary_client.errors import CallError
from tributary_client.outcome import Answered, Outcome, Remedy, delay_of
from tributary_client.retry import RetryPolicy
from tributary_domain.backoff import Chance


class Exchange:
    """The events of one call, and their verdicts so far.

    Args:
        entries: In the order of the answer.
        traceparent: Of the call.
        retry: How long and how often.
        chance: Where jitter comes from.
        validate_only: As in the contract.
        backfill: As in the contract.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        traceparent: str,
        retry: RetryPolicy,
        chance: Chance,
        *,
        validate_only: bool,
        backfill: bool,
    ) -> None:
        self.traceparent = traceparent
        self.future: Future[list[EventVerdict]] = Future()
        """Has the verdicts, one per event in the order given, or the error."""
        self.resent = 0
        """How many events were sent again."""
        self._entries = entries
        self._retry = retry
        self._chance = chance
        self._validate_only = validate_only
        self._backfill = backfill
        self._verdicts: list[EventVerdict | None] = [None] * len(entries)
        self._waiting = list(range(len(entries)))
        self._attempts = 0
        self._end_time: float | None = None

    def parcel(self, now: float) -> Parcel:
        """Returns what to send now."""
        if self._end_time is None:
            self._end_time = now + self._retry.total_seconds
        self._attempts += 1
        if self._attempts > 1:
            self.resent += len(self._waiting)
        return Parcel([self._entries[index] for index in self._waiting], self._validate_only, self._backfill)

    def take(self, outcome: Outcome, now: float) -> float | None:
        """Notes what came of the last parcel; returns when to send the next one, None if the future is done."""
        error: CallError | None = None
        asked = 0.0
        if isinstance(outcome, Answered):
            asked = self._note(outcome.verdicts)
            if not self._waiting:
                self.future.set_result(self.verdicts())
                return None
        else:
            error, asked = outcome.error, outcome.retry_after_seconds
            if outcome.remedy not in (Remedy.AGAIN, Remedy.ELSEWHERE):
                self.future.set_exception(error)
                return None
        due = now + self._retry.delay_seconds(self._attempts, asked, self._chance)
        if self._end_time is None or due < self._end_time:
            return due
        if error is None or any(verdict is not None for verdict in self._verdicts):
            self.future.set_result(self.verdicts())
        else:
            self.future.set_exception(error)
        return None

    def verdicts(self) -> list[EventVerdict]:
        """Returns one verdict per event, in the order given; UNDECIDED where there is none yet."""
        return [
            verdict if verdict is not None else EventVerdict(event_id=entry.event.event_id, verdict=VERDICT_UNDECIDED)
            for entry, verdict in zip(self._entries, self._verdicts, strict=True)
        ]

    def _note(self, verdicts: Sequence[EventVerdict]) -> float:
        """Keeps the verdicts; returns the longest delay asked for by what is undecided."""
        asked, waiting = 0.0, []
        for index, verdict in zip(self._waiting, verdicts, strict=True):
            self._verdicts[index] = verdict
            delay = delay_of(verdict)
            if delay is not None:
                waiting.append(index)
                asked = max(asked, delay)
        self._waiting = waiting
        return asked
