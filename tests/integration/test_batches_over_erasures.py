"""A batch that attribution has in hand while an erasure begins: what it publishes goes too, and is counted still."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import NOON, Admitted, Attribution, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary_domain.erasures import ErasureState
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.integrity import StoredIntegrity
from tributary_storage.redis.conversions import Conversions

CUSTOMER = "customer:erased"
IN_HAND: ContextVar[bool] = ContextVar("in_hand", default=False)


@pytest.mark.parametrize("mode", list(ErasureMode))
@pytest.mark.parametrize("step", ["observe", "publish"])
async def test_each_conversion_that_is_left_was_observed_and_each_that_was_observed_is_left(
    migrated_redis_url: str, clickhouse_url: str, workspace: str, mode: ErasureMode, step: str
) -> None:
    is_held, goes_on = asyncio.Event(), asyncio.Event()

    async def wait(reached: str) -> None:
        if IN_HAND.get() and reached == step:
            is_held.set()
            await goes_on.wait()

    class Held(Conversions):
        """Lets the batch that is in hand wait at one step."""

        async def observe(self, *asked: Any, **more: Any) -> Any:
            await wait("observe")
            return await super().observe(*asked, **more)

        async def publish(self, *asked: Any, **more: Any) -> Any:
            await wait("publish")
            return await super().publish(*asked, **more)

    async def in_hand(attribution: Attribution, event: Admitted) -> None:
        IN_HAND.set(True)
        await attribution.handle(event)

    own_settings: dict[str, Any] = {"delivery_seconds": PATIENCE_SECONDS, "conversions_as": Held}
    async with (
        reconciled(migrated_redis_url, clickhouse_url, workspace, **own_settings) as own,
        forgetting(own.attribution),
    ):
        events, attribution = Events(workspace), own.attribution
        integrity = StoredIntegrity(attribution.clickhouse)
        await own.happen(events.order(CUSTOMER, order_id="o-before", event_id="before"))
        late = events.order(CUSTOMER, at=NOON + 1, order_id="o-late", event_id="late")
        await attribution.record(late)
        batch = asyncio.create_task(in_hand(attribution, late))
        async with asyncio.timeout(30):
            await is_held.wait()
        planned = attribution.erasing.plan(workspace, [CUSTOMER], mode)
        erasure = await attribution.erasing.go_on(await attribution.erasing.request(planned))
        goes_on.set()
        await batch
        while erasure.state is not ErasureState.FINISHED:
            erasure = await attribution.erasing.go_on(replace(erasure, due_micros=0))
        there = (await integrity.conversions(workspace)).rows
        assert (await integrity.events(workspace)).observed_conversions == there
        assert (there == 0) is (mode is ErasureMode.REMOVE)
        await own.run()
        assert await own.differences() == []
