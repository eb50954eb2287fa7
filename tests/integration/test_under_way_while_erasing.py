"""What was under way of an order when the first run severed it is copied by a later run, as what goes on from it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest

from tests.integration.test_batches_over_erasures import IN_HAND
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.integration.test_told_while_erasing import (
    ERASED,
    UNIT,
    assert_stream_is_batch,
    erased,
    happen,
    lived,
    own,
    there,
    told_again,
)
from tests.support.attribution import NOON, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary_domain.erasures import SEVERED_PREFIX, Erasure, ErasureState
from tributary_runtime.errors import Backpressure
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.statements import statement
from tributary_storage.clickhouse.writer import DeliveryWriter
from tributary_storage.redis.conversions import Conversions

__all__ = ["own"]

_DELTAS = "SELECT sum(value_delta_micros) FROM conversion_revisions FINAL WHERE workspace = %(workspace)s"


async def over(own: Reconciled, erasure: Erasure) -> None:
    """Lets an erasure come to its end."""
    while erasure.state is not ErasureState.FINISHED:
        erasure = await own.attribution.erasing.go_on(erasure)


async def assert_severed(own: Reconciled, *values: int) -> None:
    """Asserts what severed conversions are worth, in all reports, and that nothing is found."""
    assert await there(own) == [(SEVERED_PREFIX, value, True, "") for value in values]
    workspace = own.attribution.workspace.id
    assert await own.attribution.clickhouse.execute(_DELTAS, {"workspace": workspace}) == [(sum(values) * UNIT,)]
    await assert_stream_is_batch(own)


async def refunded_in_first_run(own: Reconciled, mode: ErasureMode, after: str) -> Erasure:
    """Returns an erasure whose first run is over: after one of its steps a refund of its order was credited."""
    attribution, workspace = own.attribution, own.attribution.workspace.id
    await lived(own, ["o"])
    refund, accepted = Events(workspace).refund(20 * UNIT, order_id="o", event_id="back"), time.time_ns() // 1000
    await attribution.record(refund, accept_micros=accepted)
    erasure = await attribution.erasing.request(attribution.erasing.plan(workspace, [ERASED], mode))
    with suppress(Backpressure):  # what was credited meanwhile is severed by the next try
        for step in attribution.erasing.steps():
            erasure = await step(erasure)
            if step.__name__ == after:
                await attribution.handle(refund, accept_micros=accepted)
    if erasure.state is ErasureState.REQUESTED:
        erasure = await attribution.erasing.go_on(erasure)
    assert erasure.state is ErasureState.DESTROYED
    return erasure


@pytest.mark.parametrize("after", ["_sever", "_strip"])
async def test_a_refund_that_is_credited_while_its_order_is_severed_counts(own: Reconciled, after: str) -> None:
    await over(own, await refunded_in_first_run(own, ErasureMode.SEVER, after))
    await assert_severed(own, 80)


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_such_a_refund_counts_once_though_somebody_tells_the_order_again_before_the_next_run(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    erasure = await refunded_in_first_run(own, mode, "_strip")
    await happen(own, told_again(workspace, "o"))
    await over(own, erasure)
    if mode is ErasureMode.SEVER:
        assert await there(own) == [("o", 33, False, "SEVERED_ORDER"), (SEVERED_PREFIX, 80, True, "")]
    else:
        assert await there(own) == [("o", 33, True, "")]
    worth = 80 if mode is ErasureMode.SEVER else 33
    assert await own.attribution.clickhouse.execute(_DELTAS, {"workspace": workspace}) == [(worth * UNIT,)]
    await assert_stream_is_batch(own)


async def test_an_attempt_that_is_under_way_while_its_order_is_severed_is_kept(own: Reconciled, workspace: str) -> None:
    clickhouse, conversion_id = own.attribution.clickhouse, Events(workspace).conversion_id("o")
    await lived(own, ["o"])
    [revision] = await own.attribution.stored_revisions(conversion_id)
    erasure = await erased(own, ErasureMode.SEVER)
    line = Delivery(destination_id="google", conversion_id=conversion_id, revision=revision, attempts=1)
    await DeliveryWriter(clickhouse).write([(workspace, line)])
    await over(own, erasure)
    asked = "SELECT conversion_id, revision FROM deliveries FINAL WHERE workspace = %(workspace)s"
    [(copy, sent)] = await clickhouse.execute(asked, {"workspace": workspace})
    assert (copy.startswith(SEVERED_PREFIX), sent) == (True, revision)


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_such_an_attempt_is_not_left_with_who_tells_the_order_again(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    clickhouse, conversion_id = own.attribution.clickhouse, Events(workspace).conversion_id("o")
    await lived(own, ["o"])
    [theirs] = await own.attribution.stored_revisions(conversion_id)
    erasure = await erased(own, mode)
    await happen(own, told_again(workspace, "o"))
    [since] = await own.attribution.stored_revisions(conversion_id)
    named: dict[str, Any] = {"click_id_family": "gclid", "click_id": "c", "identifier_digests": {"email": "d"}}
    about: dict[str, Any] = {"destination_id": "google", "conversion_id": conversion_id, "attempts": 1, **named}
    lines = [Delivery(revision=revision, **about) for revision in (theirs, since)]
    await DeliveryWriter(clickhouse).write([(workspace, line) for line in lines])
    asked = "SELECT * FROM deliveries FINAL WHERE workspace = %(workspace)s AND revision = %(revision)s"
    before = await clickhouse.execute(asked, {"workspace": workspace, "revision": since})
    found = await own.attribution.erasing.survey(erasure)
    assert found["deliveries"] == 1, "an erasure is not over while it is there"
    await over(own, erasure)
    assert await clickhouse.execute(asked, {"workspace": workspace, "revision": since}) == before
    asked = (
        "SELECT startsWith(conversion_id, 's1:'), click_id, length(identifier_digests) FROM deliveries FINAL"
        " WHERE workspace = %(workspace)s AND revision = %(revision)s"
    )
    left = await clickhouse.execute(asked, {"workspace": workspace, "revision": theirs})
    assert left == ([] if mode is ErasureMode.REMOVE else [(True, "", 0)])


@pytest.mark.parametrize("is_copied", ["first", "last"])
async def test_a_later_run_that_stopped_while_it_copied_copies_the_rest(
    migrated_redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch, is_copied: str
) -> None:
    is_held, goes_on = asyncio.Event(), asyncio.Event()

    class Held(Conversions):
        """Lets the batch that is in hand wait before anything of it is kept."""

        async def observe(self, *asked: Any, **more: Any) -> Any:
            if IN_HAND.get():
                is_held.set()
                await goes_on.wait()
            return await super().observe(*asked, **more)

    async def in_hand(event: Any, accepted: int) -> None:
        IN_HAND.set(True)
        await own.attribution.handle(event, accept_micros=accepted)

    settings: dict[str, Any] = {"delivery_seconds": PATIENCE_SECONDS, "conversions_as": Held}
    about = (migrated_redis_url, clickhouse_url, workspace)
    async with reconciled(*about, **settings) as own, forgetting(own.attribution):
        events, clickhouse, accepted = Events(workspace), own.attribution.clickhouse, time.time_ns() // 1000
        await lived(own, ["o"])
        late = events.order(ERASED, order_id="late", event_id="late", micros=50 * UNIT)
        await own.attribution.record(late, accept_micros=accepted)
        batch = asyncio.create_task(in_hand(late, accepted))
        async with asyncio.timeout(30):
            await is_held.wait()
        erasure = await erased(own, ErasureMode.SEVER)
        goes_on.set()
        await batch
        await happen(own, events.refund(20 * UNIT, at=NOON + UNIT, order_id="late", event_id="back"))
        revisions = sorted(await own.attribution.stored_revisions(events.conversion_id("late")))
        assert len(revisions) == 2
        bound = f"revision {'<' if is_copied == 'first' else '>='} {revisions[1]}"
        execute = clickhouse.execute

        async def stops(asked: str, *values: Any, **how: Any) -> Any:
            if asked != statement("erasure/sever_revisions"):
                return await execute(asked, *values, **how)
            theirs = "AND conversion_id IN %(conversions)s"
            await execute(asked.replace(theirs, f"{theirs} AND {bound}", 1), *values, **how)
            raise ConnectionError("the server went away with a part of the copy written")

        with monkeypatch.context() as patched:
            patched.setattr(clickhouse, "execute", stops)
            with pytest.raises(ConnectionError):
                await own.attribution.erasing.go_on(erasure)
        [erasure] = [one for one in await own.attribution.erasures.opened() if one.workspace == workspace]
        await over(own, erasure)
        await assert_severed(own, 30, 100)
