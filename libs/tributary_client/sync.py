"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError
from types import TracebackType
from typing import Self

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_client.client import BaseClient
from tributary_client.entry import Entry
from tributary_client.event_ids import with_id
from tributary_client.fields import EventFields

CLOSE_SECONDS = 30.0
"""How long `close` waits unless told otherwise."""


class Tributary(BaseClient[str]):
    """Tracks events in the background, or sends them and returns their verdicts.

    with Tributary("ingest.example.com:443", api_key=key, tls=Tls()) as tributary:
        tributary.track_conversion("purchase", order_id="1001", value="49.90", currency="EUR", customer_id="c-17")
    """

    def track(self, event: Event, *, traceparent: str | None = None) -> str:
        """Tracks an event made by hand. As `Tracking.track`."""
        event = with_id(event)
        self._put_entry(self._entry(event, traceparent, is_stamped=False))
        return event.event_id

    def ingest(
        self, events: Iterable[Event], *, validate_only: bool = False, backfill: bool = False
    ) -> list[EventVerdict]:
        """Sends 1-1000 events now and returns one verdict per event, in order.

        Tries again, with the same ids, what the server could not decide. What is still undecided when the time is up is
        UNDECIDED in the answer: send it again later. Neither buffer nor spool is used. Not for callbacks.

        Raises:
            RuntimeError: This is a callback, which would wait for what only its own thread does.
            InvalidBatchError: No event, too many, or a message that is too large.
            NotAllowedError: The API key is missing, unknown, expired, or lacks the scope.
            OverdueError: No answer at all within `RetryPolicy.total_seconds`.
            ClosedError: The client is closed, or was before the answer came.
        """
        if self._engine.may_not_wait:
            raise RuntimeError("A callback cannot wait for verdicts; track the events instead.")
        return self._exchange(events, validate_only=validate_only, backfill=backfill).future.result()

    def flush(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Waits until everything tracked until now is decided or dropped; tells whether it was in time."""
        try:
            self._engine.flush().result(timeout)
        except FutureTimeoutError:
            return False
        return True

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Takes no more, and waits for what was tracked.

        What is not decided then goes to `on_drop`; with a spool it stays there, for the next process. May be repeated.
        Not to be called from a callback.
        """
        self._engine.close(timeout)

    def __enter__(self) -> Self:
        """Opens the spool, if there is one, and returns itself.

        Raises:
            SpoolError: Its directory cannot be used.
        """
        self._engine.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the client."""
        self.close()

    def _put(self, event: Event, fields: EventFields) -> str:
        self._put_entry(self._entry_of(event, fields))
        return event.event_id

    def _put_entry(self, entry: Entry) -> None:
        seconds = self._wait_seconds
        room = self._engine.offer(entry, waits=seconds > 0)
        if room is None:
            return
        end_time = self._clock.monotonic() + seconds
        while room is not None:
            try:
                room.result(max(0.0, end_time - self._clock.monotonic()))
            except FutureTimeoutError:
                self._refuse(entry)
                return
            room = self._engine.offer(entry)
