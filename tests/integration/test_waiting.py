"""What waits is told: orders with an amount outside the expected range, adjustments without a conversion."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import DAY, NOON, Admitted, Events, record
from tests.support.families import Families
from tributary.event.v1.verdict_pb2 import Reason, ReasonCode
from tributary_attribution.cut_answers import Answers
from tributary_attribution.waiting_checks import WaitingChecks
from tributary_domain.findings import FindingKind, FindingState
from tributary_query.pending_orders import PendingOrders
from tributary_runtime.clock import SystemClock
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse.client import ClickHouse
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


@dataclass
class Recorded:
    """Events of one workspace, as ClickHouse has them."""

    clickhouse: ClickHouse
    workspace: str

    async def record(self, *events: Admitted) -> None:
        """Records events as dedup does."""
        await record(self.clickhouse, self.workspace, *events)

    async def pending(self, **own: Any) -> list[tuple[str, str, int, int]]:
        """Returns what waits for its amount alone."""
        values = {"start_micros": NOON - DAY, "end_micros": NOON + DAY, "accepted_before_micros": 2**61} | own
        return [one[:4] for one in await PendingValues(self.clickhouse).read(self.workspace, **values)]

    async def night(self, begin: int, now: int, **findings: int) -> list[FindingKind]:
        """Looks at what waits in a run over one day, at some time."""
        told = Workspace.model_validate({"id": self.workspace, "pepper": {"value": "pepper"}, "findings": findings})
        checks = WaitingChecks(ReconciliationSources(self.clickhouse), PendingValues(self.clickhouse))
        _, found = await checks.check(Scope("r", self.workspace, begin, begin + DAY, 1), told.findings, now)
        return sorted(one.kind for one in found.named)


@pytest.fixture
async def recorded(clickhouse_url: str, workspace: str) -> AsyncIterator[Recorded]:
    async with clickhouse_client.connect(clickhouse_url, name="tests", connections=1) as clickhouse:
        yield Recorded(clickhouse, workspace)


async def test_an_order_that_waits_for_its_amount_alone_is_told_once_until_it_is_decided_on(recorded: Recorded) -> None:
    make = Events(recorded.workspace)
    browser = _held(make.order(order_id="big", micros=99_000_000_000, rank=1), "AMOUNT_UNEXPECTED")
    backend = _held(make.order(order_id="big", micros=90_000_000_000), "AMOUNT_UNEXPECTED", "CLOCK_CORRECTED")
    bot = _held(make.order(order_id="bot", micros=90_000_000_000), "AMOUNT_UNEXPECTED", "BOT_USER_AGENT")
    known = _held(make.order(order_id="known", micros=90_000_000_000, rank=1), "AMOUNT_UNEXPECTED")
    nameless = _held(make.order(order_id="", micros=90_000_000_000), "AMOUNT_UNEXPECTED")
    await recorded.record(browser, backend, bot, known, nameless, make.order(order_id="known"))
    assert await recorded.pending() == [("purchase", "EUR", 90_000_000_000, 1)]
    assert await recorded.pending(end_micros=NOON) == []
    assert await recorded.pending(accepted_before_micros=_ACCEPTED) == []
    await recorded.record(make.release(backend))
    assert await recorded.pending() == []


class HandClock(SystemClock):
    """A clock whose durations are moved by hand."""

    seconds = 1.0

    def monotonic_seconds(self) -> float:
        return self.seconds


async def test_reports_ask_for_what_waits_once_a_second(recorded: Recorded) -> None:
    make, clock = Events(recorded.workspace), HandClock()
    order = _held(make.order(event_id="big"), "AMOUNT_UNEXPECTED")
    waiting = PendingOrders(PendingValues(recorded.clickhouse), clock)
    await recorded.record(order)
    told = [len(await waiting.within(recorded.workspace, NOON - DAY, NOON + DAY))]
    await recorded.record(make.release(order))
    for seconds in (0.9, 0.1):
        clock.seconds += seconds
        told.append(len(await waiting.within(recorded.workspace, NOON - DAY, NOON + DAY)))
    assert told == [1, 1, 0]


async def test_an_order_that_somebody_rejected_waits_no_more(recorded: Recorded) -> None:
    order = _held(Events(recorded.workspace).order(event_id="big"), "AMOUNT_UNEXPECTED")
    await recorded.record(order)
    assert len(await recorded.pending()) == 1
    row = (recorded.workspace, "big", "REJECTED", _ACCEPTED, "key", _ACCEPTED)
    columns = ("workspace", "event_id", "action", "decide_time", "decided_by", "first_accept_time")
    await recorded.clickhouse.insert("quarantine_decisions", columns, [[value] for value in row])
    assert await recorded.pending() == []


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


async def test_what_waits_stays_told_however_many_more_wait(
    redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make, numbers = Events(workspace), range(3)
        orders = [_held(make.order(order_id=f"big-{one}", event_id=f"b-{one}"), "AMOUNT_UNEXPECTED") for one in numbers]
        refunds = [make.refund(1_000_000, order_id=f"none-{one}", event_id=f"r-{one}") for one in numbers]
        await world.attribution.record(*orders, *refunds)

        async def open_after(begin: int = NOON - 60 * DAY) -> int:
            await world.run(world.a_run(begin=begin))
            return len(await world.runs.findings(workspace, states=(FindingState.OPEN,)))

        told = [await open_after()]
        with monkeypatch.context() as few:
            few.setattr(Answers, "MOST_NAMED", 1)
            told.append(await open_after())
            few.setattr(ReconciliationSources, "MOST", 2)
            few.setattr(WaitingChecks, "MOST_PENDING", 2)
            told.append(await open_after())
        await world.attribution.record(*(make.release(one) for one in orders[:2]))
        await world.happen(*(make.order("visitor:a", order_id=f"none-{one}") for one in numbers[:2]))
        told.append(await open_after(NOON + 50 * DAY))
        assert told == [6, 6, 6, 2]


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
    recorded: Recorded, begin: int, waited: int, expected: list[FindingKind]
) -> None:
    make = Events(recorded.workspace)
    await recorded.record(
        make.refund(1_000_000, order_id="none"),
        Families(make).cycle(kind="FIRST", cycle="1", name="purchase", order_id="first", event_id="first"),
        make.refund(1_000_000, order_id="first"),
        make.order(order_id="known", event_id="seen"),
        make.refund(1_000_000, order_id="known"),
        make.order(order_id="known", event_id="bot", letter="Q"),
        *(make.refund(1_000_000, order_id="", of_event=named) for named in ("seen", "bot")),
    )
    assert await recorded.night(begin, _ACCEPTED + waited) == expected


async def test_how_long_is_too_long_is_said_by_the_workspace(recorded: Recorded) -> None:
    make = Events(recorded.workspace)
    await recorded.record(
        make.refund(1_000_000, of_event="held"),
        _held(make.order(order_id="big", event_id="held"), "AMOUNT_UNEXPECTED"),
    )
    now = _ACCEPTED + 6 * DAY
    assert await recorded.night(_MIDNIGHT, now) == [FindingKind.PENDING_VALUE]
    longer = {"pending_value_hours": 24 * 7, "unmatched_adjustment_days": 5}
    assert await recorded.night(_MIDNIGHT, now, **longer) == [FindingKind.UNMATCHED_ADJUSTMENT]
