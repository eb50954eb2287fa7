"""After a loss of the state store the log tells once more what was erased since: nothing of it counts again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from tests.integration.test_entries_of_erased_orders import erase
from tests.integration.test_erasure import end_all
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary_attribution.erasure_plans import again
from tributary_attribution.living_events import LivingEvents
from tributary_attribution.tombstones import Tombstones
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.clickhouse.integrity import StoredIntegrity
from tributary_storage.clickhouse.stripped_events import StrippedEvents

CUSTOMER, DEVICE = "customer:erased", "visitor:others"
UNIT: Final = 1_000_000
ACCEPT: Final = NOON + 2 * DAY
LOSS: Final = NOON + 5 * DAY
SECOND: Final = 1_000_000


@pytest.fixture
async def own(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    async with (
        reconciled(migrated_redis_url, clickhouse_url, workspace, delivery_seconds=PATIENCE_SECONDS) as opened,
        forgetting(opened.attribution),
    ):
        yield opened


def told(tokens: tuple[str, ...], admitted: Admitted) -> Admitted:
    """Lets somebody tell an event."""
    admitted[1].identity_tokens.extend(tokens)
    return admitted


def theirs(events: Events) -> list[Admitted]:
    """Returns what was the erased one's, and of somebody else's device, which sees another order, too."""
    return [
        events.touch(CUSTOMER, at=NOON - DAY, event_id="touch"),
        events.identify("customer:other", DEVICE, at=NOON - DAY, event_id="login"),
        events.touch(DEVICE, at=NOON - DAY, channel="Display", event_id="other-touch"),
        events.order(CUSTOMER, at=NOON, order_id="o-erased", event_id="told", micros=100 * UNIT),
        events.order(DEVICE, at=NOON + 2 * SECOND, order_id="o-other", event_id="other", micros=7 * UNIT),
    ]


async def again_from_log(attribution: Attribution, *events: Admitted, rebuilt_first: bool) -> None:
    """Loses the state store; makes it whole again, and lets the log tell all events once more."""
    await attribution.state.flushdb()
    attribution.losses.append(LOSS)
    if not rebuilt_first:
        await attribution.handle(*events)
    while not attribution.rebuild.is_whole():
        await attribution.rebuild.some()
        await attribution.count_people()
    if rebuilt_first:
        await attribution.handle(*events)
    await end_all(attribution)


async def shown(own: Reconciled) -> tuple[Any, ...]:
    """Returns what counts, that what was told is what counts, and what a reconciliation finds."""
    workspace, integrity = own.attribution.workspace.id, StoredIntegrity(own.attribution.clickhouse)
    columns = "conversion_id, value_micros, counted, not_counted_reason, observation_event_ids, touch_channels"
    observed, rows = (await integrity.events(workspace)).observed_conversions, await integrity.conversions(workspace)
    await own.run(own.a_run(repairs=False))
    return await own.attribution.stored(columns), observed - rows.rows, await own.differences()


@pytest.mark.parametrize("rebuilt_first", [False, True])
@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_what_somebody_elses_device_saw_of_an_erased_order_is_no_order_of_theirs(
    own: Reconciled, workspace: str, mode: ErasureMode, *, rebuilt_first: bool
) -> None:
    events = Events(workspace)
    seen = events.order(
        DEVICE, at=NOON + SECOND, order_id="o-erased", event_id="seen", micros=90 * UNIT, letter="M", rank=1
    )
    refund = events.refund(30 * UNIT, order_id="o-erased", event_id="refund")
    life = [*theirs(events), seen, refund]
    await own.happen(*life)
    await erase(own.attribution, mode)
    before = await shown(own)
    assert before[1:] == (0, [])
    await again_from_log(own.attribution, *life, rebuilt_first=rebuilt_first)
    assert await shown(own) == before


@pytest.mark.parametrize("rebuilt_first", [False, True])
@pytest.mark.parametrize("mode", list(ErasureMode))
@pytest.mark.parametrize(("micros", "by"), [(None, (CUSTOMER,)), (40 * UNIT, ())])
async def test_who_tells_an_erased_order_tells_nothing_of_what_it_was_before(
    own: Reconciled, workspace: str, mode: ErasureMode, micros: int | None, by: tuple[str, ...], *, rebuilt_first: bool
) -> None:
    events = Events(workspace)
    life = [*theirs(events), told(by, events.refund(30 * UNIT, order_id="o-erased", event_id="refund"))]
    await own.happen(*life)
    await erase(own.attribution, mode)
    since = events.order(
        DEVICE, at=NOON + SECOND, order_id="o-erased", event_id="since", micros=micros, letter="M", rank=1
    )
    await own.happen(since)
    before = await shown(own)
    assert before[1:] == (0, [])
    await again_from_log(own.attribution, *life, since, rebuilt_first=rebuilt_first)
    assert await shown(own) == before


async def test_the_record_is_asked_only_after_a_loss_and_only_of_what_was_before_it(
    own: Reconciled, workspace: str
) -> None:
    attribution, asked = own.attribution, list[str]()

    class Noted(StrippedEvents):
        async def among(self, workspace: str, events: Any) -> Any:
            asked.extend(event_id for _, event_id in events)
            return await super().among(workspace, events)

    losses, records, history = [0], ErasureRecords(attribution.clickhouse), ConversionHistory(attribution.clickhouse)
    tombstones = Tombstones(attribution.erasures, records, history, lambda *who: again(*who, NOON))
    living = LivingEvents(tombstones, Noted(attribution.clickhouse), lambda: losses[-1])
    events, reader = Events(workspace), attribution.attributor._reader
    some = [events.touch(DEVICE), events.order(DEVICE, order_id="o", event_id="o")]
    read = [reader.read(workspace, letter, one.SerializeToString(), ACCEPT, "") for letter, one in some]
    losses.append(LOSS)
    assert list(await living.of_log(read, reader)) == read
    assert asked == [], "nobody was ever erased"
    await own.happen(*theirs(events))
    await erase(attribution, ErasureMode.SEVER)
    losses.append(0)
    assert list(await living.of_log(read, reader)) == read
    losses.append(ACCEPT - DAY)
    assert list(await living.of_log(read, reader)) == read
    assert asked == []
    losses.append(LOSS)
    assert list(await living.of_log(read, reader)) == read
    assert asked == ["o"]
