"""What somebody else's device saw of an erased order is an entry of their journey, and says nothing of any order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import pytest

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, SHARDS, Admitted, Attribution, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.conversion_pb2 import Conversion
from tributary_domain.erasures import Erasure
from tributary_domain.event_order import event_hash
from tributary_domain.findings import FindingState
from tributary_domain.journey import JourneyTouch, TouchKind
from tributary_domain.shards import shard_of_key
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.integrity import StoredIntegrity
from tributary_storage.clickhouse.statements import statement
from tributary_storage.redis import keys
from tributary_storage.redis.descriptors import digest_of
from tributary_storage.redis.erased_people import ErasedPeople, Observed
from tributary_storage.redis.journey_layout import event_field, pack_conversion
from tributary_storage.redis.ties import person_key

CUSTOMER, DEVICE = "customer:erased", "visitor:others"
LONG_AGO: Final = NOON - 200 * DAY
LOSS: Final = NOON + 5 * DAY
ONCE: Final = {"conversions": [{"name": "purchase", "counting": "once_per_person"}]}


@pytest.fixture
async def own(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    patience = {"delivery_seconds": PATIENCE_SECONDS}
    async with (
        reconciled(migrated_redis_url, clickhouse_url, workspace, **patience, **ONCE) as opened,
        forgetting(opened.attribution),
    ):
        yield opened


def seen_by_both(events: Events, at: int) -> list[Admitted]:
    """Returns an order of the erased one's that the device of somebody else saw, too."""
    theirs = events.identify("customer:other", DEVICE, at=at - DAY)
    order = events.order(CUSTOMER, at=at, order_id="o-erased", event_id="told")
    return [theirs, order, events.order(DEVICE, at=at, order_id="o-erased", event_id="seen", letter="M", rank=1)]


async def happen(attribution: Attribution, *events: Admitted) -> None:
    """Lets events happen one after another, each when it was."""
    for event in events:
        at = event[1].event.event_time.ToMicroseconds()
        await attribution.record(event, accept_micros=at)
        await attribution.handle(event, accept_micros=at)


async def erase(attribution: Attribution, mode: ErasureMode) -> None:
    erasure = attribution.erasing.plan(attribution.workspace.id, [CUSTOMER], mode)
    erasure = await attribution.erasing.go_on(await attribution.erasing.request(erasure))
    assert not any(erasure.remaining.values()), erasure.remaining
    await attribution.erasing.go_on(erasure)


async def lose_all(attribution: Attribution) -> None:
    """Loses the state store, and makes it whole again."""
    await attribution.state.flushdb()
    attribution.losses.append(LOSS)
    while not attribution.rebuild.is_whole():
        await attribution.rebuild.some()
        await attribution.count_people()


async def counted(attribution: Attribution, conversion_id: str) -> bool:
    published = await attribution.published(conversion_id)
    assert published is not None
    return published.state.counted


