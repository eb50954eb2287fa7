"""A lead whose id and whose first order were told to a CRM as objects of their own, before a stage named both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from tests.support.batches import a_batch_destination, a_purchase, deliver, plan, publish, running_fake
from tests.support.delivery import Rig, a_rig
from tests.support.eventually import eventually_async
from tributary.attribution.v1.conversion_pb2 import (
    NOT_COUNTED_REASON_RETRACTED,
    NOT_COUNTED_REASON_SUPERSEDED_STAGE,
    REVISION_CAUSE_REFUND,
    REVISION_CAUSE_STAGE_CHANGE,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RETRACT,
    Delivery,
)
from tributary_cli.demo.fakes.server import LOST, FakeServer
from tributary_storage.redis.delivery_job import Lane

UNIT = 1_000_000
AMOUNT, STATUS = "Amount", "Status__c"
OWN = {"properties": {AMOUNT: "value", STATUS: "stage"}, "retracted": {STATUS: "lost"}}
BY_ID, BY_ORDER = "lead:L-1", "1001"
NAMES = {"id": ("L-1", ""), "order": ("", "1001"), "both": ("L-1", "1001")}
"""What a stage knows of its lead."""


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


class ALead:
    """A lead at one CRM; its stages are worth 10, 20 and so on in their order of arrival.

    Args:
        rig: Stores.
        workspace: Whose.
        kind: Of the CRM.
        named: By what its stages know it, in their order of arrival.
    """

    def __init__(self, rig: Rig, workspace: str, kind: str, named: Sequence[str]) -> None:
        self.rig, self.lane = rig, Lane(workspace, kind)
        self.named = named
        self.stages = [a_purchase(self.lane, n, value_micros=10 * UNIT * (n + 1)) for n in range(len(named))]
        self.unplanned: list[ConversionRevised] = []

    async def tell(self, number: int, latest: int | None = None, *, is_planned: bool = True, **changed: object) -> None:
        """Publishes a stage: as the latest one, or superseded by that, or of a lead that is lost.

        Args:
            number: Which.
            latest: The stage that counts; -1: the lead is lost.
            is_planned: Whether deliveries are planned.
            **changed: What has changed of it since, beside that.
        """
        counted = latest in (None, number)
        if latest is not None:
            cause = {"cause": REVISION_CAUSE_STAGE_CHANGE, **changed}
            self.stages[number] = self.stages[number].then(counted=counted, **cause)
        about = self._as_it_is(number, latest)
        published = await publish(self.rig, self.lane, [self.stages[number]], about, is_planned=is_planned)
        self.unplanned += [] if is_planned else published

    def _as_it_is(self, number: int, latest: int | None) -> Callable[[ConversionRevised], None]:
        def change(message: ConversionRevised) -> None:
            state = message.state
            message.match.pixel_event_id = ""
            lead = state.lead
            (lead.lead_id, lead.root_order_id), lead.stage = NAMES[self.named[number]], f"stage {number}"
            if self.named[number] == "order":
                state.order_key.order_id, state.order_key.cycle = lead.root_order_id, f"stage:{lead.stage}"
            if latest == -1:
                state.not_counted_reason = NOT_COUNTED_REASON_RETRACTED
            elif latest not in (None, number):
                state.not_counted_reason = NOT_COUNTED_REASON_SUPERSEDED_STAGE
                state.superseded_by = self.stages[latest or 0].conversion_id

        return change

    async def plan(self) -> None:
        """Plans what was published and not planned."""
        await plan(self.rig, [self.lane], self.unplanned)

    async def deliver(self, server: FakeServer, **own: object) -> None:
        await deliver(self.rig, self.lane, server, **{**OWN, **own})

    async def forget(self) -> None:
        """Loses the store of jobs, as far as it is about the CRM."""
        key = f"trb:{{j:{self.lane.workspace}:{self.lane.destination}}}:*"
        lost = [key async for key in self.rig.redis.scan_iter(match=key, count=1000)]
        assert lost
        await self.rig.redis.delete(*lost)

    async def lines(self, number: int) -> list[Delivery]:
        return await self.rig.deliveries(self.lane, self.stages[number].conversion_id)

    async def operations(self, number: int) -> list[int]:
        return [line.operation for line in await self.lines(number)]


def held(server: FakeServer) -> dict[str, tuple[str, str]]:
    """Returns what each object holds."""
    return {name: (str(one[AMOUNT]), str(one[STATUS])) for name, one in server.fake.events.items()}


GONE = ("0.00", "lost")
CREATED, TAKEN_BACK = [DELIVERY_OPERATION_CREATE], [DELIVERY_OPERATION_CREATE, DELIVERY_OPERATION_RETRACT]


@pytest.mark.parametrize(
    ("kind", "first", "forgets"),
    [
        pytest.param("hubspot", "id", "", id="by its id first"),
        pytest.param("salesforce", "order", "", id="by its order first"),
        pytest.param("hubspot", "order", "before", id="by its order first, then the ledger alone knows"),
        pytest.param("salesforce", "id", "before", id="by its id first, then the ledger alone knows"),
        pytest.param("hubspot", "id", "between", id="by its id first, and when one is taken back the ledger knows"),
        pytest.param("salesforce", "order", "between", id="by its order first, likewise"),
    ],
)
async def test_what_was_told_first_is_the_object_of_a_lead_and_the_other_is_taken_back(
    rig: Rig, workspace: str, kind: str, first: str, forgets: str
) -> None:
    second, older, newer = ("order", BY_ID, BY_ORDER) if first == "id" else ("id", BY_ORDER, BY_ID)
    lead = ALead(rig, workspace, kind, [first, second, "both", second])
    with running_fake(kind) as server:
        for number in range(2):
            await lead.tell(number)
            await lead.deliver(server)
        assert held(server) == {older: ("10.00", "stage 0"), newer: ("20.00", "stage 1")}
        if forgets == "before":
            await lead.forget()
        await lead.tell(1, 2)
        await lead.tell(2, is_planned=forgets == "before")
        await lead.deliver(server)
        if forgets == "between":
            await lead.forget()
        await lead.tell(0, 2)
        await lead.plan()
        await lead.deliver(server)
        assert held(server) == {older: ("30.00", "stage 2"), newer: GONE}
        asks = len(server.asks)
        await lead.tell(1, 2, value_micros=5 * UNIT, cause=REVISION_CAUSE_REFUND)
        await lead.deliver(server)
        assert len(server.asks) == asks, "what was taken back is worth nothing already"
        await lead.tell(3)
        for number in range(3):
            await lead.tell(number, 3)
        await lead.deliver(server)
        assert held(server) == {older: ("40.00", "stage 3"), newer: GONE}, "one that knows the other name alone"
        for number in range(4):
            await lead.tell(number, -1)
        await lead.deliver(server)
        assert held(server) == {older: GONE, newer: GONE}
    assert await lead.operations(1) == TAKEN_BACK
    assert {line.visible_id for line in await lead.lines(2)} == {older}


async def test_an_object_that_was_passed_on_is_taken_back_by_whoever_told_it_last(rig: Rig, workspace: str) -> None:
    lead = ALead(rig, workspace, "hubspot", ["id", "order", "order", "both"])
    with running_fake("hubspot") as server:
        for number in range(3):
            await lead.tell(number)
            if number == 2:
                await lead.tell(1, 2)
            await lead.deliver(server)
        assert held(server) == {BY_ID: ("10.00", "stage 0"), BY_ORDER: ("30.00", "stage 2")}
        for number in range(3):
            await lead.tell(number, 3)
        await lead.tell(3)
        await lead.deliver(server, retracted={})
        assert held(server) == {BY_ID: ("40.00", "stage 3"), BY_ORDER: ("0.00", "stage 2")}
    assert await lead.operations(1) == CREATED
    assert await lead.operations(2) == TAKEN_BACK
    lines = [line for number in range(4) for line in await lead.lines(number) if line.residual_conversions]
    assert [line.residual_conversions for line in lines] == [1], "one object too many, for which it has no word"


async def test_a_stage_that_was_passed_on_is_taken_back_when_the_lead_turns_out_to_be_another_object(
    rig: Rig, workspace: str
) -> None:
    lead = ALead(rig, workspace, "hubspot", ["id", "order", "order", "both"])
    with running_fake("hubspot") as server:
        for number in range(2):
            await lead.tell(number)
            await lead.deliver(server)
        await lead.tell(2, is_planned=False)  # which is not for this CRM
        await lead.tell(1, 2)
        await lead.deliver(server)
        assert await lead.operations(1) == CREATED
        for number in range(2):
            await lead.tell(number, 3)
        await lead.tell(3)
        await lead.deliver(server)
        assert held(server) == {BY_ID: ("40.00", "stage 3"), BY_ORDER: GONE}
        await lead.tell(3, 2)
        await lead.tell(2, 2, is_planned=False)
        await lead.tell(1, 1)
        await lead.tell(3, 1)
        await lead.tell(0, 1)
        await lead.deliver(server)
        assert held(server) == {BY_ID: GONE, BY_ORDER: ("20.00", "stage 1")}, "it is the latest after all"


async def test_a_stage_that_names_both_and_comes_late_leaves_the_object_of_the_latest(rig: Rig, workspace: str) -> None:
    lead = ALead(rig, workspace, "hubspot", ["id", "order", "both", "id"])
    with running_fake("hubspot") as server:
        for number in range(2):
            await lead.tell(number)
            await lead.deliver(server)
        await lead.tell(2, 1)
        await lead.tell(0, 1)
        await lead.tell(1, 1)
        await lead.deliver(server)
        assert held(server) == {BY_ID: GONE, BY_ORDER: ("20.00", "stage 1")}
        await lead.tell(3)
        for number in range(3):
            await lead.tell(number, 3)
        await lead.deliver(server)
        assert sorted(held(server).values()) == [GONE, ("40.00", "stage 3")]


@pytest.mark.parametrize("is_first", [True, False], ids=["a stage's creation", "that it is taken back"])
async def test_a_request_without_an_answer_leaves_one_object_all_the_same(
    rig: Rig, workspace: str, *, is_first: bool
) -> None:
    lead = ALead(rig, workspace, "salesforce", ["id", "order", "both"])
    with running_fake("salesforce") as server:
        await lead.tell(0)
        await lead.deliver(server)
        await lead.tell(1)
        if not is_first:
            await lead.deliver(server)
            await lead.tell(1, 2)
            await lead.tell(0, 2)
            await lead.tell(2)
        asks = len(server.asks)
        server.faults.extend([LOST] * 9)

        async def is_asked() -> bool:
            return len(server.asks) > asks

        settings = a_batch_destination("salesforce", server.url, **OWN)
        async with rig.running_lane(lead.lane, settings):
            await eventually_async(is_asked)
        server.faults.clear()
        if is_first:
            await lead.tell(1, 2)
            await lead.tell(0, 2)
            await lead.tell(2)
        await lead.deliver(server)
        assert held(server) == {BY_ID: ("30.00", "stage 2"), BY_ORDER: GONE}
