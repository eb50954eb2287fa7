"""What waits is told: orders with an amount outside the expected range, adjustments without a conversion."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Admitted, Events
from tributary.event.v1.verdict_pb2 import Reason, ReasonCode
from tributary_attribution.waiting_checks import WaitingChecks
from tributary_domain.findings import FindingKind, FindingState
from tributary_query.pending_orders import PendingOrders
from tributary_runtime.clock import SystemClock
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.pending_values import PendingValues
from tributary_storage.clickhouse.reconciliation_sources import ReconciliationSources
from tributary_storage.clickhouse.reconciliation_staging import Scope

_ACCEPTED = NOON + 2 * DAY
"""When events of tests are."""
_MIDNIGHT = _ACCEPTED // DAY * DAY


def _held(admitted: Admitted, *reasons: str) -> Admitted:
    """Returns an event as the door quarantines it for these reasons."""
    event = admitted[1]
    event.reasons.extend(Reason(code=ReasonCode.Value(f"REASON_CODE_{reason}")) for reason in reasons)
    return "Q", event


async def _pending(world: Reconciled, **own: Any) -> list[tuple[str, str, int, int]]:
    values = {"start_micros": NOON - DAY, "end_micros": NOON + DAY, "accepted_before_micros": 2**61} | own
    found = await PendingValues(world.attribution.clickhouse).read(world.attribution.workspace.id, **values)
    return [one[:4] for one in found]


async def _night(world: Reconciled, begin: int, now: int, **findings: int) -> list[FindingKind]:
    """Looks at what waits in a run over one day, at some time."""
    own = world.attribution.workspace
    told = Workspace.model_validate({"id": own.id, "pepper": {"value": "pepper"}, "findings": findings})
    clickhouse = world.attribution.clickhouse
    checks = WaitingChecks(ReconciliationSources(clickhouse), PendingValues(clickhouse))
    _, found = await checks.check(Scope("r", own.id, begin, begin + DAY, 1), told.findings, now)
    return sorted(one.kind for one in found)


async def test_an_order_that_waits_for_its_amount_alone_is_told_once_until_it_is_decided_on(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    browser = _held(make.order(order_id="big", micros=99_000_000_000, rank=1), "AMOUNT_UNEXPECTED")
    backend = _held(make.order(order_id="big", micros=90_000_000_000), "AMOUNT_UNEXPECTED", "CLOCK_CORRECTED")
    bot = _held(make.order(order_id="bot", micros=90_000_000_000), "AMOUNT_UNEXPECTED", "BOT_USER_AGENT")
    known = _held(make.order(order_id="known", micros=90_000_000_000, rank=1), "AMOUNT_UNEXPECTED")
    nameless = _held(make.order(order_id="", micros=90_000_000_000), "AMOUNT_UNEXPECTED")
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.attribution.record(browser, backend, bot, known, nameless, make.order(order_id="known"))
        assert await _pending(world) == [("purchase", "EUR", 90_000_000_000, 1)]
        assert await _pending(world, end_micros=NOON) == []
        assert await _pending(world, accepted_before_micros=_ACCEPTED) == []
        await world.attribution.record(make.release(backend))
        assert await _pending(world) == []


class HandClock(SystemClock):
    """A clock whose durations are moved by hand."""

    seconds = 1.0

    def monotonic_seconds(self) -> float:
        return self.seconds


async def test_reports_ask_for_what_waits_once_a_second(redis_url: str, clickhouse_url: str, workspace: str) -> None:
    make, clock = Events(workspace), HandClock()
    order = _held(make.order(event_id="big"), "AMOUNT_UNEXPECTED")
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        waiting = PendingOrders(PendingValues(world.attribution.clickhouse), clock)
        await world.attribution.record(order)
        told = [len(await waiting.within(workspace, NOON - DAY, NOON + DAY))]
        await world.attribution.record(make.release(order))
        for seconds in (0.9, 0.1):
            clock.seconds += seconds
            told.append(len(await waiting.within(workspace, NOON - DAY, NOON + DAY)))
        assert told == [1, 1, 0]


async def test_an_order_that_somebody_rejected_waits_no_more(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        order = _held(Events(workspace).order(event_id="big"), "AMOUNT_UNEXPECTED")
        await world.attribution.record(order)
        assert len(await _pending(world)) == 1
        row = (workspace, "big", "REJECTED", _ACCEPTED, "key", _ACCEPTED)
        columns = ("workspace", "event_id", "action", "decide_time", "decided_by", "first_accept_time")
        await world.attribution.clickhouse.insert("quarantine_decisions", columns, [[value] for value in row])
        assert await _pending(world) == []


async def test_what_waits_too_long_is_a_finding_until_it_waits_no_more(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        order = _held(make.order(order_id="big", micros=90_000_000_000), "AMOUNT_UNEXPECTED")
        late = make.order("visitor:a", order_id="late")
        await world.attribution.record(order, make.refund(1_000_000, order_id="late", event_id="refund"))
        await world.run()
        found = {one.kind: one for one in await world.runs.findings(workspace)}
        assert found.keys() == {FindingKind.PENDING_VALUE, FindingKind.UNMATCHED_ADJUSTMENT}
        refund = found[FindingKind.UNMATCHED_ADJUSTMENT]
        assert (refund.event_id, refund.expected, refund.actual) == (
            "refund",
            "purchase late",
            "REFUND 1000000 micros EUR",
        )
        await world.happen(late)
        await world.attribution.record(make.release(order))
        await world.attribution.handle(make.release(order))
        await world.run(world.a_run(begin=NOON + 50 * DAY))
        states = {one.kind: one.state for one in await world.runs.findings(workspace)}
        assert set(states.values()) == {FindingState.RESOLVED}


@pytest.mark.parametrize(
    ("begin", "waited", "expected"),
    [
        pytest.param(_MIDNIGHT, 29 * DAY, [], id="not-yet"),
        pytest.param(_MIDNIGHT, 31 * DAY, [FindingKind.UNMATCHED_ADJUSTMENT], id="of-its-day"),
        pytest.param(_MIDNIGHT + 30 * DAY, 31 * DAY, [FindingKind.UNMATCHED_ADJUSTMENT], id="of-the-day-it-came-due"),
        pytest.param(_MIDNIGHT + 31 * DAY, 32 * DAY, [], id="of-another-day"),
    ],
)
async def test_an_adjustment_without_a_conversion_is_spoken_of_by_the_run_in_whose_days_it_came_due(
    redis_url: str, clickhouse_url: str, workspace: str, begin: int, waited: int, expected: list[FindingKind]
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        await world.attribution.record(
            make.refund(1_000_000, order_id="none"),
            make.order(order_id="known", event_id="seen"),
            make.refund(1_000_000, order_id="known"),
            make.refund(1_000_000, order_id="", of_event="seen"),
        )
        assert await _night(world, begin, _ACCEPTED + waited) == expected


async def test_how_long_is_too_long_is_said_by_the_workspace(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make = Events(workspace)
        await world.attribution.record(
            make.refund(1_000_000, order_id="none"), _held(make.order(order_id="big"), "AMOUNT_UNEXPECTED")
        )
        now = _ACCEPTED + 6 * DAY
        assert await _night(world, _MIDNIGHT, now) == [FindingKind.PENDING_VALUE]
        longer = {"pending_value_hours": 24 * 7, "unmatched_adjustment_days": 5}
        assert await _night(world, _MIDNIGHT, now, **longer) == [FindingKind.UNMATCHED_ADJUSTMENT]
