"""What becomes of calls that are given up while their answers come."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

from tests.unit.client.test_latecomers import Time
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsResponse
from tributary_client.dispatch import Parcel
from tributary_client.entry import Entry
from tributary_client.outcome import Answered, Failed, Outcome
from tributary_client.transport import CallTransport


class FakeCall:
    """A call as gRPC's, which ends when it is told to; what is told of the next comes while it is cancelled."""

    def __init__(self) -> None:
        self.answer: IngestEventsResponse | None = None
        self.is_ended = self.is_cancelled = False
        self.meanwhile: Callable[[], object] = bool
        self._callbacks: list[Callable[[Any], None]] = []

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def cancel(self) -> bool:
        self.meanwhile()
        if self.is_ended:
            return False
        self.is_cancelled = True
        self._end()
        return True

    def answered(self) -> None:
        self.answer = IngestEventsResponse()
        self.answer.verdicts.add(verdict=VERDICT_ACCEPTED)
        self._end()

    def cancelled(self) -> bool:
        return self.is_cancelled

    def exception(self) -> None:
        return None

    def result(self) -> IngestEventsResponse | None:
        return self.answer

    def _end(self) -> None:
        self.is_ended = True
        for callback in self._callbacks:
            callback(self)


class FakeChannel:
    """A channel as gRPC's."""

    def __init__(self) -> None:
        self.calls: list[FakeCall] = []

    def unary_unary(self, *_: object) -> FakeChannel:
        return self

    def future(self, *_: object, **__: object) -> FakeCall:
        self.calls.append(FakeCall())
        return self.calls[-1]


def test_of_a_call_that_is_answered_while_it_is_given_up_nothing_is_left() -> None:
    time, channel, outcomes = Time(), FakeChannel(), list[Outcome]()
    transport = CallTransport(channel, "key", 10.0, time)  # type: ignore[arg-type]
    for _ in range(2):
        transport.send(Parcel([Entry(b"event", "")]), "", 0, outcomes.append)
    first, second = channel.calls
    first.meanwhile = second.answered
    time.now = 20.0
    transport.check()
    assert [type(one) for one in outcomes] == [Answered, Failed]
    left = [weakref.ref(one) for one in (first, second)]
    channel.calls.clear()
    del first, second
    gc.collect()
    assert [ref() for ref in left] == [None, None]
