"""Reconciliation's people, from raw events: logins agree with the stream, and what SQL reads of edges is the rule's."""

from __future__ import annotations

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import DAY, NOON, Admitted, Events
from tributary_domain.event_order import event_hash
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.reconciliation_staging import ReconciliationStaging, Scope

_HOUR = DAY // 24


async def test_people_with_one_identifier_and_people_who_log_in_agree_under_both_rules(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    events: list[Admitted] = []
    for person in range(12):
        visitor, phone, customer = f"visitor:v{person}", f"visitor:p{person}", f"customer:c{person}"
        events.append(make.touch(visitor, at=NOON - 5 * DAY, channel="Email"))
        events.append(make.touch(phone, at=NOON - 4 * DAY, channel="Display"))
        if person % 3 == 1:  # logs in on one device before buying, on the other after
            events.append(make.identify(visitor, customer, at=NOON - DAY))
            events.append(make.order(customer, at=NOON, order_id=f"o-{person}"))
            events.append(make.identify(phone, customer, at=NOON + _HOUR))
        elif person % 3 == 2:  # the browser and the backend report one order
            order = make.order(visitor, at=NOON, order_id=f"o-{person}", rank=1, event_id=f"b-{person}")
            events.append(order)
            letter, other = make.order(customer, at=NOON + 1, order_id=f"o-{person}", event_id=f"s-{person}")
            events.append(("M" if letter else letter, other))
        else:
            events.append(make.order(visitor, at=NOON, order_id=f"o-{person}"))
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(*events)
        run = await world.run()
        assert run.counts["conversions"] == 12
        assert await world.differences() == []
        rows = await world.attribution.stored("order_id, length(touch_times)")
        touches = dict(rows)
        assert [touches[f"o-{person}"] for person in range(3)] == [1, 2, 1]


async def test_edges_are_pairs_that_one_event_carried_first(
    clickhouse_url: str, redis_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with (
        reconciled(redis_url, clickhouse_url, workspace) as world,
        clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60, connections=1) as clickhouse,
    ):
        await world.attribution.record(
            make.identify("customer:a", "visitor:b", at=NOON + 5, event_id="later"),
            make.identify("visitor:b", "customer:a", at=NOON, event_id="first"),
            make.touch("visitor:b", "email:z", letter="Q"),  # proves nothing
            make.order("visitor:c", at=NOON, order_id="o-1", rank=1, event_id="front"),
            ("M", make.order("customer:d", at=NOON + 7, order_id="o-1", event_id="back")[1]),
            *(make.identify("device:kiosk", f"customer:{n}", at=NOON + n * _HOUR, event_id=f"k-{n}") for n in range(6)),
        )
        scope = Scope("r-edges", workspace, NOON - DAY, NOON + DAY, 1)
        staging = ReconciliationStaging(clickhouse)
        asked = {"visitor:b", "email:z", "customer:d", "device:kiosk"}
        edges = {edge[:2]: edge.place for edge in (await staging.edges(scope, 0, asked)).edges}
        assert edges.pop(("customer:a", "visitor:b")) == (NOON, event_hash("first"))
        assert edges.pop(("customer:d", "visitor:c")) == (NOON + 7, event_hash("back"))
        assert set(edges) == {(f"customer:{n}", "device:kiosk") for n in range(6)}
        sixth = (NOON + 5 * _HOUR, event_hash("k-5"))
        assert await staging.shared_devices(scope, asked, 5, 30) == {"device:kiosk": sixth}
        assert await staging.shared_devices(scope, asked, 6, 30) == {}
