"""One call's state over its attempts: which events still wait for a verdict.

A verdict UNDECIDED concerns one event; its neighbours' verdicts stand. So an attempt after it sends only what waits.
"""

from __future__ import annotations

from collections.abc import Iterable

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import VERDICT_UNDECIDED, EventVerdict
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, IngestEventsResponse
from tributary_client.event_ids import with_id


class Batch:
    """1-1000 events and the verdicts so far."""

    def __init__(self, events: Iterable[Event], *, validate_only: bool, backfill: bool) -> None:
        """Gives every event an id; the caller's messages stay as they are."""
        self.events = [with_id(event) for event in events]
        self._verdicts: list[EventVerdict | None] = [None] * len(self.events)
        self._validate_only = validate_only
        self._backfill = backfill
        self.retry_after_seconds = 0.0
        self.resent_events = 0
        self._attempts = 0

    @property
    def waiting(self) -> list[int]:
        """Indices of the events without a verdict that stands."""
        return [index for index, verdict in enumerate(self._verdicts) if verdict is None or _is_open(verdict)]

    def request(self) -> IngestEventsRequest:
        """Returns the request that sends what waits."""
        self._attempts += 1
        if self._attempts > 1:
            self.resent_events += len(self.waiting)
        return IngestEventsRequest(
            events=[self.events[index] for index in self.waiting],
            validate_only=self._validate_only,
            backfill=self._backfill,
        )

    def take(self, response: IngestEventsResponse) -> None:
        """Notes the answer to the last `request()`."""
        self.retry_after_seconds = 0.0
        for index, verdict in zip(self.waiting, response.verdicts, strict=True):
            self._verdicts[index] = verdict
            if _is_open(verdict):
                delay = verdict.retry_delay.seconds + verdict.retry_delay.nanos / 1e9
                self.retry_after_seconds = max(self.retry_after_seconds, delay)

    @property
    def decided_any(self) -> bool:
        """Whether at least one event has an answer, UNDECIDED included."""
        return any(verdict is not None for verdict in self._verdicts)

    def verdicts(self) -> list[EventVerdict]:
        """Returns one verdict per event, in the order given; UNDECIDED where the retries were used up."""
        return [
            verdict if verdict is not None else EventVerdict(event_id=event.event_id, verdict=VERDICT_UNDECIDED)
            for event, verdict in zip(self.events, self._verdicts, strict=True)
        ]


def _is_open(verdict: EventVerdict) -> bool:
    return verdict.verdict == VERDICT_UNDECIDED
