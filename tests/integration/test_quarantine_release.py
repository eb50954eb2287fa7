"""A released event counts as if it had been accepted when it came: in any order, once, and with a cause of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tributary.attribution.v1.conversion_pb2 import ConversionState, RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis.conversions import Conversions, Publication

MINUTE = 60_000_000


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


async def newest(attribution: Attribution, events: Events, order_id: str = "o-1") -> ConversionRevised:
    revised = await attribution.published(events.conversion_id(order_id))
    assert revised is not None
    return revised


def causes(revised: ConversionRevised) -> list[str]:
    return [RevisionCause.Name(cause).removeprefix("REVISION_CAUSE_") for cause in revised.causes]


def shown(state: ConversionState) -> tuple[int, list[tuple[str, int, list[str]]], list[str]]:
    """Returns what is credited to whom, whatever the ids of people and events."""
    touches = [
        (touch.source.channel, touch.touch_time.ToMicroseconds(), [str(credit) for credit in touch.credits])
        for touch in state.touches
    ]
    return state.value.amount_micros, touches, [str(model) for model in state.models]


@pytest.mark.parametrize("what", ["touch", "order"])
async def test_it_counts_the_same_whatever_arrives_first(attribution: Attribution, events: Events, what: str) -> None:
    """Every order of arrival of a person's events; a release may even come before what it releases."""
    arrivals = list(itertools.permutations(range(4)))
    worlds = []
    for number, _ in enumerate(arrivals):
        who, order_id = f"visitor:{number}", f"o-{number}"
        touch = events.touch(who, at=NOON - 2 * DAY, channel="Email", letter="Q" if what == "touch" else "A")
        order = events.order(who, order_id=order_id, letter="Q" if what == "order" else "A")
        other = events.touch(who, at=NOON - DAY, channel="Organic Search")
        worlds.append([touch, other, order, events.release(touch if what == "touch" else order)])
    for step in range(4):
        await attribution.handle(*[world[arrival[step]] for world, arrival in zip(worlds, arrivals, strict=True)])
    states = {revised.state.order_key.order_id: revised.state for revised in await attribution.logged()}
    expected = shown(states["o-0"])
    assert [channel for channel, _, _ in expected[1]] == ["Email", "Organic Search"]
    for number, arrival in enumerate(arrivals):
        assert shown(states[f"o-{number}"]) == expected, arrival


async def test_a_released_touch_is_the_cause_of_its_credit_and_changes_nothing_twice(
    attribution: Attribution, events: Events
) -> None:
    quarantined = events.touch("visitor:a", channel="Email", letter="Q", event_id="bot")
    await attribution.handle(quarantined, events.order("visitor:a"), events.order("visitor:b", order_id="o-2"))
    assert not (await newest(attribution, events)).state.touches
    await attribution.handle(events.release(quarantined))
    released = await newest(attribution, events)
    assert causes(released) == ["QUARANTINE_RELEASE"]
    assert list(released.causing_event_ids) == ["bot"]
    assert [touch.source.channel for touch in released.state.touches] == ["Email"]
    for again in (events.release(quarantined), quarantined):
        await attribution.handle(again)
    assert (await newest(attribution, events)).revision == released.revision
    assert len(await attribution.logged()) == 3


async def test_a_released_order_is_a_conversion_with_its_refund_and_its_journey(
    attribution: Attribution, events: Events
) -> None:
    quarantined = events.order("visitor:a", letter="Q", event_id="odd")
    await attribution.handle(
        events.touch("visitor:a", channel="Email"), quarantined, events.refund(30_000_000, of_event="odd")
    )
    assert await attribution.published(events.conversion_id()) is None
    await attribution.handle(events.release(quarantined))
    first = await newest(attribution, events)
    assert causes(first) == ["INITIAL", "QUARANTINE_RELEASE"]
    assert first.state.value.amount_micros == 60_000_000
    assert [touch.source.channel for touch in first.state.touches] == ["Email"]
    await attribution.handle(events.refund(10_000_000, of_event="odd"))
    assert (await newest(attribution, events)).state.value.amount_micros == 50_000_000
    assert len(await attribution.stored("conversion_id")) == 1


