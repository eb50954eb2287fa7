"""Calls to dedup are shared, and one that hangs keeps nobody waiting, on the loop that services run on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
import uvloop

from tributary.dedup.v1.dedup_service_pb2 import AdmitEventsRequest, AdmitEventsResponse
from tributary.event.v1.verdict_pb2 import (
    REASON_CODE_LOG_FULL,
    REASON_CODE_ORDER_CONTENDED,
    REASON_CODE_STORE_UNREACHABLE,
    VERDICT_ACCEPTED,
    VERDICT_UNDECIDED,
)
from tributary_domain.claim_records import OUTCOME_RECORD
from tributary_ingestion.admission import MAX_CALLS_OUT, Admission
from tributary_ingestion.caller_events import CallerEvents, Sender
from tributary_runtime.errors import OverloadedError, StorageUnavailableError

TRIES = 20
"""The timers of this loop are whole milliseconds, which as seconds are sometimes a little less: often, not always."""


class FirstHangs:
    """A stub whose first call is never answered."""

    def __init__(self) -> None:
        self.called = asyncio.Event()

    async def AdmitEvents(self, request: AdmitEventsRequest, **_options: Any) -> AdmitEventsResponse:
        if not self.called.is_set():
            self.called.set()
            await asyncio.Event().wait()
        size = sum(len(caller.claims) for caller in request.callers)
        return AdmitEventsResponse(outcomes=OUTCOME_RECORD.pack(VERDICT_ACCEPTED, 0, 0, 0) * size)


def an_event() -> CallerEvents:
    return CallerEvents(Sender("shop", "key", backfill=False, traceparent=""), 1, 1, claims=b"c", events=b"")


async def second_is_answered() -> None:
    stub = FirstHangs()
    admission = Admission(stub, deadline_seconds=600.0)  # type: ignore[arg-type]
    running = asyncio.ensure_future(admission.run(asyncio.Event()))
    first = asyncio.ensure_future(admission.admit(an_event(), None))
    await stub.called.wait()
    async with asyncio.timeout(60):
        await admission.admit(an_event(), None)
    for task in (first, running):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_who_comes_alone_after_a_call_that_hangs_waits_for_its_patience_only() -> None:
    async def main() -> None:
        for _ in range(TRIES):
            await second_is_answered()

    uvloop.run(main())


class EverySecondHangs(FirstHangs):
    """A stub of two replicas, asked in turns, of which one never answers."""

    calls = 0

    async def AdmitEvents(self, request: AdmitEventsRequest, **options: Any) -> AdmitEventsResponse:
        self.calls += 1
        if self.calls % 2:
            self.called.clear()
        return await super().AdmitEvents(request, **options)


def test_a_replica_that_hangs_keeps_nobody_waiting_whose_call_goes_to_another() -> None:
    async def main() -> None:
        stub = EverySecondHangs()
        admission = Admission(stub, deadline_seconds=600.0)  # type: ignore[arg-type]
        tasks = [asyncio.ensure_future(admission.run(asyncio.Event()))]
        async with asyncio.timeout(60):
            for _ in range(2 * MAX_CALLS_OUT):
                stub.called.clear()
                tasks.append(asyncio.ensure_future(admission.admit(an_event(), None)))
                await stub.called.wait()
                await admission.admit(an_event(), None)
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    uvloop.run(main())


class Answers:
    """A stub that answers at once, the same of each event; counts the callers of each call."""

    def __init__(self, verdict: int = VERDICT_ACCEPTED, reason: int = 0) -> None:
        self.served: list[int] = []
        self.record = OUTCOME_RECORD.pack(verdict, reason, 0, 0)

    async def AdmitEvents(self, request: AdmitEventsRequest, **_options: Any) -> AdmitEventsResponse:
        size = sum(len(caller.claims) for caller in request.callers)
        self.served.append(size)
        return AdmitEventsResponse(outcomes=self.record * size)


def test_callers_who_come_one_after_the_other_while_many_come_share_a_call() -> None:
    async def main() -> list[int]:
        stub = Answers()
        admission = Admission(stub, deadline_seconds=600.0, gather_seconds=0.3)  # type: ignore[arg-type]
        running = asyncio.ensure_future(admission.run(asyncio.Event()))
        await asyncio.gather(admission.admit(an_event(), None), admission.admit(an_event(), None))
        calls = []
        for _ in range(5):
            calls.append(asyncio.ensure_future(admission.admit(an_event(), None)))
            for _ in range(10):
                await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await asyncio.gather(*calls)
            await admission.admit(an_event(), None)  # the one before served several
            await admission.admit(an_event(), None)  # the one before served this caller alone
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return stub.served

    assert uvloop.run(main()) == [2, 5, 1, 1]


def test_who_comes_alone_does_not_wait_for_others() -> None:
    async def main() -> None:
        admission = Admission(Answers(), deadline_seconds=600.0, gather_seconds=1e6)  # type: ignore[arg-type]
        running = asyncio.ensure_future(admission.run(asyncio.Event()))
        async with asyncio.timeout(60):
            for _ in range(5):
                await admission.admit(an_event(), None)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    uvloop.run(main())


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        pytest.param(REASON_CODE_LOG_FULL, OverloadedError, id="full"),
        pytest.param(REASON_CODE_STORE_UNREACHABLE, StorageUnavailableError, id="no answer"),
        pytest.param(REASON_CODE_ORDER_CONTENDED, None, id="the log did answer"),
    ],
)
def test_who_is_told_undecided_of_all_events_is_told_why(reason: int, error: type[Exception] | None) -> None:
    async def main() -> bytes:
        admission = Admission(Answers(VERDICT_UNDECIDED, reason), deadline_seconds=600.0)  # type: ignore[arg-type]
        running = asyncio.ensure_future(admission.run(asyncio.Event()))
        try:
            async with asyncio.timeout(60):
                return (await admission.admit(an_event(), None)).records
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    if error is None:
        assert uvloop.run(main()) == OUTCOME_RECORD.pack(VERDICT_UNDECIDED, reason, 0, 0)
    else:
        with pytest.raises(error):
            uvloop.run(main())
