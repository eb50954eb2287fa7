"""What a sales team finds in its CRM: a lead is one object that holds its latest stage, an order one for each name."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from itertools import chain

import pytest

from tests.support.batches import a_purchase, deliver, publish, running_fake
from tests.support.delivery import Rig, a_rig
from tests.support.revisions import Revision
from tributary.attribution.v1.conversion_pb2 import (
    NOT_COUNTED_REASON_RETRACTED,
    NOT_COUNTED_REASON_SUPERSEDED_STAGE,
    REVISION_CAUSE_LATE_TOUCHPOINT,
    REVISION_CAUSE_RETRACTION,
    REVISION_CAUSE_STAGE_CHANGE,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_ACCEPTED, INELIGIBLE_REASON_NOT_COUNTED
from tributary_cli.demo.fakes.server import Fault
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane

OWN = {"properties": {"amount": "value", "status": "stage"}, "retracted": {"status": "lost"}}
LEAD = "lead:L-1"


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


def stage(name: str, reason: int = 0) -> Callable[[ConversionRevised], None]:
    """Makes a conversion a stage of a lead; not counted for a reason."""

    def change(message: ConversionRevised) -> None:
        message.state.lead.lead_id, message.state.lead.stage = "L-1", name
        message.state.not_counted_reason = reason  # type: ignore[assignment]

    return change


def superseded(name: str) -> Callable[[ConversionRevised], None]:
    return stage(name, NOT_COUNTED_REASON_SUPERSEDED_STAGE)


def retracted(name: str) -> Callable[[ConversionRevised], None]:
    """Makes it one of a lead that is lost."""
    return stage(name, NOT_COUNTED_REASON_RETRACTED)


def taken_back_alone(name: str) -> Callable[[ConversionRevised], None]:
    """Makes it one that has a retraction of its own; of a superseded one that is a change of stage, too."""

    def change(message: ConversionRevised) -> None:
        retracted(name)(message)
        message.state.adjustments.add(event_id="a-1", cause=REVISION_CAUSE_RETRACTION)
        message.causes.append(REVISION_CAUSE_STAGE_CHANGE)

    return change


@pytest.mark.parametrize("forgets", [False, True], ids=["Redis knows", "the ledger knows"])
async def test_a_lead_is_one_object_with_its_latest_stage(rig: Rig, workspace: str, *, forgets: bool) -> None:
    lane = Lane(workspace, "hubspot")
    new, won = a_purchase(lane, value_micros=10_000_000), a_purchase(lane, 1, value_micros=90_000_000)

    async def told(*changed: tuple[Revision, Callable[[ConversionRevised], None]]) -> tuple[str, str]:
        for revision, change in changed:
            await publish(rig, lane, [revision], change)
        await deliver(rig, lane, server, **OWN)
        if forgets:
            await rig.redis.delete(*(job_keys.sent(workspace, "hubspot", one) for one in ("c1:0000", "c1:0001")))
        assert server.fake.counted == {LEAD: 1}, "one object"
        return server.fake.events[LEAD]["amount"], server.fake.events[LEAD]["status"]

    with running_fake("hubspot") as server:
        assert await told((new, stage("new"))) == ("10.00", "new")
        new = new.then(counted=False, cause=REVISION_CAUSE_STAGE_CHANGE)
        assert await told((new, superseded("new")), (won, stage("won"))) == ("90.00", "won")
        new = new.then(value_micros=5_000_000)  # the earlier stage is worth less: it is not the object's any more
        assert await told((new, superseded("new"))) == ("90.00", "won")
        new, won = new.then(counted=True), won.then(counted=False, cause=REVISION_CAUSE_RETRACTION)
        assert await told((new, stage("new")), (won, retracted("won"))) == ("5.00", "new"), "won was a mistake"
        new, won = new.then(counted=False), won.then(counted=True)
        assert await told((new, superseded("new")), (won, stage("won"))) == ("90.00", "won"), "it was none"
        alone = new.then(cause=REVISION_CAUSE_RETRACTION)
        assert await told((alone, taken_back_alone("new"))) == ("90.00", "won"), "the earlier one alone is taken back"
        alone = alone.then(cause=REVISION_CAUSE_LATE_TOUCHPOINT)
        assert await told((alone, taken_back_alone("new"))) == ("90.00", "won"), "it stays taken back"
        won = won.then(counted=False, cause=REVISION_CAUSE_STAGE_CHANGE)
        assert await told((won, retracted("won"))) == ("0.00", "lost")
    assert {line.visible_id for one in ("c1:0000", "c1:0001") for line in await rig.deliveries(lane, one)} == {LEAD}


async def test_a_lead_that_was_lost_while_nobody_could_be_told_is_lost_whatever_came_since(
    rig: Rig, workspace: str
) -> None:
    lane, new = Lane(workspace, "hubspot"), a_purchase(Lane(workspace, "hubspot"), value_micros=10_000_000)
    with running_fake("hubspot") as server:
        await publish(rig, lane, [new], stage("new"))
        await deliver(rig, lane, server, **OWN)
        new = new.then(counted=False, cause=REVISION_CAUSE_STAGE_CHANGE)
        await publish(rig, lane, [new], superseded("new"))
        await deliver(rig, lane, server, **OWN)
        for cause in (REVISION_CAUSE_STAGE_CHANGE, REVISION_CAUSE_LATE_TOUCHPOINT):
            new = new.then(cause=cause)
            await publish(rig, lane, [new], retracted("new"))
        await deliver(rig, lane, server, **OWN)
        assert (server.fake.events[LEAD]["amount"], server.fake.events[LEAD]["status"]) == ("0.00", "lost")


async def test_a_stage_that_was_passed_before_it_was_sent_is_not_sent(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "salesforce")
    own = {"properties": {"Amount": "value", "Status__c": "stage"}, "retracted": {}}
    with running_fake("salesforce") as server:
        await publish(rig, lane, [a_purchase(lane, 1)], stage("won"))
        await deliver(rig, lane, server, **own)
        await publish(rig, lane, [a_purchase(lane, counted=False)], superseded("new"))
        await deliver(rig, lane, server, **own)
        assert server.fake.counted == {LEAD: 1}
        assert server.fake.events[LEAD]["Status__c"] == "won"
    [line] = await rig.deliveries(lane, "c1:0000")
    assert line.ineligible_reason == INELIGIBLE_REASON_NOT_COUNTED


async def test_a_contact_holds_its_newest_conversion_and_no_customer_becomes_a_lead(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "hubspot")
    own = {"object_type": "contacts", "id_property": "email", "retracted": {}}
    own |= {"properties": {"amount": "value", "last_at": "time", "lifecyclestage": "name"}}
    own |= {"conversions": {"purchase": {"name": "customer"}, "sign_up": {"name": "lead"}}}
    hour = timedelta(hours=1)
    bought = a_purchase(lane, 1, value_micros=90_000_000)
    with running_fake("hubspot") as server:

        async def told(revision: Revision) -> tuple[str, str]:
            await publish(rig, lane, [revision])
            await deliver(rig, lane, server, **own)
            held = server.fake.events["ann@example.com"]
            return held["amount"], held.get("lifecyclestage", "as it was")

        assert await told(bought) == ("90.00", "customer")
        older = a_purchase(lane, 2, value_micros=10_000_000, time=bought.time - hour)
        assert await told(older) == ("90.00", "customer"), "an older one is delivered late"
        signed_up = a_purchase(lane, 3, name="sign_up", value_micros=0, time=bought.time + timedelta(seconds=30))
        assert await told(signed_up) == ("0.00", "as it was"), "the stage is not told, the rest is"
    [line] = await rig.deliveries(lane, "c1:0002")
    assert (line.state, line.message) == (DELIVERY_STATE_ACCEPTED, "Nothing was written: it holds a newer conversion.")


async def test_two_names_of_an_order_are_two_objects_and_what_was_sent_before_keeps_its_id(
    rig: Rig, workspace: str
) -> None:
    def of_an_order(message: ConversionRevised) -> None:
        message.match.pixel_event_id, message.state.order_key.order_id = "", "1001"

    lane = Lane(workspace, "hubspot")
    both = {"conversions": {"purchase": {}, "invoice": {}}}
    bought = a_purchase(lane, value_micros=90_000_000)
    with running_fake("hubspot") as server:
        await publish(rig, lane, [bought], of_an_order)
        await deliver(rig, lane, server)  # when it was the only name
        paid, again = a_purchase(lane, 1, name="invoice", value_micros=80_000_000), a_purchase(lane, 2)
        await publish(rig, lane, [bought.then(value_micros=70_000_000), paid], of_an_order)
        await publish(rig, lane, [again], lambda message: of_an_order(message))
        await deliver(rig, lane, server, **both)
        assert server.fake.values == {"1001": 70, "1001|invoice": 80, "1001|purchase": 90}
    states = [line.state for line in await rig.deliveries(lane, "c1:0000")]
    assert states == [DELIVERY_STATE_ACCEPTED] * 2


class Overlap:
    """Holds each request until there is another, which there shall not be, or until it would have come."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self._changed = threading.Condition()

    def wait(self) -> None:
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most > 1, 0.2)
            self._now -= 1


async def test_records_of_one_parent_stand_together_and_are_never_written_at_once(rig: Rig, workspace: str) -> None:
    lane, parents, overlap = Lane(workspace, "salesforce"), ("b", "a", "c", "b", "a", "b"), Overlap()

    def of_a_parent(message: ConversionRevised) -> None:
        message.state.lead.stage = parents[int(message.state.conversion_id[-1])]

    own = {"properties": {"Amount": "value", "AccountId": "stage"}, "retracted": {}, "batch_size": 3}
    with running_fake("salesforce") as server:
        server.faults.extend([Fault(takes=True, until=overlap, reply=None)] * len(parents))
        await publish(rig, lane, [a_purchase(lane, number) for number in range(len(parents))], of_a_parent)
        await deliver(rig, lane, server, **own)
        told = [[one["AccountId"] for one in ask.json()["records"]] for ask in server.asks]
    assert told == [sorted(records) for records in told]
    assert sorted(chain.from_iterable(told)) == sorted(parents)
    assert len(told) > overlap.most == 1, "one call after the other"
