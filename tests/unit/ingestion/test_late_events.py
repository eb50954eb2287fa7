"""What happened longer ago than claims live is looked up apart, and costs its neighbours nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import pytest

from tributary.dedup.v1.dedup_service_pb2 import AdmitEventsRequest, AdmitEventsResponse
from tributary.event.v1 import verdict_pb2
from tributary_domain.business_keys import NO_KEY
from tributary_domain.claim_records import OUTCOME_RECORD
from tributary_ingestion import late_events
from tributary_ingestion.admission import Admission, Outcomes
from tributary_ingestion.caller_events import Sender
from tributary_ingestion.packed import Packed
from tributary_runtime.errors import UnavailableError

ACCEPTED, UNDECIDED = verdict_pb2.VERDICT_ACCEPTED, verdict_pb2.VERDICT_UNDECIDED
SENDER = Sender("shop", "key", backfill=False, traceparent="")


class Dedup:
    """A stub that accepts, but looks nothing up while ClickHouse is away."""

    def __init__(self, *, is_away: bool) -> None:
        self.is_away = is_away
        self.asked: list[tuple[bool, int]] = []

    async def AdmitEvents(self, request: AdmitEventsRequest, **_options: Any) -> AdmitEventsResponse:
        (caller,) = request.callers
        size = len(caller.claims) // 44
        self.asked.append((caller.looks_up, size))
        if caller.looks_up and self.is_away:
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, "ClickHouse is away")
        times = range(1, size + 1)
        return AdmitEventsResponse(outcomes=b"".join(OUTCOME_RECORD.pack(ACCEPTED, 0, 0, time) for time in times))


def an_event(name: str, *, is_late: bool) -> Packed:
    event = Packed(name, ACCEPTED, [], name.encode() * 16, bytes(8), NO_KEY, 1, name.encode())
    return event._replace(is_late=is_late)


async def admit(dedup: Dedup, late: str, sender: Sender = SENDER) -> list[tuple[int, int, int, int]]:
    """Admits the events "abcde", some of them late; returns their outcome records."""
    packed = [an_event(name, is_late=name in late) for name in "abcde"]
    admission = Admission(dedup, deadline_seconds=5.0)  # type: ignore[arg-type]
    running = asyncio.ensure_future(admission.run(asyncio.Event()))
    try:
        outcomes: Outcomes = await late_events.admit(admission, sender, 1, packed, [b""] * 5, None, is_crowded=False)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    return list(OUTCOME_RECORD.iter_unpack(outcomes.records))


async def test_answers_are_in_the_order_of_the_call_whatever_was_looked_up() -> None:
    dedup = Dedup(is_away=False)
    assert [record[3] for record in await admit(dedup, "bd")] == [1, 1, 2, 2, 3]
    assert sorted(dedup.asked) == [(False, 3), (True, 2)]


async def test_who_is_not_late_shares_one_call_and_a_backfill_is_looked_up_whole() -> None:
    dedup = Dedup(is_away=False)
    await admit(dedup, "")
    await admit(dedup, "bd", SENDER._replace(backfill=True, bulk=True))
    assert dedup.asked == [(False, 5), (True, 5)]


async def test_without_clickhouse_only_the_late_ones_are_undecided() -> None:
    records = await admit(Dedup(is_away=True), "bd")
    assert [record[0] for record in records] == [ACCEPTED, UNDECIDED, ACCEPTED, UNDECIDED, ACCEPTED]
    assert {record[1] for record in records if record[0] == UNDECIDED} == {verdict_pb2.REASON_CODE_STORE_UNREACHABLE}
    with pytest.raises(UnavailableError):
        await admit(Dedup(is_away=True), "abcde")
