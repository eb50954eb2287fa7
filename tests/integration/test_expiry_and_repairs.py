"""After what was too old is gone: what is wrong is found and repaired, and what is lost comes back, as before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from tests.integration.test_expiry import (
    CUSTOMER,
    DAY,
    HOUR,
    LONG_AGO,
    NOON,
    NOW,
    PHONE,
    RECENTLY,
    SINCE,
    VISITOR,
    Kept,
    chain,
    kept_of,
    lived,
)
from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import Events
from tributary_attribution.ended_paths import EndedPaths
from tributary_domain.erasures import ErasureState
from tributary_domain.retention import SIGHTING
from tributary_runtime import metrics
from tributary_storage.clickhouse.ended_paths import EndedPathRecords
from tributary_storage.clickhouse.retention import MonthOfRows, RetainedTable, RetentionRecords
from tributary_storage.redis.run_leases import RETENTION, SIGHTINGS, RunLeases

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def kept(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Kept]:
    async with reconciled(migrated_redis_url, clickhouse_url, workspace) as world:
        yield kept_of(world)


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


async def lose_all(kept: Kept) -> None:
    """Loses the whole state store, and brings it back."""
    attribution = kept.attribution
    await attribution.state.flushdb()
    attribution.losses.append(NOON + 5 * DAY - HOUR + len(attribution.losses))
    while not attribution.rebuild.is_whole():
        await attribution.rebuild.some()
        await attribution.count_people()


async def test_a_repair_ties_again_who_was_first_seen_together_long_ago(kept: Kept, events: Events) -> None:
    await kept.world.happen(events.identify(CUSTOMER, VISITOR, at=LONG_AGO))
    await kept.delete()
    await kept.attribution.lose_state()
    await kept.world.happen(
        events.touch(VISITOR, at=RECENTLY - DAY, channel="Display"),
        events.order(CUSTOMER, at=RECENTLY, order_id="o-new"),
    )
    run = await kept.world.run(kept.world.a_run(begin=RECENTLY - DAY, end=NOON + 9 * DAY, repairs=True))
    assert (run.counts["differences"], run.counts["repaired"]) == (1, 1)
    repaired = (await chain(kept, events, "o-new"))[-1]
    assert [touch.source.channel for touch in repaired.state.touches] == ["Display"]


async def test_people_made_of_sightings_come_back_after_a_loss(kept: Kept, events: Events) -> None:
    login = events.identify(CUSTOMER, VISITOR, at=NOON - 300 * DAY)
    await kept.attribution.record(login, accept_micros=NOON - 300 * DAY)
    await kept.attribution.handle(login, accept_micros=NOON - 300 * DAY)
    await kept.delete(3)
    await lose_all(kept)
    await kept.world.happen(
        events.touch(VISITOR, at=NOON - 3 * DAY, channel="Display"), events.order(CUSTOMER, order_id="o-new")
    )
    [credited] = await chain(kept, events, "o-new")
    assert [touch.source.channel for touch in credited.state.touches] == ["Display"]
    assert await kept.differences() == 0


async def test_an_order_whose_touches_are_gone_is_compared_in_all_but_its_credit(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    [before] = await chain(kept, events, "o-old")
    await kept.delete()
    refund = events.refund(45_000_000, order_id="o-old", at=NOON)
    await kept.attribution.record(refund, accept_micros=NOON)  # attribution never hears of it
    found = await kept.world.run(kept.world.a_run(begin=LONG_AGO - DAY, end=NOON, repairs=False))
    assert (found.counts["cause_wrong_value"], found.counts["too_old"]) == (1, 1)
    repaired = await kept.world.run(kept.world.a_run(begin=LONG_AGO - DAY, end=NOON, repairs=True))
    assert (repaired.counts["differences"], repaired.counts["repaired"]) == (1, 1)
    after = (await chain(kept, events, "o-old"))[-1]
    assert after.state.value.amount_micros == 45_000_000
    assert [[credit.credit_micros for credit in touch.credits] for touch in after.state.touches] == [
        [credit.credit_micros for credit in touch.credits] for touch in before.state.touches
    ]


async def test_nobody_who_is_erased_while_sightings_are_kept_comes_back_by_them(kept: Kept, events: Events) -> None:
    attribution = kept.attribution
    erasing, workspace, leases = attribution.erasing, attribution.workspace.id, RunLeases(attribution.state)
    await kept.world.happen(events.identify(CUSTOMER, VISITOR, at=LONG_AGO, event_id="login"))
    [row] = await kept.rows("events", "identity_tokens, event_time")
    for step in (RETENTION, SIGHTINGS):
        assert await leases.hold(workspace, step, "somebody", 600)
    erasure = await erasing.request(erasing.plan(workspace, [CUSTOMER, VISITOR]))
    for _ in range(3):
        erasure = await erasing.go_on(erasure)
        assert erasure.state is ErasureState.DESTROYED
    columns = ("workspace", "event_time", "event_id", "kind", "verdict", "accept_time", "identity_tokens")
    read_before = (workspace, row[1], "login", SIGHTING, "ACCEPTED", row[1], row[0])
    await attribution.clickhouse.insert("events", columns, [[one] for one in read_before])
    await leases.release(workspace, SIGHTINGS, "somebody")  # the run itself goes on: nobody waits for that
    erasure = await erasing.go_on(erasure)
    assert erasure.state is ErasureState.FINISHED
    assert await kept.rows("events FINAL", "kind, identity_tokens") == [(SIGHTING, [])]
    assert await kept.rows("events_by_identifier", "event_id") == []


@pytest.mark.parametrize("loses", [False, True])
async def test_a_click_of_long_ago_that_is_seen_again_is_an_old_one(kept: Kept, events: Events, loses: bool) -> None:
    await kept.world.happen(
        events.touch(VISITOR, at=LONG_AGO - DAY, channel="Paid Search", clicks={"gclid": "X"}),
        events.order(VISITOR, at=LONG_AGO, order_id="o-old"),
    )
    await kept.attribution.let_journeys_expire()
    assert await kept.delete() == {"events": 0}
    if loses:
        await lose_all(kept)
    await kept.world.happen(
        events.touch(VISITOR, at=RECENTLY - DAY, channel="Paid Search", clicks={"gclid": "X"}),
        events.order(VISITOR, at=RECENTLY, order_id="o-new"),
    )
    [credited] = await chain(kept, events, "o-new")
    assert [touch.source.channel for touch in credited.state.touches] == ["Direct"]
    assert await kept.differences() == 0


async def test_how_somebody_began_is_known_after_a_loss(kept: Kept, events: Events) -> None:
    await kept.world.happen(
        events.touch(VISITOR, at=LONG_AGO - DAY, channel="Display"), events.order(VISITOR, at=LONG_AGO)
    )
    await kept.attribution.let_journeys_expire()
    await kept.world.happen(events.touch(VISITOR, at=RECENTLY - DAY, channel="Email"))
    people = [(kept.attribution.workspace.id, [VISITOR])]
    before = await kept.attribution.people.firsts.of_people(people)
    await kept.delete()
    await lose_all(kept)
    assert await kept.attribution.people.firsts.of_people(people) == before


class Dying(EndedPathRecords):
    """Records of a process that dies as soon as it has written."""

    async def _write(self, table: metrics.Table, columns: Sequence[str], row: Sequence[Any]) -> None:
        await super()._write(table, columns, row)
        raise asyncio.CancelledError


async def keep_and_die(kept: Kept, month: MonthOfRows) -> int:
    """Keeps a month by processes that die after each page; returns how many did."""
    attribution = kept.attribution
    for number in range(100):
        dying = EndedPaths(Dying(attribution.clickhouse), attribution.old_people, kept.clock, page=2)
        [month] = await dying.resumed([month])
        with suppress(asyncio.CancelledError):
            await dying.keep(attribution.workspace, month)
            return number
        kept.clock.micros += HOUR
        if number == 1:  # as if nobody had the identifier any more that the second page ends with: it is counted again
            await attribution.clickhouse.execute(
                "INSERT INTO ended_paths_pages SELECT * REPLACE (1 AS boundary, version + 1 AS version)"
                " FROM ended_paths_pages FINAL WHERE workspace = %(w)s AND page = 2",
                {"w": month.workspace},
            )
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("stops", ["", "after all pages", "after each page"])
async def test_what_data_driven_learned_of_those_whose_events_are_gone_is_learned_again_after_a_loss(
    kept: Kept, events: Events, stops: str
) -> None:
    """Paths over the ends of months, and over the moment since which there are events; of who bought, or did not."""
    rng, attribution, world = random.Random(5), kept.attribution, []
    for person in range(16):
        token, at = f"visitor:{person}", SINCE + rng.randrange(-70, 10) * DAY
        for number in range(rng.randrange(1, 7)):
            at += rng.choice([HOUR, 3 * DAY, 12 * DAY])
            channel = rng.choice(["Email", "Display", "Paid Search", "Direct"])
            world.append((at, events.touch(token, at=at, channel=channel, event_id=f"t-{person}-{number}")))
        if person % 3 == 0:
            world.append((at + HOUR, events.order(token, at=at + HOUR, order_id=f"o-{person}")))
        if person % 5 == 0:
            world.append((at, events.identify(token, f"visitor:{person + 1}", at=at, event_id=f"i-{person}")))
    for at, event in sorted(world, key=lambda one: one[0]):
        await attribution.record(event, accept_micros=at)
        await attribution.handle(event, accept_micros=at, backfill=True)
    await lose_all(kept)
    before = await attribution.count_people()
    assert before["purchase"].paths > before["purchase"].conversions > 3
    if stops:
        records, workspace = RetentionRecords(attribution.clickhouse), attribution.workspace
        first, second, _ = await records.months(workspace.id, RetainedTable.EVENTS, SINCE, NOW - 2 * DAY)
        if stops == "after each page":
            for month in (first, second):
                assert await keep_and_die(kept, month) > 3
                await records.keep_sightings(month, 5, 30)
                await records.delete([await records.count(month, NOW)], NOW)
                await kept.paths.forget_pages([month])
        else:
            await kept.paths.keep(workspace, first)
            await records.keep_sightings(first, 5, 30)
        kept.clock.micros += DAY
    assert (await kept.delete())["events"] > 10
    assert await kept.rows("ended_paths_pages", "*") == []
    await lose_all(kept)
    assert await attribution.count_people() == before


async def test_a_shared_device_is_one_since_the_same_moment(kept: Kept, events: Events) -> None:
    first = LONG_AGO - 100 * DAY
    first -= first % DAY
    await kept.world.happen(
        *(
            events.identify(f"customer:{n}", VISITOR, at=first + hour + n)
            for hour in (8 * HOUR, 20 * HOUR)
            for n in range(5)
        ),
        events.identify("customer:5", VISITOR, at=first + 30 * DAY + 12 * HOUR),
        events.identify("email:e", VISITOR, at=first + 31 * DAY),
        *(events.identify(f"customer:{n}", PHONE, at=first + day * DAY + n) for day in (0, 40) for n in range(4)),
        *(events.order(PHONE, at=first + 45 * DAY + n, order_id=f"k-{n}", rank=1) for n in (4, 5)),
        *(
            ("M", events.order(f"customer:{n}", at=first + 45 * DAY + n + 1, order_id=f"k-{n}", rank=2)[1])
            for n in (4, 5)
        ),
        events.identify("email:p", PHONE, at=first + 46 * DAY),
    )
    await kept.delete()
    await kept.world.happen(
        events.touch(VISITOR, at=RECENTLY - DAY, channel="Display"),
        events.order("email:e", at=RECENTLY, order_id="o-new"),
        events.touch(PHONE, at=RECENTLY - DAY, channel="Display"),
        events.order("email:p", at=RECENTLY, order_id="o-phone"),
    )
    assert await kept.differences() == 0


async def test_a_month_whose_sightings_somebody_else_keeps_waits_for_the_next_run(kept: Kept, events: Events) -> None:
    own, leases = kept.attribution.workspace, RunLeases(kept.attribution.state)
    await kept.world.happen(events.touch(VISITOR, at=LONG_AGO))
    assert await leases.hold(own.id, SIGHTINGS, "somebody", 600)
    assert await kept.delete() == {}
    await leases.release(own.id, SIGHTINGS, "somebody")
    assert await kept.delete() == {"events": 1}
    assert not await leases.is_held(own.id, SIGHTINGS)


async def test_of_all_workspaces_a_month_is_deleted_at_once_and_so_are_its_ids(kept: Kept, events: Events) -> None:
    await lived(kept, events)
    own, clickhouse = kept.attribution.workspace, kept.attribution.clickhouse
    await clickhouse.execute(
        "INSERT INTO events SELECT * REPLACE (%(o)s AS workspace) FROM events AS e WHERE e.workspace = %(w)s",
        {"o": f"{own.id}-2", "w": own.id},
    )
    own = kept.keeping(14)
    other = own.model_copy(update={"id": f"{own.id}-2"})
    for one in (own, other):
        await kept.tell(one.id, 14)
    assert await kept.expiry.delete(own, other) == {"events": 4}
    mutations = await clickhouse.execute(
        "SELECT table FROM system.mutations WHERE database = currentDatabase() AND command LIKE %(w)s ORDER BY table",
        {"w": f"%{other.id}%"},
    )
    assert mutations == [("ended_paths_pages",), ("events",), ("events_by_id",), ("events_by_identifier",)]
    assert await kept.rows("events_by_id FINAL", "event_id", f"toUnixTimestamp64Micro(event_time) < {SINCE}") == [
        ("banner",),
        ("login",),
        ("login-phone",),
        ("mail",),
        ("order",),
    ]


async def test_of_a_shared_device_the_first_and_the_last_sighting_of_a_day_stay_per_customer(
    kept: Kept, events: Events
) -> None:
    seen = [(day, number) for day in range(3) for number in range(6)]
    await kept.world.happen(
        *(
            events.identify(f"customer:{number}", VISITOR, at=LONG_AGO + day * DAY + micros + number)
            for micros in (0, 50, 99)
            for day, number in seen
        )
    )
    records = RetentionRecords(kept.attribution.clickhouse, at_once=5)  # in parts
    for table in RetainedTable:
        for month in await records.months(kept.attribution.workspace.id, table, SINCE, NOW - 2 * DAY):
            await records.keep_sightings(month, 5, 30)
            await records.delete([await records.count(month, NOW)], NOW)
    assert len(await kept.rows("events FINAL", "event_id")) == 2 * len(seen)
