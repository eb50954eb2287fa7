"""What is decided about quarantined events is in the log once, counted, and recorded, whatever was asked how often."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis.asyncio

from tests.support.admissions import AN_EPOCH, Sent, a_request, outcomes_of, running_admission, stored, verdicts_of
from tributary.dedup.v1 import dedup_service_pb2, quarantine_pb2
from tributary.dedup.v1.event_fate_pb2 import EventFate
from tributary.event.v1 import verdict_pb2
from tributary_dedup.admission import Admission
from tributary_dedup.lookup import Lookup
from tributary_dedup.quarantine import Quarantine
from tributary_dedup.recorder import Recorder
from tributary_dedup.servicer import _response
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.quarantine import QuarantinedEvents
from tributary_storage.clickhouse.recorded_events import RecordedEvents
from tributary_storage.clickhouse.writer import EventWriter
from tributary_storage.redis import keys
from tributary_storage.redis.claim_layout import Placement
from tributary_storage.redis.claim_lookup import ClaimLookup
from tributary_storage.redis.claims import SCHEMA, Claims
from tributary_storage.redis.client import connect
from tributary_storage.redis.fill import LogFill
from tributary_storage.redis.log_entry import LogEntry

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
DUPLICATE = verdict_pb2.VERDICT_DUPLICATE
QUARANTINED = verdict_pb2.VERDICT_QUARANTINED
RELEASE = quarantine_pb2.QUARANTINE_ACTION_RELEASE
REJECT = quarantine_pb2.QUARANTINE_ACTION_REJECT


@dataclass
class Dedup:
    """Dedup from its parts, on real stores."""

    workspace: str
    log: redis.asyncio.Redis
    clickhouse: ClickHouse
    admission: Admission
    quarantine: Quarantine
    lookup: Lookup
    recorder: Recorder
    _recorded: set[tuple[str, str]] = field(default_factory=set)

    async def admit(self, *events: Sent) -> list[int]:
        outcomes = await self.admission.admit(a_request(self.workspace, events))
        await self.record()
        return verdicts_of(_response(outcomes))

    async def verdicts(self, *events: Sent) -> list[tuple[int, int]]:
        """Sends events; returns their verdicts with the first ones."""
        outcomes = await self.admission.admit(a_request(self.workspace, events))
        return [(told.verdict, told.first_verdict) for told in outcomes_of(_response(outcomes))]

    async def decide(self, *ids: str, action: int = RELEASE, dry_run: bool = False, record: bool = True) -> list[str]:
        request = dedup_service_pb2.DecideQuarantinedEventsRequest(
            workspace=self.workspace,
            event_ids=ids,
            action=action,  # type: ignore[arg-type]
            decided_by="key-1",
            reason="a customer called",
            validate_only=dry_run,
        )
        outcomes = await self.quarantine.decide(request)
        if record:
            await self.record()
        assert [outcome.event_id for outcome in outcomes] == list(ids)
        return [quarantine_pb2.QuarantineResult.Name(one.result).removeprefix("QUARANTINE_RESULT_") for one in outcomes]

    async def entries(self) -> list[LogEntry]:
        found = []
        for shard in range(AN_EPOCH.shards):
            for lane in keys.LANES:
                for name, fields in await self.log.xrange(keys.event_log(shard, lane)):
                    accept = int(fields[b"accept_time"])
                    mask = fields[b"mask"].decode()
                    found.append(LogEntry(shard, lane, name.decode(), SCHEMA, fields[b"payload"], mask, accept, 1))
        return found

    async def record(self, entries: Sequence[LogEntry] | None = None) -> None:
        for entry in await self.entries() if entries is None else entries:
            place = f"{entry.shard}{entry.lane}", entry.entry_id
            if entries is not None or place not in self._recorded:
                self._recorded.add(place)
                await self.recorder.handle([entry])

    async def rows(self) -> dict[str, str]:
        """Returns the verdict of each event that is recorded."""
        rows = await self.clickhouse.execute(
            "SELECT event_id, verdict FROM events FINAL WHERE workspace = %(w)s", {"w": self.workspace}
        )
        assert len({row[0] for row in rows}) == len(rows)
        return dict(rows)

    async def fate(self, event_id: str) -> EventFate:
        [fate] = await self.lookup.find(self.workspace, [event_id])
        return fate


@pytest.fixture
async def dedup(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Dedup]:
    async with AsyncExitStack() as closing:
        admission = await closing.enter_async_context(running_admission(redis_url))
        log = await closing.enter_async_context(connect(redis_url, name="tests"))
        clickhouse = await closing.enter_async_context(
            clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60)
        )
        placement, recorded, quarantined = (
            Placement(AN_EPOCH),
            RecordedEvents(clickhouse),
            QuarantinedEvents(clickhouse),
        )
        claimed, fill, clock = ClaimLookup(log, placement), LogFill(log), SystemClock()
        await fill.measure()
        yield Dedup(
            workspace,
            log,
            clickhouse,
            admission,
            Quarantine(Claims(log), placement, claimed, quarantined, recorded, fill, clock),
            Lookup(claimed, recorded, quarantined),
            Recorder(EventWriter(clickhouse), clock, released=quarantined),
        )


def bot(event_id: str = "bot", **more: object) -> Sent:
    return Sent(event_id, door=QUARANTINED, **more)  # type: ignore[arg-type]


async def test_a_release_admits_the_event_once_however_often_it_is_asked_for(dedup: Dedup) -> None:
    await dedup.admit(Sent("good"), bot(), bot("other"))
    answers = await asyncio.gather(*[dedup.decide("bot", record=False) for _ in range(8)])
    assert Counter(answer for [answer] in answers) == {"RELEASED": 1, "ALREADY_DECIDED": 7}
    before = await stored(dedup.log)
    assert before.letters == {"A": 2, "Q": 2}
    assert +before.counted == {"ACCEPTED": 2, "QUARANTINED": 1}
    await dedup.record()
    assert await dedup.decide("bot") == ["ALREADY_DECIDED"]
    assert await dedup.rows() == {"good": "ACCEPTED", "bot": "ACCEPTED", "other": "QUARANTINED"}
    assert await stored(dedup.log) == before
    assert await dedup.admit(bot()) == [DUPLICATE]


@pytest.mark.parametrize("has_lost_claims", [False, True], ids=["claimed", "claims past their life"])
@pytest.mark.parametrize("order", ["", "o-1"], ids=["by its id", "with an order"])
async def test_an_event_whose_id_is_personal_is_decided_on_by_what_it_was_claimed_by(
    dedup: Dedup, order: str, has_lost_claims: bool
) -> None:
    sent = bot("ann@example.com", stored_id="x1:token", order=order)
    await dedup.admit(sent)
    assert await dedup.decide("x1:token", action=REJECT) == ["REJECTED"]
    assert await dedup.verdicts(sent) == [(DUPLICATE, QUARANTINED)]
    if has_lost_claims:
        async for bucket in dedup.log.scan_iter(match="trb:*:claims:*"):
            await dedup.log.delete(bucket)
    assert await dedup.decide("x1:token") == ["RELEASED"]
    assert await dedup.verdicts(sent) == [(DUPLICATE, ACCEPTED)]
    assert await dedup.rows() == {"x1:token": "ACCEPTED"}


async def test_what_was_decided_is_found_again_with_who_when_and_why(dedup: Dedup) -> None:
    await dedup.admit(bot())
    before = await dedup.fate("bot")
    await dedup.decide("bot", action=REJECT)
    await dedup.decide("bot")
    fate = await dedup.fate("bot")
    assert (before.verdict, fate.verdict) == (QUARANTINED, ACCEPTED)
    assert fate.first_accept_time == before.first_accept_time
    assert [decision.action for decision in fate.quarantine_decisions] == [REJECT, RELEASE]
    for decision in fate.quarantine_decisions:
        assert (decision.decided_by, decision.reason) == ("key-1", "a customer called")
        assert decision.decide_time.ToMicroseconds() > decision.first_accept_time.ToMicroseconds()
        assert decision.first_accept_time == before.first_accept_time


async def test_a_rejection_is_remembered_and_stands_until_a_release(dedup: Dedup) -> None:
    await dedup.admit(bot())
    assert await dedup.decide("bot", action=REJECT) == ["REJECTED"]
    assert await dedup.decide("bot", action=REJECT) == ["ALREADY_DECIDED"]
    assert await dedup.rows() == {"bot": "QUARANTINED"}
    assert (await stored(dedup.log)).counted == {"QUARANTINED": 1}
    assert await dedup.decide("bot") == ["RELEASED"]
    assert await dedup.rows() == {"bot": "ACCEPTED"}
    assert await dedup.decide("bot", action=REJECT) == ["NOT_QUARANTINED"]


async def test_a_released_order_is_claimed_as_if_the_door_had_accepted_it(dedup: Dedup) -> None:
    await dedup.admit(bot(order="o-1"))
    assert await dedup.decide("bot") == ["RELEASED"]
    assert await dedup.admit(Sent("backend", order="o-1", rank=2, value=90)) == [DUPLICATE]
    assert await dedup.rows() == {"bot": "ACCEPTED", "backend": "DUPLICATE"}


@pytest.mark.parametrize("has_lost_claims", [False, True], ids=["claimed", "claims past their life"])
async def test_an_order_that_another_event_made_a_conversion_is_joined(dedup: Dedup, has_lost_claims: bool) -> None:
    await dedup.admit(bot(order="o-1"), Sent("backend", order="o-1", rank=2, value=90))
    if has_lost_claims:
        for pattern in ("trb:*:claims:*", "trb:*:orders:*"):
            async for bucket in dedup.log.scan_iter(match=pattern):
                await dedup.log.delete(bucket)
    assert await dedup.decide("bot", dry_run=True) == ["MERGED"]
    assert await dedup.decide("bot") == ["MERGED"]
    assert await dedup.decide("bot") == ["ALREADY_DECIDED"]
    assert await dedup.rows() == {"bot": "DUPLICATE", "backend": "ACCEPTED"}
    found = await stored(dedup.log)
    assert found.letters == {"Q": 1, "A": 1, "M": 1}
    assert +found.counted == {"ACCEPTED": 1, "DUPLICATE": 1}


async def test_one_that_contradicts_a_known_order_stays_in_quarantine(dedup: Dedup) -> None:
    await dedup.admit(bot(order="o-1", value=7), Sent("browser", order="o-1", value=90))
    before = await stored(dedup.log)
    assert await dedup.decide("bot", dry_run=True) == ["CONFLICT"]
    assert await dedup.decide("bot") == ["CONFLICT"]
    assert await stored(dedup.log) == before
    assert (await dedup.rows())["bot"] == "QUARANTINED"


@pytest.mark.parametrize("known", ["nothing", "an order without a value", "an order of another rank", "its value"])
async def test_a_dry_run_promises_of_several_events_of_one_order_what_a_release_then_does(
    dedup: Dedup, known: str
) -> None:
    said: dict[str, Any] = {
        "nothing": {},
        "its value": {"rank": 3, "value": 7},
        "an order of another rank": {"rank": 2},
    }
    if known != "nothing":
        await dedup.admit(Sent("known", order="o-1", **said.get(known, {"rank": 0, "value": None})))
    events = [bot("a", order="o-1", rank=3, value=7), bot("b", order="o-1", rank=3, value=8), bot("c", order="o-1")]
    await dedup.admit(*events, bot("d"))
    expected = ["RELEASED" if known == "nothing" else "MERGED", "CONFLICT", "MERGED", "RELEASED"]
    assert await dedup.decide(*"abcd", dry_run=True) == expected
    assert await dedup.decide(*"abcd") == expected


async def test_a_claim_that_is_past_its_life_keeps_no_event_in_quarantine(dedup: Dedup) -> None:
    await dedup.admit(bot())
    async for bucket in dedup.log.scan_iter(match="trb:*:claims:*"):
        await dedup.log.delete(bucket)
    answers = [await dedup.decide("bot", record=False) for _ in range(2)]
    assert answers == [["RELEASED"], ["ALREADY_DECIDED"]]
    assert (await stored(dedup.log)).letters == {"Q": 1, "A": 1}


async def test_an_event_whose_claim_is_past_its_life_is_decided_on_in_its_turn(dedup: Dedup) -> None:
    await dedup.admit(bot("a", order="o-1", rank=3, value=7))
    async for bucket in dedup.log.scan_iter(match="trb:*:claims:*"):
        await dedup.log.delete(bucket)
    await dedup.admit(bot("b", order="o-1", rank=3, value=8))
    expected = ["RELEASED", "CONFLICT"]
    assert await dedup.decide("a", "b", dry_run=True) == expected
    assert await dedup.decide("a", "b") == expected


async def test_only_what_waits_in_quarantine_is_decided_on(dedup: Dedup) -> None:
    await dedup.admit(Sent("good"))
    before = await stored(dedup.log)
    assert await dedup.decide("good", "nobody") == ["NOT_QUARANTINED", "NOT_FOUND"]
    assert await dedup.decide("good", "nobody", action=REJECT) == ["NOT_QUARANTINED", "NOT_FOUND"]
    assert await stored(dedup.log) == before


async def test_a_dry_run_decides_nothing(dedup: Dedup) -> None:
    await dedup.admit(bot(), bot("order", order="o-1"))
    before = await stored(dedup.log)
    assert await dedup.decide("bot", "order", dry_run=True) == ["RELEASED", "RELEASED"]
    assert await dedup.decide("bot", "order", action=REJECT, dry_run=True) == ["REJECTED", "REJECTED"]
    assert await stored(dedup.log) == before


async def test_an_entry_that_is_recorded_again_takes_no_release_back(dedup: Dedup) -> None:
    await dedup.admit(bot())
    [entry] = await dedup.entries()
    await dedup.decide("bot")
    again = LogEntry(entry.shard, entry.lane, entry.entry_id, SCHEMA, entry.payload, entry.mask, entry.accept_micros, 2)
    await dedup.record([again])
    assert await dedup.rows() == {"bot": "ACCEPTED"}
    [single] = dedup.recorder.singles(again)
    await dedup.recorder.handle_single(again, single)
    assert await dedup.rows() == {"bot": "ACCEPTED"}