@pytest.mark.parametrize("mode", list(ErasureMode))
@pytest.mark.parametrize("at", [pytest.param(LONG_AGO, id="forgotten"), pytest.param(NOON - 9 * DAY, id="remembered")])
async def test_it_hides_nobodys_first_order_after_the_state_store_was_lost(
    own: Reconciled, workspace: str, at: int, mode: ErasureMode
) -> None:
    events, attribution = Events(workspace), own.attribution
    first = events.order(DEVICE, at=at + DAY, order_id="o-first")
    await happen(attribution, *seen_by_both(events, at), first)
    await erase(attribution, mode)
    await lose_all(attribution)
    [began] = await attribution.people.firsts.of_people([(workspace, [DEVICE])])
    assert [one.conversion_id for one in began.conversions.values()] == [events.conversion_id("o-first")]
    await attribution.let_journeys_expire()
    await happen(attribution, events.order(DEVICE, order_id="o-second"))
    assert not await counted(attribution, events.conversion_id("o-second"))


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_whose_only_order_lost_its_count_is_found_beside_it_and_repaired(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    events, attribution = Events(workspace), own.attribution
    await own.happen(*seen_by_both(events, NOON - DAY))
    await own.happen(events.order(DEVICE, order_id="o-only"))
    await erase(attribution, mode)
    await own.execute(
        "ALTER TABLE conversions UPDATE counted = 0, not_counted_reason = 'ONCE_PER_PERSON'"
        " WHERE workspace = %(w)s AND conversion_id = %(c)s",
        c=events.conversion_id("o-only"),
    )
    await own.run()
    [found] = await own.differences()
    assert (found.conversion_id, found.actual) == (events.conversion_id("o-only"), "not counted: ONCE_PER_PERSON")
    await own.run()
    assert [one.state for one in await own.differences()] == [FindingState.RESOLVED]
    assert (True, "") in await attribution.stored("counted, not_counted_reason")


@pytest.mark.parametrize("mode", list(ErasureMode))
@pytest.mark.parametrize("expires", [False, True])
async def test_it_keeps_no_order_of_theirs_from_counting(
    own: Reconciled, workspace: str, mode: ErasureMode, expires: bool
) -> None:
    events, attribution = Events(workspace), own.attribution
    await own.happen(*seen_by_both(events, NOON - 9 * DAY))
    await own.happen(events.order(DEVICE, at=NOON - DAY, order_id="o-before"))
    await erase(attribution, mode)
    [began] = await attribution.people.firsts.of_people([(workspace, [DEVICE])])
    assert [one.conversion_id for one in began.conversions.values()] == [events.conversion_id("o-before")]
    if expires:
        await attribution.let_journeys_expire()
    await own.happen(events.order(DEVICE, at=NOON - 2 * DAY, order_id="o-first"))
    assert await counted(attribution, events.conversion_id("o-first"))
    assert not await counted(attribution, events.conversion_id("o-before"))
    await own.happen(events.touch(DEVICE, at=NOON - 3 * DAY))
    assert await counted(attribution, events.conversion_id("o-first"))
    await own.run()
    assert await own.differences() == []


@pytest.mark.parametrize("mode", list(ErasureMode))
@pytest.mark.parametrize("expires", [False, True])
async def test_whoever_began_with_it_began_with_their_own_that_their_journey_has_forgotten(
    own: Reconciled, workspace: str, mode: ErasureMode, expires: bool
) -> None:
    events, attribution = Events(workspace), own.attribution
    first = events.order(DEVICE, at=LONG_AGO + DAY, order_id="o-first")
    await happen(attribution, *seen_by_both(events, LONG_AGO), first)
    await attribution.let_journeys_expire()
    if not expires:
        await own.happen(events.touch(DEVICE, at=NOON - DAY))
    await erase(attribution, mode)
    [began] = await attribution.people.firsts.of_people([(workspace, [DEVICE])])
    assert [one.conversion_id for one in began.conversions.values()] == [events.conversion_id("o-first")]
    await own.happen(events.order(DEVICE, order_id="o-second"))
    assert await counted(attribution, events.conversion_id("o-first"))
    assert not await counted(attribution, events.conversion_id("o-second"))
    await own.run(own.a_run(begin=LONG_AGO - 30 * DAY))
    assert await own.differences() == []


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_a_journey_that_is_rebuilt_meanwhile_forgets_it_again(
    own: Reconciled, workspace: str, mode: ErasureMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, attribution = Events(workspace), own.attribution
    await own.happen(*seen_by_both(events, NOON - DAY))
    await own.happen(events.order(DEVICE, order_id="o-own"))
    key = person_key(workspace, DEVICE)
    journey = keys.journey(shard_of_key(key, SHARDS), key)
    before: dict[str, Any] = {name: await attribution.state.hgetall(name) for name in (journey, f"{journey}:firsts")}
    strip = ErasureRecords.strip_events

    async def rebuilt(records: ErasureRecords, erasure: Erasure, entries: Mapping[tuple[int, str], bytes]) -> int:
        while before:
            name, fields = before.popitem()
            await attribution.state.hset(name, mapping=fields)
        return await strip(records, erasure, entries)

    monkeypatch.setattr(ErasureRecords, "strip_events", rebuilt)
    await erase(attribution, mode)
    [began] = await attribution.people.firsts.of_people([(workspace, [DEVICE])])
    assert [one.conversion_id for one in began.conversions.values()] == [events.conversion_id("o-own")]
    found = await attribution.people.find(workspace, [DEVICE])
    assert found is not None
    assert set(found.conversions) == {events.conversion_id("o-own")}


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_what_still_names_the_order_since_a_release_of_before_hides_nobodys_first_order(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    events, attribution = Events(workspace), own.attribution
    await own.happen(*seen_by_both(events, NOON - DAY))
    await own.happen(events.order(DEVICE, order_id="o-own"))
    key = person_key(workspace, DEVICE)
    journey = keys.journey(shard_of_key(key, SHARDS), key)
    before: dict[str, Any] = {name: await attribution.state.hgetall(name) for name in (journey, f"{journey}:firsts")}
    await erase(attribution, mode)
    for name, fields in before.items():
        await attribution.state.hset(name, mapping=fields)
    conversion_id = events.conversion_id("o-own")
    await own.happen(events.touch(DEVICE, at=NOON - 2 * DAY, event_id="late"))
    assert await counted(attribution, conversion_id)
    await own.run()
    assert await own.differences() == []
    await own.happen(events.order(DEVICE, at=NOON + 1, order_id="o-further"))
    assert await counted(attribution, conversion_id)
    assert not await counted(attribution, events.conversion_id("o-further"))
    await own.happen(events.order(DEVICE, at=NOON - 1, order_id="o-earlier"))
    assert await counted(attribution, events.conversion_id("o-earlier"))
    assert not await counted(attribution, conversion_id)
    await own.run()
    assert await own.differences() == []


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_of_the_order_it_says_neither_the_value_nor_the_shop(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    events, attribution = Events(workspace), own.attribution
    shared = seen_by_both(events, NOON - DAY)
    for _, order in shared[1:]:
        order.event.conversion.store, order.event.conversion.recurrence.cycle = "shop", "2026-10"
    await own.happen(*shared)
    await own.happen(events.order(DEVICE, order_id="o-theirs"))
    columns = "value_micros, currency, store, cycle, identity_tokens, conversion_name, admitted"
    asked = f"SELECT {columns} FROM events FINAL WHERE workspace = %(w)s AND event_id = 'seen'"  # noqa: S608
    [before] = await attribution.clickhouse.execute(asked, {"w": workspace}, raw_strings=True)
    assert before[:4] == (90_000_000, b"EUR", b"shop", b"2026-10")
    await erase(attribution, mode)
    [(*said, admitted)] = await attribution.clickhouse.execute(asked, {"w": workspace}, raw_strings=True)
    assert said == [None, b"", b"", b"", [DEVICE.encode()], b"purchase"]
    assert AdmittedEvent.FromString(admitted).event.conversion == Conversion(name="purchase")
    await own.run()
    assert await own.differences() == []
    integrity = StoredIntegrity(attribution.clickhouse)
    observed = (await integrity.events(workspace)).observed_conversions
    assert observed == (await integrity.conversions(workspace)).rows


async def test_it_is_found_by_its_order_and_not_among_all(own: Reconciled, workspace: str) -> None:
    attribution = own.attribution
    asked = {
        "workspace": workspace,
        "first": 1,
        "second": 2,
        "until": NOON,
        "there_until": NOON,
        "tokens": ["t"],
        "conversions": ["c1:none"],
    }
    explained = f"EXPLAIN indexes = 1 {statement('erasure/observed_by_others')}"
    await own.happen(*seen_by_both(Events(workspace), NOON - DAY))
    plan = await attribution.clickhouse.execute(explained, asked)
    assert any("Condition: and(((event_time, event_id) in" in line for (line,) in plan)


async def test_what_names_no_order_is_nobodys_first(own: Reconciled, workspace: str) -> None:
    firsts = own.attribution.people.firsts
    conversion_id = Events(workspace).conversion_id("o-first")

    def seen(at: int, order: str) -> tuple[tuple[str, str], tuple[bytes, bytes]]:
        touch = JourneyTouch(at, event_hash(f"{at}"), TouchKind.CONVERSION, digest_of(b"purchase"))
        return (workspace, DEVICE), (event_field(touch.event_hash), pack_conversion(touch, order))

    await firsts.remember([seen(NOON, ""), seen(NOON + 1, conversion_id)], 60)
    [began] = await firsts.of_people([(workspace, [DEVICE])])
    assert [one.conversion_id for one in began.conversions.values()] == [conversion_id]


@pytest.mark.parametrize("mode", list(ErasureMode))
@pytest.mark.parametrize("is_lost", [False, True])
async def test_several_tellings_of_it_end_a_path_once(
    migrated_redis_url: str, clickhouse_url: str, workspace: str, mode: ErasureMode, is_lost: bool
) -> None:
    events, at = Events(workspace), NOON - 2 * DAY
    settings = {"touch_grain": "event", "path_after_conversion": {"reset": ["purchase"]}}
    async with (
        reconciled(
            migrated_redis_url, clickhouse_url, workspace, delivery_seconds=PATIENCE_SECONDS, attribution=[settings]
        ) as own,
        forgetting(own.attribution),
    ):
        attribution, theirs = own.attribution, events.conversion_id("o-theirs")
        await happen(
            attribution,
            *seen_by_both(events, at),
            events.touch(DEVICE, at=at + DAY // 24, channel="Display"),
            events.order(DEVICE, at=at + DAY // 12, order_id="o-erased", letter="M", rank=1),
            events.order(DEVICE, order_id="o-theirs"),
        )

        async def credited() -> list[str]:
            rows = await attribution.stored("conversion_id, touch_channels")
            return next(channels for conversion_id, channels in rows if conversion_id == theirs)

        assert await credited() == ["Display"]
        await erase(attribution, mode)
        if is_lost:
            await lose_all(attribution)
        await own.happen(events.touch(DEVICE, at=at + DAY // 8, channel="Email"))
        assert await credited() == ["Display", "Email"]
        await own.run()
        assert await own.differences() == []


async def test_a_run_that_does_not_know_which_order_it_was_leaves_it_to_one_that_did(
    own: Reconciled, workspace: str
) -> None:
    attribution, order = own.attribution, Events(workspace).order("visitor:b")
    await attribution.handle(order)
    erased, hashed = ErasedPeople(attribution.state, SHARDS), event_hash(order[1].event.event_id)
    for number in (5, 0):
        await erased.forget_observed(workspace, [Observed("visitor:b", hashed, "purchase", None, number)])
        journey = await attribution.people.find(workspace, ["visitor:b"])
        assert journey is not None
        assert (journey.erased, journey.conversion_ids) == ({hashed: 5}, {}), number
