"""Orders of somebody that wait in quarantine for their amount are decided on before that one is erased."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.integration.test_waiting import _ACCEPTED, _held
from tests.support.attribution import DAY, NOON, Attribution, Events
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary.attribution.v1.attribution_service_pb2 import ErasePersonRequest
from tributary.attribution.v1.erasure_pb2 import ERASURE_STATE_DESTROYED, Erasure
from tributary.dedup.v1.decision_pb2 import ERASURE_MODE_REMOVE, ERASURE_MODE_SEVER
from tributary_attribution.erasure_messages import erase
from tributary_domain.ids import person_id
from tributary_runtime.errors import PreconditionError
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.pending_values import PendingValues

KAY, LEE = "customer:kay", "customer:lee"
BIG = 9_000_000_000


@pytest.fixture
async def own(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    about = (migrated_redis_url, clickhouse_url, workspace)
    async with reconciled(*about, delivery_seconds=PATIENCE_SECONDS) as opened, forgetting(opened.attribution):
        yield opened


async def pending(attribution: Attribution) -> int:
    """Returns what waits, as reports tell it."""
    values = PendingValues(attribution.clickhouse)
    found = await values.read(attribution.workspace.id, NOON - DAY, NOON + DAY, 2**61)
    return sum(one.value_micros for one in found)


async def asked(attribution: Attribution, mode: int = ERASURE_MODE_SEVER, *, dry: bool = False) -> Erasure:
    workspace = attribution.workspace.id
    request = ErasePersonRequest(workspace=workspace, person_id=person_id(workspace, KAY), dry_run=dry)
    request.mode = mode  # type: ignore[assignment]
    return (await erase(attribution.erasing, request)).erasure


async def happened(own: Reconciled, make: Events) -> None:
    """Lets two people live, each with an order that waits."""
    await own.happen(make.touch(KAY), make.order(KAY, order_id="k"), make.touch(LEE), make.order(LEE, order_id="l"))
    await own.happen(
        _held(make.order(KAY, order_id="big", micros=BIG, event_id="big"), "AMOUNT_UNEXPECTED"),
        _held(make.order(KAY, order_id="big", micros=BIG, event_id="seen", rank=1), "AMOUNT_UNEXPECTED"),
        _held(make.order(KAY, order_id="bot", micros=BIG, event_id="bot"), "AMOUNT_UNEXPECTED", "BOT_USER_AGENT"),
        _held(make.order(LEE, order_id="lees", micros=BIG, event_id="lees"), "AMOUNT_UNEXPECTED"),
    )


@pytest.mark.parametrize("is_released", [True, False])
async def test_whose_order_waits_is_not_erased_before_it_is_decided_on(
    own: Reconciled, workspace: str, is_released: bool
) -> None:
    make, attribution = Events(workspace), own.attribution
    await happened(own, make)
    assert await pending(attribution) == 2 * BIG
    assert (await asked(attribution, dry=True)).remaining["waiting_orders"] == 1
    with pytest.raises(PreconditionError, match="1 orders of the person wait in quarantine"):
        await asked(attribution)
    assert await attribution.erasures.opened() == []
    assert await pending(attribution) == 2 * BIG
    for event_id, rank in (("big", 2), ("seen", 1)):
        if is_released:
            released = make.order(KAY, order_id="big", micros=BIG, event_id=event_id, rank=rank)
            await own.happen(make.release(released))
            continue
        row = (workspace, event_id, "REJECTED", _ACCEPTED, "key", _ACCEPTED)
        columns = ("workspace", "event_id", "action", "decide_time", "decided_by", "first_accept_time")
        await attribution.clickhouse.insert("quarantine_decisions", columns, [[value] for value in row])
    erasure = await asked(attribution)
    assert erasure.state == ERASURE_STATE_DESTROYED
    assert erasure.destroyed["waiting_orders"] == 0
    left = await attribution.erasing.survey(attribution.erasing.plan(workspace, [KAY]))
    assert not any(left.values()), left
    assert await pending(attribution) == BIG, "somebody else's"
    counted = await attribution.stored("value_micros, counted")
    assert ((BIG, True) in counted) == is_released


async def test_who_is_to_be_removed_is_though_an_order_waits(own: Reconciled, workspace: str) -> None:
    attribution = own.attribution
    await happened(own, Events(workspace))
    erasure = await asked(attribution, ERASURE_MODE_REMOVE)
    assert erasure.state == ERASURE_STATE_DESTROYED
    assert erasure.destroyed["waiting_orders"] == 1
    assert await pending(attribution) == BIG, "somebody else's"


async def test_an_order_that_comes_after_the_erasure_was_asked_for_is_told(own: Reconciled, workspace: str) -> None:
    attribution = own.attribution
    erasing = attribution.erasing
    erasure = await erasing.request(erasing.plan(workspace, [KAY], ErasureMode.SEVER))
    await happened(own, Events(workspace))
    assert (await erasing.go_on(erasure)).destroyed["waiting_orders"] == 1


async def test_who_is_being_erased_already_is_asked_for_again_though_an_order_came_meanwhile(
    own: Reconciled, workspace: str
) -> None:
    make, attribution = Events(workspace), own.attribution
    erasing = attribution.erasing
    await own.happen(make.touch(KAY))
    first = await erasing.request(erasing.plan(workspace, [KAY], ErasureMode.SEVER))
    await happened(own, make)
    assert (await asked(attribution, dry=True)).remaining["waiting_orders"] == 1
    second = await asked(attribution)
    assert (second.state, second.erasure_id != first.erasure_id) == (ERASURE_STATE_DESTROYED, True)
    assert (await erasing.get(workspace, first.erasure_id)).destroyed["waiting_orders"] == 1
    assert await pending(attribution) == BIG, "somebody else's"


async def test_an_order_that_happened_since_then_is_decided_on_before_it_is_erased_too(
    own: Reconciled, workspace: str
) -> None:
    make, attribution = Events(workspace), own.attribution
    erasing = attribution.erasing
    await own.happen(make.touch(KAY))
    first = await erasing.request(erasing.plan(workspace, [KAY], ErasureMode.SEVER))
    late = make.order(KAY, order_id="late", micros=BIG, event_id="late", at=first.until_micros + 1)
    await own.happen(_held(late, "AMOUNT_UNEXPECTED"))
    await happened(own, make)
    with pytest.raises(PreconditionError, match="1 orders of the person wait in quarantine"):
        await asked(attribution)
    assert (await erasing.go_on(first)).destroyed["waiting_orders"] == 1
    with pytest.raises(PreconditionError, match="1 orders of the person wait in quarantine"):
        await asked(attribution)