async def test_a_released_observation_of_a_known_order_joins_it(attribution: Attribution, events: Events) -> None:
    quarantined = events.order("visitor:a", rank=1, micros=95_000_000, letter="Q", event_id="browser")
    await attribution.handle(events.touch("visitor:a", channel="Email"), quarantined, events.order("customer:a"))
    assert not (await newest(attribution, events)).state.touches
    await attribution.handle(events.release(quarantined, merged=True))
    merged = await newest(attribution, events)
    assert causes(merged) == ["OBSERVATION_MERGED", "IDENTITY_MERGE", "QUARANTINE_RELEASE"]
    assert merged.state.value.amount_micros == 90_000_000
    assert [touch.source.channel for touch in merged.state.touches] == ["Email"]
    assert sum(revised.counted_delta for revised in await attribution.logged()) == 1


async def test_a_released_event_links_its_identifiers_and_is_shown_once(
    attribution: Attribution, events: Events
) -> None:
    quarantined = events.touch("customer:a", "visitor:a", channel="Email", letter="Q")
    await attribution.handle(quarantined, events.order("customer:a"), events.order("visitor:a", order_id="o-2"))
    people = [(await newest(attribution, events, one)).state.person_id for one in ("o-1", "o-2")]
    assert len(set(people)) == 2
    await attribution.handle(events.release(quarantined))
    found = [await newest(attribution, events, one) for one in ("o-1", "o-2")]
    assert len({one.state.person_id for one in found}) == 1
    assert all([touch.source.channel for touch in one.state.touches] == ["Email"] for one in found)
    journey = await attribution.journeys.by_conversion_id(attribution.workspace.id, events.conversion_id())
    assert [step.touchpoint.quarantined for step in journey.steps if step.HasField("touchpoint")] == [False]


async def test_a_release_that_was_cut_off_before_it_was_published_is_finished_by_the_next_run(
    redis_url: str, clickhouse_url: str, workspace: str, events: Events
) -> None:
    outages: list[bool] = []

    class Unreachable(Conversions):
        """Does not answer once, when all but publishing is done."""

        async def publish(self, publications: Sequence[Publication]) -> list[bool]:
            if outages and all(outages):
                outages.clear()
                raise StorageUnavailableError("gone")
            return await super().publish(publications)

    async with running_attribution(redis_url, clickhouse_url, workspace, conversions_as=Unreachable) as attribution:
        quarantined = events.touch("visitor:a", channel="Email", letter="Q")
        await attribution.handle(quarantined, events.order("visitor:a"))
        outages.append(True)
        with pytest.raises(StorageUnavailableError):
            await attribution.handle(events.release(quarantined))
        await attribution.handle(events.release(quarantined))
        revised = await newest(attribution, events)
        assert causes(revised) == ["QUARANTINE_RELEASE"]
        assert [touch.source.channel for touch in revised.state.touches] == ["Email"]


async def test_stream_and_batch_agree_on_what_was_released_and_what_waits(
    redis_url: str, clickhouse_url: str, workspace: str, events: Events
) -> None:
    """Touches, orders, and observations of known orders; of each one is released and one waits."""
    world: list[Admitted] = []
    released: list[Admitted] = []
    for number in range(6):
        who, order_id, is_released = f"visitor:{number}", f"o-{number}", number % 2 == 0
        touch = events.touch(who, at=NOON - DAY, channel="Email", letter="Q" if number < 2 else "A")
        order = events.order(who, order_id=order_id, letter="Q" if 2 <= number < 4 else "A")
        world += [touch, order]
        again = events.order(
            f"customer:{number}", who, order_id=order_id, rank=1, micros=7, letter="Q", at=NOON + MINUTE
        )
        waiting = (touch, order, again)[number // 2]
        if number >= 4:
            world.append(again)
        if is_released:
            released.append(events.release(waiting, merged=number >= 4))
    async with reconciled(redis_url, clickhouse_url, workspace) as running:
        await running.happen(*world)
        for one in released:
            await running.happen(one)
        run = await running.run()
        assert await running.differences() == []
        assert run.counts["conversions"] == 5
        for state in ("journey", "identifier", "conversion"):  # what Redis has lost comes back as it was decided
            async for key in running.attribution.state.scan_iter(match=f"trb:*:{state}:*"):
                await running.attribution.state.delete(key)
        await running.execute("ALTER TABLE conversions DELETE WHERE workspace = %(w)s")
        await running.run()
        again_run = await running.run()
        assert again_run.counts["differences"] == 0
        rows = await running.attribution.stored("order_id, countEqual(touch_channels, 'Email')")
        assert sorted(rows) == [("o-0", 1), ("o-1", 0), ("o-2", 1), ("o-4", 1), ("o-5", 1)]
