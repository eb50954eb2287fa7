"""What callers say that makes one order two, or two stages one, is found."""

from __future__ import annotations

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import DAY, NOON, Admitted, Events
from tests.support.families import Families
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary_domain.findings import FindingKind, FindingState, Severity

HOUR = DAY // 24


async def test_orders_and_stages_that_are_told_wrongly_are_findings_until_they_are_retracted(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    families = Families(make)

    def cycle(order_id: str, at: int = NOON, *, kind: str = "FIRST", number: str = "1") -> Admitted:
        own = {"name": "purchase", "order_id": order_id, "subscription": f"s-{order_id}"}
        return families.cycle("customer:a", kind=kind, cycle=number, at=at, **own)

    def stage(stage: str, at: int, order_id: str = "staged") -> Admitted:
        told = make.order("customer:e", order_id=order_id, at=at, micros=None, rank=1 if stage == "won" else 2)
        told[1].event.conversion.lead.lead_id, told[1].event.conversion.lead.stage = f"lead {order_id}", stage
        return told

    twice, plain = cycle("twice", kind="UPGRADE"), make.order("visitor:a", order_id="twice", rank=1, at=NOON - HOUR)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(
            *(twice, plain),
            *(cycle("once"), make.order("visitor:b", order_id="other", at=NOON)),
            *(cycle("first"), make.order("visitor:f", order_id="first", rank=1, at=NOON - HOUR)),
            *(make.order("visitor:c", order_id="paid", at=NOON), cycle("paid", NOON + DAY, kind="RENEWAL", number="2")),
            families.stage("customer:d", stage="won", root="root", name="purchase"),
            make.order("customer:d", order_id="root", at=NOON - HOUR),
            *(stage("new", NOON - 90 * DAY), stage("won", NOON), stage("won", NOON + 1, order_id="alike")),
            stage("won", NOON + 2, order_id="alike"),
        )
        run = await world.run()
        found, merged = await world.runs.findings(workspace)
        if found.kind is not FindingKind.ORDER_SPLIT:
            found, merged = merged, found
        assert (found.kind, merged.kind) == (FindingKind.ORDER_SPLIT, FindingKind.STAGES_MERGED)
        assert (run.counts["split_orders"], run.counts["merged_stages"]) == (1, 1)
        assert (merged.conversion_id, merged.actual) == (make.conversion_id("staged"), "purchase staged: new, won")
        assert found.conversion_id == f"{twice[1].conversion_id},{plain[1].conversion_id}"
        assert found.expected == "one conversion of purchase twice"
        assert "if they are one purchase, retract the one without" in found.message
        assert "if they are two, retract neither" in found.message
        assert found.actual == "twice:1 10000000 micros EUR, twice 90000000 micros EUR"

        elsewhere = {"begin": NOON + 50 * DAY}
        await world.run(world.a_run(**elsewhere))
        states = [one.state for one in await world.runs.findings(workspace)]
        assert states == [FindingState.OPEN] * 2, "a run of other days looks at them, too"
        retractions = [make.retraction(order_id=order_id) for order_id in ("twice", "staged")]
        retractions[1][1].event.event_id = "another"
        await world.happen(*retractions)
        await world.run(world.a_run(**elsewhere))
        states = [one.state for one in await world.runs.findings(workspace)]
        assert states == [FindingState.RESOLVED] * 2


async def test_what_is_odd_about_a_value_is_a_finding_until_it_is_so_no_more(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    foreign = make.refund(1_000_000, order_id="foreign")
    foreign[1].event.adjustment.amount.currency_code = "USD"
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(
            *(make.order("visitor:a", order_id=order_id) for order_id in ("over", "foreign", "plain")),
            *(make.refund(100_000_000, order_id="over"), foreign, make.refund(1_000_000, order_id="plain")),
        )
        run = await world.run()
        assert (run.counts["over_refunded"], run.counts["currency_mismatch"]) == (1, 1)
        found = {one.kind: one for one in await world.runs.findings(workspace)}
        assert found.keys() == {FindingKind.OVER_REFUNDED, FindingKind.CURRENCY_MISMATCH}
        over = found[FindingKind.OVER_REFUNDED]
        assert (over.severity, over.conversion_id) == (Severity.WARNING, make.conversion_id("over"))
        assert over.actual == "purchase over: told 90000000 micros EUR, now 0"
        assert found[FindingKind.CURRENCY_MISMATCH].conversion_id == make.conversion_id("foreign")

        elsewhere = {"begin": NOON + 50 * DAY}
        await world.run(world.a_run(**elsewhere))
        states = [one.state for one in await world.runs.findings(workspace)]
        assert states == [FindingState.OPEN] * 2, "a run of other days looks at them, too"
        restated = make.refund(200_000_000, order_id="over", at=NOON + 2 * DAY)
        restated[1].event.adjustment.reason = AdjustmentReason.ADJUSTMENT_REASON_RESTATEMENT
        await world.happen(restated, make.retraction(order_id="foreign"))
        await world.run(world.a_run(**elsewhere))
        states = [one.state for one in await world.runs.findings(workspace)]
        assert states == [FindingState.RESOLVED] * 2
