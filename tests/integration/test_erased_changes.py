"""What somebody who is erased told that changes orders: of others', and of nobody's yet, it counts on without them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from tests.integration.test_erasure import (
    CANARY,
    CUSTOMER,
    OTHER,
    SHARDS,
    VISITOR,
    canaries,
    lived,
    put_aside,
    requested,
    told_by,
)
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import Admitted, Attribution, Events
from tests.support.families import Families
from tests.support.forgetting import PATIENCE_SECONDS, forgetting
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_domain import ids
from tributary_domain.erasures import Erasure, ErasureState
from tributary_domain.findings import FindingKind
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.statements import statement
from tributary_storage.redis.conversions import conversion_key
from tributary_storage.redis.dead_letters import DeadLetters

UNIT = 1_000_000
PLAIN, CYCLE = f"o-{CANARY}", f"f-{CANARY}"
"""Numbers of the person's own orders; the second was told as a first cycle."""


@pytest.fixture
async def own(migrated_redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Reconciled]:
    async with (
        reconciled(migrated_redis_url, clickhouse_url, workspace, delivery_seconds=PATIENCE_SECONDS) as opened,
        forgetting(opened.attribution),
    ):
        yield opened


def staying(events: Events) -> list[Admitted]:
    """Returns refunds: of an order, and by an event, nobody told yet; of another's; of both; one that another told."""
    shared = events.refund(1 * UNIT, order_id="o-later", event_id="r-shared")
    shared[1].identity_tokens.extend((OTHER, VISITOR))
    return [
        shared,
        told_by(VISITOR, events.refund(3 * UNIT, order_id="o-later", event_id="r-later")),
        told_by(VISITOR, events.refund(2 * UNIT, order_id="", of_event="e-later", event_id="r-event")),
        told_by(VISITOR, events.refund(1 * UNIT, order_id="o-other", event_id="r-other")),
        told_by(VISITOR, events.refund(70 * UNIT, order_id="o-both", event_id="r-both")),
    ]


def going(events: Events, about: str = "r") -> list[Admitted]:
    """Returns refunds of own orders: by an event, with a cycle that nobody told, without the one that was told."""
    of_cycle = events.refund(1 * UNIT, order_id=PLAIN, event_id=f"{about}-cycle")
    of_cycle[1].event.adjustment.cycle = "x"
    of_cycle[1].conversion_id = ids.conversion_id(ids.order_digest(events.workspace, "purchase", "", PLAIN, "x"))
    changes = [
        events.refund(1 * UNIT, order_id="", of_event="o-1", event_id=f"{about}-own"),
        of_cycle,
        events.refund(1 * UNIT, order_id=CYCLE, event_id=f"{about}-plain"),
    ]
    return [told_by(VISITOR, one) for one in changes]


async def held(attribution: Attribution, erasure_id: str) -> Erasure:
    return next(one for one in await attribution.erasures.opened() if one.erasure_id == erasure_id)


async def stumbling(attribution: Attribution, erasure: Erasure) -> Erasure:
    """Goes through an erasure, and stops three times on the way; the next run knows no more than what is kept.

    First in the midst of a step: what was told is without identifiers, and still found by them.
    """
    steps = attribution.erasing.steps()
    at = await held(attribution, erasure.erasure_id)
    for step in steps[: [one.__name__ for one in steps].index("_strip")]:
        at = await step(at)
    await attribution.shared_orders.strip(at)
    for last in ("_strip", "_forget"):
        at = await held(attribution, erasure.erasure_id)
        for step in steps[: [one.__name__ for one in steps].index(last) + 1]:
            at = await step(at)
    return await attribution.erasing.go_on(await held(attribution, erasure.erasure_id))


@pytest.mark.parametrize("mode", list(ErasureMode))
async def test_a_refund_of_an_order_that_nobody_told_yet_waits_for_it_without_who_told_it_and_that_of_an_own_one_goes(
    own: Reconciled, workspace: str, mode: ErasureMode
) -> None:
    events, _ = await lived(own, workspace)
    attribution = own.attribution
    first: dict[str, Any] = {"kind": "FIRST", "name": "purchase"}
    cycle = partial(Families(events).cycle, subscription=f"s-{CANARY}", **first)
    theirs = Families(events).cycle(OTHER, order_id="o-both", cycle="b", micros=40 * UNIT, event_id="f-3", **first)
    await own.happen(
        cycle(CUSTOMER, order_id=CYCLE, cycle="a", event_id="f-1"),
        cycle(CUSTOMER, order_id="o-both", cycle="a", micros=60 * UNIT, event_id="f-2"),
        theirs,
    )
    told = [*staying(events), *going(events)]
    await own.happen(*told)
    await put_aside(attribution, *told)
    planned = attribution.erasing.plan(workspace, [VISITOR, CUSTOMER])
    assert (await attribution.erasing.survey(planned))["live_changes"] == 8
    asked = {"workspace": workspace, "until": 0, "tokens": ["t"], "conversions": ["c"]}
    plan = await attribution.clickhouse.execute(f"EXPLAIN indexes = 1 {statement('erasure/orders_of_person')}", asked)
    assert any("Condition: and(((event_time, event_id) in" in line for (line,) in plan), "not all events are read"

    erasure = await stumbling(attribution, await requested(attribution, mode))
    assert not any(erasure.remaining.values()), erasure.remaining
    assert await canaries(attribution) == ["trb:{erasures}:open"], "it is not finished yet"
    unknown = told_by(VISITOR, events.refund(4 * UNIT, order_id="o-late", event_id="r-late"))
    await own.happen(unknown, *going(events, "late"))  # whoever credits passes over these, the recorder was behind
    assert (await attribution.erasing.go_on(erasure)).state is ErasureState.FINISHED
    for one in await attribution.erasures.opened():
        if one.workspace == workspace:
            await attribution.erasing.go_on(one)
    assert await canaries(attribution) == []
    gone = [conversion_key(workspace, one[1].conversion_id) for one in going(events)]
    assert not any(one.parts for one in (await attribution.conversions.observe({key: {} for key in gone}, 0)).values())
    left = await attribution.erasing.survey(planned)
    assert not any(left.values()), left
    letters = DeadLetters(attribution.state, attribution.state, SHARDS).all()
    own_letters = [one async for one in letters if one.text("workspace") == workspace and one.text("letter")]
    kept = [AdmittedEvent.FromString(one.payload) for one in own_letters]
    assert {one.event.event_id for one in kept} == {one.event.event_id for _, one in staying(events)}

    await own.happen(
        events.order(OTHER, order_id="o-later", event_id="x-3", micros=70 * UNIT),
        events.order(OTHER, order_id="o-event", event_id="e-later", micros=50 * UNIT),
        events.order(OTHER, order_id="o-late", event_id="x-4", micros=40 * UNIT),
    )
    worth = {"o-later": 66, "o-event": 48, "o-late": 36, "o-other": 89}
    for number, units in worth.items():
        published = await attribution.published(events.conversion_id(number))
        assert published is not None
        assert published.state.value.amount_micros == units * UNIT, number
    both = await attribution.published(theirs[1].conversion_id)
    assert both is not None
    assert both.state.value.amount_micros == (30 * UNIT if mode is ErasureMode.SEVER else 0), (
        "what the first is not worth"
    )
    await own.run()
    assert await own.differences() == []
    found = await own.runs.findings(workspace)
    assert [one for one in found if one.kind is FindingKind.UNMATCHED_ADJUSTMENT] == []
