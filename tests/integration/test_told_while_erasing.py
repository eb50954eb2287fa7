"""What somebody living tells of an erased order while a later run of the erasure is under way is theirs, and stays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import pytest

from tests.integration.test_batches_over_erasures import IN_HAND
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import NOON, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary_domain.erasures import SEVERED_PREFIX, Erasure, ErasureState
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.integrity import StoredIntegrity
from tributary_storage.clickhouse.statements import statement
from tributary_storage.redis.conversions import Conversions

ERASED, LIVING = "customer:erased", "visitor:living"
UNIT: Final = 1_000_000
_MASK: Final[dict[str, Any]] = {"letter": "M"}
"""Dedup knows the order: another told it."""
_DESTROYING: Final = (
    *("delete_conversions", "delete_conversion_revisions", "delete_deliveries", "delete_events_by_conversion"),
    *("delete_reconciled_conversions", "events_of_person", "strip_quarantine_decisions", "delete_identity_changes"),
)
"""Statements of a run."""


@pytest.fixture
async def own(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    about = (migrated_redis_url, clickhouse_url, workspace)
    async with reconciled(*about, delivery_seconds=PATIENCE_SECONDS) as opened, forgetting(opened.attribution):
        yield opened


async def happen(own: Reconciled, *events: Any) -> None:
    """Lets events be accepted, credited and recorded now."""
    now = time.time_ns() // 1000
    await own.attribution.handle(*events, accept_micros=now)
    await own.attribution.record(*events, accept_micros=now)


async def erased(own: Reconciled, mode: ErasureMode) -> Erasure:
    """Returns an erasure whose first run is over."""
    erasing = own.attribution.erasing
    plan = erasing.plan(own.attribution.workspace.id, [ERASED], mode)
    erasure = await erasing.go_on(await erasing.request(plan))
    assert (erasure.state, any(erasure.remaining.values())) == (ErasureState.DESTROYED, False)
    return erasure


async def there(own: Reconciled) -> list[tuple[str, int, bool, str]]:
    """Returns the conversions, without the random ids of those that were severed."""
    rows = await own.attribution.stored("conversion_id, order_id, value_micros, counted, not_counted_reason")
    named = [(SEVERED_PREFIX if row[0].startswith(SEVERED_PREFIX) else row[1], *row[2:]) for row in rows]
    return sorted((name, value // UNIT, bool(counted), why) for name, value, counted, why in named)


async def assert_stream_is_batch(own: Reconciled) -> None:
    """Asserts that nothing is found, and that what is stored adds up."""
    await own.run(own.a_run(repairs=False))
    assert await own.differences() == []
    stored, workspace = StoredIntegrity(own.attribution.clickhouse), own.attribution.workspace.id
    assert (await stored.events(workspace)).observed_conversions == (await stored.conversions(workspace)).rows


def told_again(workspace: str, order_id: str) -> Any:
    """Returns what somebody living tells of an order of before the erasure."""
    events, again = Events(workspace), f"{order_id} again"
    return events.order(LIVING, order_id=order_id, event_id=again, at=NOON + UNIT, micros=33 * UNIT, **_MASK)


async def lived(own: Reconciled, orders: Sequence[str]) -> None:
    """Lets the one who is to be erased order something."""
    events = Events(own.attribution.workspace.id)
    worth: dict[str, Any] = {"micros": 100 * UNIT}
    await happen(own, *(events.order(ERASED, order_id=one, event_id=f"{one} first", **worth) for one in orders))


async def assert_both_stand(own: Reconciled, mode: ErasureMode, orders: Sequence[str]) -> None:
    """Asserts that the erasure is over, and has left what others told and what is frozen; refunds find their orders."""
    assert await own.attribution.erasures.opened() == []
    events, severed = Events(own.attribution.workspace.id), [(SEVERED_PREFIX, 100, True, "")] * len(orders)
    if mode is ErasureMode.SEVER:
        assert await there(own) == sorted([*((one, 33, False, "SEVERED_ORDER") for one in orders), *severed])
    else:
        assert await there(own) == sorted((one, 33, True, "") for one in orders)
    await assert_stream_is_batch(own)
    back: dict[str, Any] = {"at": NOON + 2 * UNIT}
    await happen(own, *(events.refund(5 * UNIT, order_id=one, event_id=f"{one} back", **back) for one in orders))
    assert {value for name, value, _, _ in await there(own) if name != SEVERED_PREFIX} == {28}
    await assert_stream_is_batch(own)


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_an_order_told_again_between_any_two_steps_of_a_later_run_is_left_alone(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    steps = own.attribution.erasing.steps()
    orders = [f"o-{number}" for number in range(len(steps))]
    await lived(own, orders)
    erasure = await erased(own, mode)
    for step, order in zip(steps, orders, strict=True):
        erasure = await step(erasure)
        await happen(own, told_again(workspace, order))
    assert (erasure.state, any(erasure.remaining.values())) == (ErasureState.FINISHED, False)
    await assert_both_stand(own, mode, orders)


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_an_order_told_again_while_a_later_run_destroys_is_left_alone(
    own: Reconciled, workspace: str, mode: ErasureMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    clickhouse, orders = own.attribution.clickhouse, [*_DESTROYING, "last"]
    await lived(own, orders)
    erasure = await erased(own, mode)
    waiting = {statement(f"erasure/{name}"): name for name in _DESTROYING}
    execute = clickhouse.execute

    async def told_first(asked: str, *values: Any, **how: Any) -> Any:
        if (order := waiting.pop(asked, None)) is not None:
            await happen(own, told_again(workspace, order))
        return await execute(asked, *values, **how)

    monkeypatch.setattr(clickhouse, "execute", told_first)
    erasure = await own.attribution.erasing.go_on(erasure)
    monkeypatch.undo()
    assert waiting == {}
    await happen(own, told_again(workspace, "last"))
    while erasure.state is not ErasureState.FINISHED:  # one that was told after it had been looked for
        erasure = await own.attribution.erasing.go_on(erasure)
    await assert_both_stand(own, mode, orders)


async def test_what_comes_late_of_an_order_that_is_severed_changes_nothing_of_what_is_frozen(
    migrated_redis_url: str, clickhouse_url: str, workspace: str
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
    about = (migrated_redis_url, clickhouse_url, workspace)
    async with reconciled(*about, **settings) as own, forgetting(own.attribution):
        await lived(own, ["o"])
        what: dict[str, Any] = {"order_id": "o", "event_id": "late", "at": NOON - UNIT, "micros": 50 * UNIT}
        late = Events(workspace).order(ERASED, **what, **_MASK)
        await own.attribution.record(late)
        batch = asyncio.create_task(in_hand(late))
        async with asyncio.timeout(30):
            await is_held.wait()
        erasure = await erased(own, ErasureMode.SEVER)
        frozen = await own.attribution.stored("conversion_id, revision, value_micros, counted")
        goes_on.set()
        await batch
        assert await own.attribution.stored("conversion_id, revision, value_micros, counted") != frozen
        while erasure.state is not ErasureState.FINISHED:
            erasure = await own.attribution.erasing.go_on(erasure)
        assert await own.attribution.stored("conversion_id, revision, value_micros, counted") == frozen
        await assert_stream_is_batch(own)
