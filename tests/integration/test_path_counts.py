"""Counts of paths are those of the published conversions and of the people who have none, whatever came when."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tributary_domain.path_counts import PathCounts, counts_of, total
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.clickhouse.identity_changes import IdentityChanges
from tributary_storage.clickhouse.writer import ConversionWriter
from tributary_storage.redis import keys

EVENT_GRAIN = {"attribution": [{"touch_grain": "event"}]}


def counted(*paths: tuple[Sequence[str], bool]) -> PathCounts:
    return total((counts_of(path, converted=converted), 1) for path, converted in paths)


def a_world(make: Events) -> list[Admitted]:
    """Six people: who bought twice, who got money back, whose two devices are one person, who only looked, a bot."""
    return [
        make.touch("visitor:a", at=NOON - 3 * DAY, channel="Email", event_id="a1"),
        make.touch("visitor:a", at=NOON - 2 * DAY, channel="Display", event_id="a2"),
        make.order("visitor:a", at=NOON, order_id="o-a", event_id="a3"),
        make.touch("visitor:a", at=NOON + DAY, channel="Direct", event_id="a4"),
        make.order("visitor:a", at=NOON + 2 * DAY, order_id="o-a2", event_id="a5"),
        make.touch("visitor:b", at=NOON - DAY, channel="Email", event_id="b1"),
        make.order("visitor:b", at=NOON, order_id="o-b", event_id="b2"),
        make.refund(0, order_id="o-b", event_id="b3"),
        make.touch("visitor:c1", at=NOON - 2 * DAY, channel="Email", event_id="c1"),
        make.touch("visitor:c2", at=NOON - DAY, channel="Referral", event_id="c2"),
        make.identify("visitor:c1", "visitor:c2", event_id="c3"),
        make.touch("visitor:d", at=NOON - 60 * DAY, channel="Display", event_id="d1"),
        make.touch("visitor:d", at=NOON - DAY, channel="Email", event_id="d2"),
        make.touch("visitor:e", at=NOON - DAY, channel="Affiliates", letter="Q", event_id="e1"),
        make.order("visitor:f", at=NOON, order_id="o-f", event_id="f1"),
    ]


A_WORLD = counted(
    (["Email", "Display"], True),
    (["Email", "Display", "Direct"], True),
    (["Email"], True),
    (["Email", "Referral"], False),
    (["Email"], False),
)
"""The worked answer: d's old touch is outside of the window that ends with his last, e is quarantined, f's order has
no touch and is no path."""


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> Any:
    async with running_attribution(redis_url, clickhouse_url, workspace, **EVENT_GRAIN) as running:
        yield running


@pytest.mark.parametrize("seed", range(4))
async def test_any_order_and_grouping_of_arrivals_gives_the_same_counts(attribution: Attribution, seed: int) -> None:
    rng = random.Random(seed)
    events = a_world(Events(attribution.workspace.id))
    if seed:
        events = [*events, *rng.sample(events, 5)]
        rng.shuffle(events)
    while events:
        some = rng.randrange(1, 6)
        await attribution.handle(*events[:some])
        if rng.randrange(2):
            await attribution.count_people()
        events = events[some:]
    assert await attribution.count_people() == {"purchase": A_WORLD}


async def test_what_is_taken_back_leaves_no_trace(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    await attribution.handle(make.touch("visitor:a", channel="Email"), make.order("visitor:a", order_id="o-1"))
    assert (await attribution.count_people())["purchase"] == counted((["Email"], True))
    await attribution.handle(make.retraction())
    assert await attribution.count_people() == {}
    assert await attribution.state.hlen(keys.converted_paths(0, attribution.workspace.id)) == 0
    people = [await attribution.state.hgetall(keys.person_paths(n, attribution.workspace.id)) for n in range(4)]
    merged = {field: int(count) for one in people for field, count in one.items()}
    assert merged == {b"\0paths": 1, b'\0[0, "Email"]': 1, b'\0["Email", 2]': 1}, "he is a path that led nowhere now"


async def test_people_who_are_taken_apart_are_a_path_each_again(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    await attribution.handle(
        make.touch("visitor:a", channel="Email", at=NOON - 2 * DAY),
        make.touch("visitor:b", channel="Display", at=NOON - DAY),
        make.order("visitor:b"),
        make.identify("visitor:a", "visitor:b"),
    )
    assert await attribution.count_people() == {"purchase": counted((["Email", "Display"], True))}
    [merge] = await IdentityChanges(attribution.clickhouse).of_tokens(make.workspace, ["visitor:a"])
    await attribution.identities.undo(make.workspace, merge.change_id)
    assert await attribution.count_people() == {"purchase": counted((["Display"], True), (["Email"], False))}


@pytest.mark.parametrize("first", [0, 1])
async def test_who_was_seen_at_an_order_of_somebody_else_is_a_path_that_led_nowhere(
    attribution: Attribution, first: int
) -> None:
    make = Events(attribution.workspace.id)
    orders = [
        make.order("customer:a", event_id="o-a"),
        make.order("customer:b", event_id="o-b", at=NOON + 1, letter="M", rank=1),
    ]
    await attribution.handle(make.touch("customer:a", channel="Email"), make.touch("customer:b", channel="Display"))
    for order in (orders[first], orders[1 - first]):
        await attribution.handle(order)
        await attribution.count_people()
    assert await attribution.count_people() == {"purchase": counted((["Email"], True), (["Display"], False))}


async def test_a_late_touch_takes_the_old_path_back(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    await attribution.handle(make.touch("visitor:a", channel="Email"), make.order("visitor:a"))
    await attribution.handle(make.touch("visitor:a", at=NOON - 2 * DAY, channel="Display"))
    assert await attribution.count_people() == {"purchase": counted((["Display", "Email"], True))}


async def test_a_run_that_stops_before_anybody_is_told_counts_once(
    redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path is counted with the compare-and-set: neither before it, nor again when the events come again."""
    make = Events(workspace)
    events = [make.touch("visitor:a", channel="Email", event_id="t"), make.order("visitor:a", event_id="o")]
    async with running_attribution(redis_url, clickhouse_url, workspace, **EVENT_GRAIN) as attribution:

        async def cut(*_: object) -> None:
            raise StorageUnavailableError("cut", metadata={"store": "clickhouse"})

        with monkeypatch.context() as patch:
            patch.setattr(ConversionWriter, "write", cut)
            with pytest.raises(StorageUnavailableError):
                await attribution.handle(*events)
        await attribution.as_paths.fold_some()
        assert (await attribution.as_paths.counts(workspace))["purchase"] == counted((["Email"], True))
        await attribution.handle(*events)
        await attribution.handle(*events)
        assert await attribution.count_people() == {"purchase": counted((["Email"], True))}
        assert len(await attribution.logged()) == 1


