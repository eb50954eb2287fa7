"""What comes late of a stage whose person was erased is not taken for what its stand-in has published since."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.test_batches_over_erasures import IN_HAND
from tests.integration.test_erased_families import totals
from tests.integration.test_reconciliation import reconciled
from tests.integration.test_told_while_erasing import ERASED, LIVING, UNIT, assert_stream_is_batch, erased, happen
from tests.integration.test_under_way_while_erasing import over
from tests.support.attribution import NOON, Events
from tests.support.families import Families
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.redis.conversions import Conversions


@pytest.mark.parametrize("is_credited_again", [False, True], ids=["published before", "published again since"])
async def test_a_stage_that_is_told_late_changes_nothing_of_what_is_frozen(
    migrated_redis_url: str, clickhouse_url: str, workspace: str, is_credited_again: bool
) -> None:
    is_held, goes_on = asyncio.Event(), asyncio.Event()

    class Held(Conversions):
        """Lets the batch that is in hand wait before anything of it is kept."""

        async def observe(self, *asked: Any, **more: Any) -> Any:
            if IN_HAND.get():
                is_held.set()
                await goes_on.wait()
            return await super().observe(*asked, **more)

    async def in_hand(event: Any) -> None:
        IN_HAND.set(True)
        await own.attribution.handle(event)

    settings: dict[str, Any] = {"delivery_seconds": PATIENCE_SECONDS, "conversions_as": Held}
    settings["conversions"] = [{"name": "lead"}]
    about = (migrated_redis_url, clickhouse_url, workspace)
    async with reconciled(*about, **settings) as own, forgetting(own.attribution):
        families, attribution = Families(Events(workspace)), own.attribution
        won: dict[str, Any] = {"stage": "won", "lead_id": "l-1"}
        await happen(own, families.stage(ERASED, event_id="won", micros=900 * UNIT, **won))
        late = families.stage(ERASED, event_id="late", at=NOON - UNIT, micros=50 * UNIT, letter="M", **won)
        await attribution.record(late)
        batch = asyncio.create_task(in_hand(late))
        async with asyncio.timeout(30):
            await is_held.wait()
        erasure = await erased(own, ErasureMode.SEVER)
        before = await totals(attribution)
        goes_on.set()
        await batch
        if is_credited_again:  # the late one, too: later than what its stand-in published
            new: dict[str, Any] = {"stage": "new", "lead_id": "l-1", "at": NOON - 60 * UNIT}
            await happen(own, families.stage(LIVING, event_id="new", micros=20 * UNIT, **new))
        await over(own, erasure)
        assert await totals(attribution) == before
        await assert_stream_is_batch(own)
