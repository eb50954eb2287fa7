"""What ends the path of later conversions ends none once it was taken back, in stream and batch alike."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import pytest

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, running_attribution
from tests.support.eventually import moment_passed
from tests.support.families import Families, awkward_families
from tests.support.seeds import seeds
from tributary.attribution.v1.explanation_pb2 import CreditSettings
from tributary_storage.redis.conversions import Conversions, Publication

HOUR = DAY // 24
RESET: dict[str, Any] = {"touch_grain": "event", "path_after_conversion": {"reset": ["purchase"]}}


def restated(make: Events, *, at: int = NOON + 2 * DAY) -> Admitted:
    letter, event = make.refund(90_000_000, at=at, event_id="restatement")
    event.event.adjustment.reason = 2
    return letter, event


async def touched(attribution: Attribution) -> dict[str, list[str]]:
    """Returns order -> channels that share it."""
    return dict(await attribution.stored("order_id, touch_channels"))


async def agree(world: Reconciled, **days: int) -> None:
    """Finds stream and batch alike."""
    run = await world.run(world.a_run(**days))
    assert run.is_complete
    assert await world.differences() == []


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1), (2, 1, 0), (1, 0, 2)])
async def test_an_order_that_was_taken_back_ends_no_path_until_it_is_restated(
    redis_url: str, clickhouse_url: str, workspace: str, order: tuple[int, ...]
) -> None:
    make = Events(workspace)
    told = [
        make.order("visitor:a", at=NOON - DAY),
        make.retraction(at=NOON - HOUR),
        make.order("visitor:a", order_id="o-2"),
    ]
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        await world.happen(make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"))
        for at in order:
            await world.happen(told[at])
        assert await touched(world.attribution) == {"o-1": ["Email"], "o-2": ["Email"]}
        await agree(world)
        await agree(world, begin=NOON - HOUR)
        await world.happen(restated(make))
        assert await touched(world.attribution) == {"o-1": ["Email"], "o-2": ["unattributed"]}
        await agree(world)
        await agree(world, begin=NOON - HOUR)


async def test_a_refund_in_full_takes_no_order_back(redis_url: str, clickhouse_url: str, workspace: str) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        await world.happen(
            make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"),
            make.order("visitor:a", at=NOON - DAY),
            make.order("visitor:a", order_id="o-2"),
        )
        await world.happen(make.refund(90_000_000))
        assert await touched(world.attribution) == {"o-1": ["Email"], "o-2": ["unattributed"]}
        await agree(world)


async def test_the_last_that_was_not_taken_back_ends_the_path(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        for number, channel in enumerate(("Email", "Display", "Referral"), 1):
            at = NOON + (number - 3) * DAY
            await world.happen(make.touch("visitor:a", at=at - HOUR, channel=channel))
            await world.happen(make.order("visitor:a", at=at, order_id=f"o-{number}"))
        await world.happen(make.retraction(order_id="o-2"))
        assert await touched(world.attribution) == {
            "o-1": ["Email"],
            "o-2": ["Display"],
            "o-3": ["Display", "Referral"],
        }
        await agree(world)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize(
    ("later", "by_cycle"),
    [(HOUR, False), (-HOUR, False), (HOUR, True)],
    ids=["cycle-later", "cycle-earlier", "taken-back-by-cycle"],
)
async def test_an_order_that_is_told_with_its_cycle_and_without_ends_a_path_once(
    redis_url: str, clickhouse_url: str, workspace: str, order: tuple[int, ...], later: int, by_cycle: bool
) -> None:
    make, at = Events(workspace), NOON - DAY
    own = {"name": "purchase", "order_id": "o-1", "subscription": "s-o-1"}
    told = [
        make.order("visitor:a", at=at, order_id="o-1", rank=1),
        Families(make).cycle("visitor:a", kind="FIRST", cycle="1", at=at + later, **own),
        make.order("visitor:a", order_id="o-2"),
    ]
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        await world.happen(
            make.touch("visitor:a", at=at - 2 * HOUR, channel="Email"),
            make.touch("visitor:a", at=at - HOUR // 2, channel="Referral"),
            make.touch("visitor:a", at=at + HOUR // 2, channel="Display"),
        )
        for number in order:
            await world.happen(told[number])
        rows = await world.attribution.stored("order_id, cycle, touch_channels")
        seen = {(order_id, cycle): channels for order_id, cycle, channels in rows}
        second = ["Display"] if later > 0 else ["Referral", "Display"]
        first = ["Email", "Referral"]
        assert seen == {("o-1", ""): first, ("o-1", "1"): first, ("o-2", ""): second}
        await agree(world)
        await agree(world, begin=NOON - HOUR)
        taken_back = make.retraction()
        await world.happen(Families(make).adjusted(taken_back, told[1]) if by_cycle else taken_back)
        rows = await world.attribution.stored("order_id, touch_channels")
        assert dict(rows)["o-2"] == ["Email", "Referral", "Display"]
        await agree(world)
        await agree(world, begin=NOON - HOUR)


async def test_a_lead_that_is_lost_ended_no_path(redis_url: str, clickhouse_url: str, workspace: str) -> None:
    make = Events(workspace)
    families = Families(make)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        await world.happen(
            make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"),
            families.stage("visitor:a", stage="new", lead_id="l-1", name="purchase", at=NOON - DAY),
            make.order("visitor:a", order_id="o-2"),
        )
        assert (await touched(world.attribution))["o-2"] == ["unattributed"]
        await world.happen(families.stage("visitor:a", stage="lost", lead_id="l-1", name="purchase", at=NOON + DAY))
        assert (await touched(world.attribution))["o-2"] == ["Email"]
        await agree(world)
        await agree(world, begin=NOON - HOUR, end=NOON + HOUR)


async def test_a_lead_that_is_lost_ended_no_path_though_a_refund_of_it_comes_with_the_loss(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    families = Families(make)
    stage = families.stage("visitor:a", stage="new", lead_id="l-1", name="purchase", at=NOON - DAY)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        await world.happen(
            make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"),
            stage,
            make.order("visitor:a", order_id="o-2"),
        )
        assert (await touched(world.attribution))["o-2"] == ["unattributed"]
        await world.happen(
            families.adjusted(make.refund(1_000_000), stage),
            families.stage("visitor:a", stage="lost", lead_id="l-1", name="purchase", at=NOON + DAY),
        )
        assert (await touched(world.attribution))["o-2"] == ["Email"]
        await agree(world)


async def test_it_ended_no_path_on_the_device_that_saw_somebody_elses_order(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        await world.happen(
            make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"),
            make.order("visitor:a", at=NOON - DAY, rank=1),
            make.order("customer:1", at=NOON - DAY + 1, letter="M"),
            make.order("visitor:a", order_id="o-2"),
        )
        assert (await touched(world.attribution))["o-2"] == ["unattributed"]
        await world.happen(make.retraction())
        assert (await touched(world.attribution))["o-2"] == ["Email"]
        await agree(world)


async def test_what_is_taken_back_while_a_later_one_is_credited_ended_no_path(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    meanwhile: list[Callable[[], Awaitable[None]]] = []

    class Overtaken(Conversions):
        """Something happens between computing and publishing."""

        async def publish(self, publications: Sequence[Publication]) -> list[bool]:
            while meanwhile:
                await meanwhile.pop()()
            return await super().publish(publications)

    own = {"attribution": [RESET], "conversions_as": Overtaken}
    async with running_attribution(redis_url, clickhouse_url, workspace, **own) as attribution:
        await attribution.handle(
            make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"), make.order("visitor:a", at=NOON - DAY)
        )
        meanwhile.append(partial(attribution.handle, make.retraction()))
        await attribution.handle(make.order("visitor:a", order_id="o-2"))
        assert (await touched(attribution))["o-2"] == ["Email"]


async def test_settings_of_before_go_on_saying_what_ends_a_path(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    told = [
        make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"),
        make.order("visitor:a", at=NOON - DAY),
        make.order("visitor:a", order_id="o-2"),
    ]
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        await world.attribution.settings_history.store()
        await world.happen(*told)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[{"touch_grain": "event"}]) as world:
        await world.happen(make.touch("visitor:a", at=NOON - 2 * DAY, channel="Referral"))
        assert (await touched(world.attribution))["o-2"] == ["unattributed"]
        await world.happen(make.retraction())
        assert (await touched(world.attribution))["o-2"] == ["Referral", "Email"]
        await agree(world)


async def test_settings_that_are_tried_end_no_path_by_it_either(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    asked = CreditSettings(path_reset_names=["purchase"])
    async with running_attribution(redis_url, clickhouse_url, workspace) as attribution:
        await attribution.handle(
            make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"),
            make.order("visitor:a", at=NOON - DAY),
            make.order("visitor:a", order_id="o-2"),
        )
        places = workspace, make.conversion_id("o-2"), asked
        assert not any(one.credited for one in (await attribution.explainer.simulate(*places)).touchpoints)
        await attribution.handle(make.retraction())
        assert any(one.credited for one in (await attribution.explainer.simulate(*places)).touchpoints)


async def test_an_earlier_moment_is_explained_by_what_had_been_taken_back_then(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        moments = []
        for told in (
            [
                make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"),
                make.order("visitor:a", at=NOON - DAY),
                make.order("visitor:a", order_id="o-2"),
            ],
            [make.retraction()],
            [restated(make)],
        ):
            accepted = moment_passed()
            await world.attribution.record(*told, accept_micros=accepted)
            await world.attribution.handle(*told, accept_micros=accepted)
            moments.append(moment_passed())
        found = [
            await world.attribution.explainer.explain(workspace, make.conversion_id("o-2"), moment)
            for moment in moments
        ]
        assert [any(one.credited for one in own.message.touchpoints) for own in found] == [False, True, False]
        assert all(own.message.reproduces_revision for own in found)


async def test_what_the_stream_missed_is_repaired_with_all_that_it_ended_in_one_run(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        await world.happen(
            make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"),
            make.order("visitor:a", at=NOON - DAY),
            make.order("visitor:a", order_id="o-2"),
        )
        await world.attribution.record(make.retraction())
        run = await world.run()
        assert (run.counts["differences"], run.counts["repaired"]) == (2, 2)
        assert await touched(world.attribution) == {"o-1": ["Email"], "o-2": ["Email"]}
        run = await world.run()
        assert run.counts["differences"] == 0


async def test_stream_and_batch_agree_on_what_ends_paths_among_awkward_families(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    settings = {"path_after_conversion": {"reset": ["payment", "lead", "purchase"]}}
    events = awkward_families(workspace, random.Random(seeds().start), 10)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[settings]) as world:
        for start in range(0, len(events), 10):
            await world.happen(*events[start : start + 10])
        for begin in (NOON - 60 * DAY, NOON, NOON + 2 * DAY):
            await agree(world, begin=begin)


async def test_what_was_taken_back_ends_no_path_once_redis_has_forgotten_it(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[RESET]) as world:
        await world.happen(
            make.touch("visitor:a", at=NOON - DAY - HOUR, channel="Email"),
            make.order("visitor:a", at=NOON - DAY),
            make.retraction(),
        )
        async for key in world.attribution.state.scan_iter(match=f"trb:*:conversion:*{make.conversion_id()}"):
            await world.attribution.state.delete(key)
        await world.happen(make.order("visitor:a", order_id="o-2"))
        assert (await touched(world.attribution))["o-2"] == ["Email"]
        await agree(world)
