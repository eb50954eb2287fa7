"""An order that one observer tells with a cycle and another without is counted twice, and that is found."""

from __future__ import annotations

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import DAY, NOON, Admitted, Events
from tests.support.families import Families
from tributary_domain.findings import FindingKind, FindingState

HOUR = DAY // 24


async def test_an_order_told_with_a_cycle_and_without_is_a_finding_until_one_is_retracted(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    families = Families(make)

    def cycle(order_id: str, at: int = NOON, *, kind: str = "FIRST", number: str = "1") -> Admitted:
        own = {"name": "purchase", "order_id": order_id, "subscription": f"s-{order_id}"}
        return families.cycle("customer:a", kind=kind, cycle=number, at=at, **own)

    twice, plain = cycle("twice"), make.order("visitor:a", order_id="twice", rank=1, at=NOON - HOUR)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(
            *(twice, plain),
            *(cycle("once"), make.order("visitor:b", order_id="other", at=NOON)),
            *(make.order("visitor:c", order_id="paid", at=NOON), cycle("paid", NOON + DAY, kind="RENEWAL", number="2")),
            families.stage("customer:d", stage="won", root="root", name="purchase"),
            make.order("customer:d", order_id="root", at=NOON - HOUR),
        )
        run = await world.run()
        (found,) = await world.runs.findings(workspace)
        assert (found.kind, run.counts["split_orders"]) == (FindingKind.ORDER_SPLIT, 1)
        assert found.conversion_id == f"{twice[1].conversion_id},{plain[1].conversion_id}"
        assert found.expected == "one conversion of purchase twice"
        assert found.actual == "twice:1 10000000 micros EUR, twice 90000000 micros EUR"

        elsewhere = {"begin": NOON + 50 * DAY}
        await world.run(world.a_run(**elsewhere))
        (found,) = await world.runs.findings(workspace)
        assert found.state is FindingState.OPEN, "a run of other days looks at it, too"
        await world.happen(make.retraction(order_id="twice"))
        await world.run(world.a_run(**elsewhere))
        (found,) = await world.runs.findings(workspace)
        assert found.state is FindingState.RESOLVED
