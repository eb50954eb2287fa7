"""A conversion that was published once is never published as a new one, whatever the state store has lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import replace

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, entry, running_attribution
from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_storage.clickhouse.conversion_history import ConversionHistory


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


def a_journey(events: Events) -> list[Admitted]:
    return [
        events.touch("visitor:a", at=NOON - 3 * DAY, channel="Email"),
        events.touch("visitor:a", at=NOON - 2 * DAY, channel="Display"),
        events.touch("visitor:a", at=NOON - DAY, channel="Direct"),
        events.order("visitor:a", micros=90_000_001, event_id="order"),
    ]


def causes(revised: ConversionRevised) -> list[str]:
    return [RevisionCause.Name(cause).removeprefix("REVISION_CAUSE_").lower() for cause in revised.causes]


async def chain(attribution: Attribution, events: Events) -> list[ConversionRevised]:
    """Returns all revisions of the order, oldest first; checks that each follows the one before, and the sums."""
    history = ConversionHistory(attribution.clickhouse)
    revisions = await history.revisions(attribution.workspace.id, events.conversion_id())
    assert [one.previous_revision for one in revisions] == [0, *(one.revision for one in revisions[:-1])]
    assert sum(one.counted_delta for one in revisions) == 1
    state = revisions[-1].state
    assert sum(one.value_delta_micros for one in revisions) == state.value.amount_micros
    for model, applied in enumerate(state.models):
        summed: dict[str, tuple[int, int]] = {}
        for delta in (delta for one in revisions for delta in one.deltas if delta.model == applied.name):
            credit, value = summed.get(delta.touch_event_id, (0, 0))
            summed[delta.touch_event_id] = credit + delta.credit_micros, value + delta.value_micros
        shares = {touch.event_id: touch.credits[model] for touch in state.touches}
        wanted = {event_id: (share.credit_micros, share.value_micros) for event_id, share in shares.items()}
        wanted[""] = applied.unattributed.credit_micros, applied.unattributed.value_micros
        assert {key: one for key, one in summed.items() if any(one)} == {
            key: one for key, one in wanted.items() if any(one)
        }
    return revisions


async def now(attribution: Attribution) -> int:
    """Returns the time of the state store, in microseconds: a store created then is younger than all before."""
    seconds, micros = await attribution.state.time()
    return int(seconds) * 1_000_000 + int(micros)


async def test_a_refund_after_a_loss_is_a_later_revision(attribution: Attribution, events: Events) -> None:
    journey = a_journey(events)
    await attribution.record(*journey)
    await attribution.handle(*journey)
    await attribution.lose_state()
    await attribution.handle(events.refund(30_000_000))
    first, second = await chain(attribution, events)
    assert causes(second) == ["refund"]
    assert (second.counted_delta, second.value_delta_micros) == (0, -30_000_000)
    assert [touch.credits for touch in second.state.touches] != [touch.credits for touch in first.state.touches]
    assert [[share.credit_micros for share in touch.credits] for touch in second.state.touches] == [
        [share.credit_micros for share in touch.credits] for touch in first.state.touches
    ]
    assert second.match == first.match


@pytest.mark.parametrize("backfill", [False, True], ids=["older than the store", "backfill"])
async def test_an_order_that_is_delivered_again_after_a_loss_changes_nothing(
    redis_url: str, clickhouse_url: str, workspace: str, attribution: Attribution, events: Events, backfill: bool
) -> None:
    journey = a_journey(events)
    await attribution.record(*journey)
    await attribution.handle(*journey)
    await attribution.lose_state()
    created = 0 if backfill else await now(attribution)
    async with running_attribution(redis_url, clickhouse_url, workspace, epoch_micros=created) as young:
        await young.handle(journey[-1], backfill=backfill)
    assert len(await chain(attribution, events)) == 1
    await attribution.handle(events.touch("visitor:a", at=NOON - 4 * DAY, channel="Affiliates"))
    _, second = await chain(attribution, events)
    assert causes(second) == ["late_touchpoint"]
    assert [touch.source.channel for touch in second.state.touches] == ["Affiliates", "Email", "Display", "Direct"]


async def test_what_is_restored_once_is_there_for_whoever_comes_next(attribution: Attribution, events: Events) -> None:
    journey = a_journey(events)
    earlier = events.refund(1, event_id="earlier")
    await attribution.record(*journey, earlier)
    await attribution.handle(*journey, earlier)
    await attribution.lose_state()
    await attribution.handle(events.refund(10_000_000, at=NOON + 2 * DAY))
    await attribution.handle(events.refund(20_000_000, at=NOON + 3 * DAY))
    revisions = await chain(attribution, events)
    assert [causes(one) for one in revisions] == [["initial"], ["refund"], ["refund"]]
    assert revisions[-1].state.value.amount_micros == 60_000_000
    assert len(revisions[-1].state.adjustments) == 3


async def test_a_refund_whose_observation_nobody_has_waits(attribution: Attribution, events: Events) -> None:
    order = a_journey(events)[-1]
    await attribution.handle(order)  # and never recorded
    await attribution.lose_state()
    await attribution.handle(events.refund(30_000_000))
    assert len(await chain(attribution, events)) == 1
    await attribution.handle(order)
    _, second = await chain(attribution, events)
    assert causes(second) == ["refund"]


async def test_a_new_conversion_asks_clickhouse_nothing(
    monkeypatch: pytest.MonkeyPatch, attribution: Attribution, events: Events
) -> None:
    async def refuse(*_: object) -> None:
        raise AssertionError("ClickHouse was asked")

    monkeypatch.setattr(ConversionHistory, "newest", refuse)
    await attribution.handle(*a_journey(events))
    await attribution.handle(events.refund(1))
    await attribution.handle(events.touch("visitor:a", at=NOON - 4 * DAY))
    assert len(await attribution.logged()) == 3


async def test_another_observation_of_an_order_after_a_loss_joins_it(attribution: Attribution, events: Events) -> None:
    journey = a_journey(events)
    await attribution.record(*journey)
    await attribution.handle(*journey)
    await attribution.lose_state()
    await attribution.handle(events.order("visitor:a", micros=70_000_000, letter="M", event_id="browser", rank=1))
    revisions = await chain(attribution, events)
    assert revisions[-1].state.value.amount_micros == 90_000_001
    assert [causes(one) for one in revisions] == [["initial"], ["observation_merged"]]
    first, last = revisions[0].state, revisions[-1].state
    assert [touch.credits for touch in last.touches] == [touch.credits for touch in first.touches]


async def test_an_order_that_was_read_before_is_looked_up_after_a_loss(
    attribution: Attribution, events: Events
) -> None:
    journey = a_journey(events)
    await attribution.record(*journey)
    await attribution.handle(*journey)
    await attribution.lose_state()
    read = entry(attribution.workspace.id, journey[-1:])
    await attribution.attributor.handle([replace(read, deliveries=2)])
    assert len(await chain(attribution, events)) == 1


async def test_an_order_that_was_put_back_is_looked_up_after_a_loss(attribution: Attribution, events: Events) -> None:
    journey = a_journey(events)
    await attribution.record(*journey)
    await attribution.handle(*journey)
    await attribution.lose_state()
    read = entry(attribution.workspace.id, journey[-1:])
    await attribution.attributor.handle([replace(read, entry_id=f"{read.accept_micros // 1000 + 60_000}-0")])
    assert len(await chain(attribution, events)) == 1


async def test_new_conversions_cost_no_question(
    redis_url: str, clickhouse_url: str, workspace: str, events: Events
) -> None:
    asked: list[str] = []

    class Asked(ConversionHistory):
        async def newest(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, ConversionRevised]:
            asked.extend(conversion_ids)
            return await super().newest(workspace, conversion_ids)

    async with running_attribution(redis_url, clickhouse_url, workspace, history_as=Asked) as attribution:
        browser = events.order("visitor:a", letter="M", event_id="browser", rank=1)
        await attribution.handle(events.touch("visitor:a"), events.order("visitor:a"), browser)
        await attribution.handle(events.order("visitor:a", letter="M", event_id="app", rank=1))
        await attribution.handle(events.touch("visitor:a", at=NOON - DAY), events.refund(10_000_000))
        assert asked == []
        assert len(await chain(attribution, events)) > 1


async def test_where_nothing_was_published_before_the_store_was_created_nothing_is_asked_however_old_an_event_is(
    redis_url: str, clickhouse_url: str, workspace: str, attribution: Attribution, events: Events
) -> None:
    asked: list[str] = []

    class Asked(ConversionHistory):
        async def newest(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, ConversionRevised]:
            asked.extend(conversion_ids)
            return await super().newest(workspace, conversion_ids)

        async def workspaces_published_before(self, moment_micros: int) -> set[str]:
            asked.append("before")
            return await super().workspaces_published_before(moment_micros)

    created = await now(attribution)
    async with running_attribution(
        redis_url, clickhouse_url, workspace, epoch_micros=created, history_as=Asked
    ) as young:
        await young.handle(*a_journey(events))
        await young.handle(events.order("visitor:b", order_id="o-2"))
    assert asked == ["before"]


async def test_an_older_copy_is_brought_up_to_date_once_its_loss_is_confirmed(
    redis_url: str, clickhouse_url: str, workspace: str, events: Events
) -> None:
    journey, early = a_journey(events), events.refund(10_000_000, event_id="early")
    key = f"{workspace}|{events.conversion_id()}"
    async with running_attribution(redis_url, clickhouse_url, workspace) as attribution:
        await attribution.record(*journey, early)
        await attribution.handle(*journey)
        name = next(iter([one async for one in attribution.state.scan_iter(match=f"trb:*:conversion:{key}")]))
        copy = await attribution.state.dump(name)
        await attribution.handle(early)
        await attribution.state.restore(name, 0, copy, replace=True)
        loss_micros = await now(attribution)
    async with running_attribution(redis_url, clickhouse_url, workspace, loss_micros=loss_micros) as attribution:
        await attribution.handle(events.refund(20_000_000, at=NOON + 2 * DAY))
        revisions = await chain(attribution, events)
        assert [causes(one) for one in revisions] == [["initial"], ["refund"], ["refund"]]
        assert revisions[-1].state.value.amount_micros == 60_000_001
