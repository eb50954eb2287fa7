"""After what was too old is gone: what is wrong is found and repaired, and what is lost comes back, as before."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.test_expiry import (
    CUSTOMER,
    DAY,
    HOUR,
    LONG_AGO,
    NOON,
    RECENTLY,
    VISITOR,
    Kept,
    chain,
    kept_of,
    lived,
)
from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import Events
from tributary_domain.erasures import ErasureState
from tributary_domain.retention import SIGHTING
from tributary_storage.redis.run_leases import RETENTION, RunLeases

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def kept(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Kept]:
    async with reconciled(migrated_redis_url, clickhouse_url, workspace) as world:
        yield kept_of(world)


@pytest.fixture
async def short(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Kept]:
    """Keeps events for three months, where who is who is known for longer."""
    settings = {"retention": {"person_event_months": 3}}
    async with reconciled(migrated_redis_url, clickhouse_url, workspace, **settings) as world:
        yield kept_of(world)


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


async def lose_all(kept: Kept) -> None:
    """Loses the whole state store, and brings it back."""
    attribution = kept.attribution
    await attribution.state.flushdb()
    attribution.losses.append(NOON + 5 * DAY - HOUR)
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


async def test_people_made_of_sightings_come_back_after_a_loss(short: Kept, events: Events) -> None:
    login = events.identify(CUSTOMER, VISITOR, at=NOON - 300 * DAY)
    await short.attribution.record(login, accept_micros=NOON - 300 * DAY)
    await short.attribution.handle(login, accept_micros=NOON - 300 * DAY)
    await short.delete()
    await lose_all(short)
    await short.world.happen(
        events.touch(VISITOR, at=NOON - 3 * DAY, channel="Display"), events.order(CUSTOMER, order_id="o-new")
    )
    [credited] = await chain(short, events, "o-new")
    assert [touch.source.channel for touch in credited.state.touches] == ["Display"]
    assert await short.differences() == 0


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
    assert await leases.hold(workspace, RETENTION, "somebody", 600)
    erasure = await erasing.request(erasing.plan(workspace, [CUSTOMER, VISITOR]))
    for _ in range(3):
        erasure = await erasing.go_on(erasure)
        assert erasure.state is ErasureState.DESTROYED
    columns = ("workspace", "event_time", "event_id", "kind", "verdict", "accept_time", "identity_tokens")
    read_before = (workspace, row[1], "login", SIGHTING, "ACCEPTED", row[1], row[0])
    await attribution.clickhouse.insert("events", columns, [[one] for one in read_before])
    await leases.release(workspace, RETENTION, "somebody")
    erasure = await erasing.go_on(erasure)
    assert erasure.state is ErasureState.FINISHED
    assert await kept.rows("events FINAL", "kind, identity_tokens") == [(SIGHTING, [])]
    assert await kept.rows("events_by_identifier", "event_id") == []
