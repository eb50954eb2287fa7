"""A refund that names an order by an event of somebody who was erased: nothing tells any more which order that was."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.test_erased_families import ANN, happen
from tests.integration.test_families import UNIT, assert_batch_agrees
from tests.support.attribution import DAY, Attribution, Events, running_attribution
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tests.support.stores import Stores
from tributary_domain.ids import conversion_id, event_digest
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.redis.conversions import conversion_key

_LAST = ("_note", "_strip", "_forget")
"""After which steps a first run stops."""


@pytest.fixture
async def attribution(stores: Stores, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    about = (stores.empty_redis_url(), clickhouse_url, workspace)
    async with (
        running_attribution(*about, delivery_seconds=PATIENCE_SECONDS, conversions=[{"name": "purchase"}]) as running,
        forgetting(running),
    ):
        yield running


async def go_on(attribution: Attribution, mode: ErasureMode, *, until: str = "") -> None:
    """Erases Ann, to the end or until after a step; the next run knows no more than what is kept."""
    erasing = attribution.erasing
    erasure = await erasing.request(erasing.plan(attribution.workspace.id, [ANN], mode, own_seconds=0))
    for step in erasing.steps() if until else ():
        erasure = await step(erasure)
        if step.__name__ == until:
            return
    await finish(attribution)


async def finish(attribution: Attribution) -> None:
    for _ in range(2):
        await attribution.erasing.go_on_with_due()
    assert await attribution.erasures.opened() == []


async def order_of_event(attribution: Attribution, event_id: str) -> str:
    """Returns to which order the state store leads what names an event."""
    workspace = attribution.workspace.id
    key = conversion_key(workspace, conversion_id(event_digest(workspace, event_id)))
    return (await attribution.conversions.observe({key: {}}, 0))[key].forward


async def value(attribution: Attribution, order: str) -> int:
    revised = await attribution.published(order)
    assert revised is not None
    micros: int = revised.state.value.amount_micros
    return micros


@pytest.mark.parametrize("last", [*_LAST, ""], ids=[*(f"told after {one}" for one in _LAST), "told when it is over"])
@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_it_waits_at_the_event_in_stream_and_batch_whenever_it_comes(
    attribution: Attribution, workspace: str, mode: ErasureMode, last: str
) -> None:
    events = Events(workspace)
    order = events.conversion_id("p")
    first = events.order(ANN, order_id="p", event_id="p")
    refund = events.refund(1 * UNIT, event_id="of before", of_event="p")
    await happen(attribution, {"p": first, "refund": refund})
    assert await order_of_event(attribution, "p") == order
    await go_on(attribution, mode, until=last)
    later: dict[str, Any] = {"at": time.time_ns() // 1000 + 60 * UNIT}
    refund = events.refund(10 * UNIT, event_id="refund", of_event="p", **later)
    await happen(attribution, {"refund": refund})
    await finish(attribution)
    assert await order_of_event(attribution, "p") == "", "it tells what an erased person did"
    again = events.order("customer:x", order_id="p", event_id="p again", micros=95 * UNIT, letter="M", **later)
    await happen(attribution, {"p": again})
    assert await value(attribution, order) == 95 * UNIT
    await assert_batch_agrees(attribution, end=later["at"] + DAY)

    await happen(attribution, {"more": events.refund(5 * UNIT, event_id="more", of_event="p again", **later)})
    assert await value(attribution, order) == 90 * UNIT, "by an event of since it is the order's"
    await assert_batch_agrees(attribution, end=later["at"] + DAY)