async def test_two_workers_that_publish_one_conversion_at_once_count_it_once(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    order = make.order("visitor:a", event_id="o")
    touches = [make.touch("visitor:a", at=NOON - n * DAY, channel=f"c{n}", event_id=f"t{n}") for n in range(1, 9)]
    await asyncio.gather(*[attribution.handle(order, touch) for touch in touches])
    path = [f"c{n}" for n in range(8, 0, -1)]
    assert await attribution.count_people() == {"purchase": counted((path, True))}


async def test_a_person_is_counted_once_by_two_who_hold_him_one_after_the_other(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    workspace = attribution.workspace.id
    await attribution.handle(make.touch("visitor:a", channel="Email"))
    [stale] = await attribution.paths.take(10)
    await attribution.state.zadd(keys.path_due(_shard(attribution, stale.token)), {_name(stale): 1})
    await attribution.count_people()
    assert await attribution.paths.count([(stale, b'[["Display"],[]]')], 60) == 0
    people = [await attribution.state.hgetall(keys.person_paths(n, workspace)) for n in range(4)]
    assert {field: count for one in people for field, count in one.items()}[b"\0paths"] == b"1"


async def test_whoever_is_marked_while_he_is_looked_at_is_looked_at_again(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    await attribution.handle(make.touch("visitor:a", channel="Email"))
    [held] = await attribution.paths.take(10)
    await attribution.handle(make.touch("visitor:a", at=NOON, channel="Display"))
    assert await attribution.paths.count([(held, b'[["Email"],[]]')], 60) == 1
    [again] = await attribution.paths.take(10)
    assert (again.token, again.counted) == (held.token, b'[["Email"],[]]')


async def test_what_was_published_before_it_could_be_counted_stays_out(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    await attribution.handle(make.touch("visitor:a", channel="Email"), make.order("visitor:a"))
    await attribution.lose_state()
    for shard in range(4):
        await attribution.state.delete(keys.path_changes(shard))
    await attribution.handle(make.refund(1_000_000))
    assert await attribution.published(make.conversion_id()) is not None
    assert await attribution.count_people() == {}


def _name(held: Any) -> str:
    return f"{held.workspace}|{held.token}"


def _shard(attribution: Attribution, token: str) -> int:
    return attribution.paths._shard(f"{attribution.workspace.id}|{token}")


async def test_changes_that_two_add_up_at_once_are_added_up_once(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    await attribution.handle(make.touch("visitor:a", channel="Email"), make.order("visitor:a"))
    await asyncio.gather(*[attribution.as_paths.fold_some() for _ in range(5)])
    await attribution.count_people()
    assert await attribution.as_paths.counts(attribution.workspace.id) == {"purchase": counted((["Email"], True))}
    assert [await attribution.state.llen(keys.path_changes(shard)) for shard in range(4)] == [0] * 4
