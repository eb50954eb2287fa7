"""What was sent is named again as it was sent first: by id, name and account, whatever the file says by then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from tests.support.batches import a_batch_destination, a_purchase, declared_batches, deliver, publish, running_fake
from tests.support.delivery import SHARDS, Rig, a_rig, declared
from tests.support.eventually import eventually_async
from tests.support.revisions import Revision
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_SUPERSEDED,
    DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_NOT_MAPPED,
    OUTCOME_CLASS_OK,
    OUTCOME_CLASS_UNKNOWN,
    Delivery,
)
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.server import LOST, REFUSED, FakeServer, Fault
from tributary_delivery.destination_spans import DestinationSpans
from tributary_delivery.ledger import Memory
from tributary_delivery.newest import NewestRevisions
from tributary_delivery.planner import Planner
from tributary_domain.consent import DENIED, Decision, packed
from tributary_runtime.clock import SystemClock
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse.destination_spans import DestinationSpans as StoredSpans
from tributary_storage.redis import job_keys
from tributary_storage.redis.consents import Consents
from tributary_storage.redis.conversion_log import RevisionEntry
from tributary_storage.redis.conversions import Conversions
from tributary_storage.redis.delivery_job import Lane, PlannedRevision, Settled, Settlement, Taken
from tributary_storage.redis.stream_entries import StreamEntry
from tributary_storage.redis.ties import person_key

OTHER = {"google": "77", "microsoft": "Sale", "meta": "Lead"}
"""What the file calls a purchase later."""
ACCOUNT = {"google": {"operating_account": "42"}, "meta": {"dataset_id": "42"}}
"""Where the file says that conversions go later."""
C = "c1:0000"


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


def clicked(message: ConversionRevised) -> None:
    """Gives a conversion the click that Microsoft knows it by."""
    message.match.click_ids.add(family="msclkid", value="a-click")


def renamed(kind: str) -> dict[str, object]:
    return {"conversions": {"purchase": {"name": OTHER[kind]}}}


async def try_once(rig: Rig, lane: Lane, server: FakeServer) -> None:
    """Has a lane make one attempt, which fails."""
    settings = a_batch_destination(lane.destination.replace("-", "_"), server.url)
    async with rig.running_lane(lane, settings):
        await eventually_async(lambda: rig.deliveries(lane, C))
    server.faults.clear()


async def lines(rig: Rig, lane: Lane) -> list[Delivery]:
    return await rig.deliveries(lane, C)


@pytest.mark.parametrize("kind", ["google", "microsoft"])
async def test_a_refund_names_what_the_conversion_was_called_when_it_was_sent(
    rig: Rig, workspace: str, kind: str
) -> None:
    lane, first = Lane(workspace, kind.replace("_", "-")), a_purchase(Lane(workspace, kind))
    with running_fake(kind) as server:
        await publish(rig, lane, [first], clicked)
        await deliver(rig, lane, server)
        await publish(rig, lane, [first.then(value_micros=70_000_000)], clicked)
        await deliver(rig, lane, server, **renamed(kind))
        assert list(server.fake.values.values()) == [70]
        assert server.fake.accepted == 1
        assert f'"{OTHER[kind]}"'.encode() not in server.asks[-1].body
    assert {one.sent_name for one in await lines(rig, lane)} == {(await lines(rig, lane))[0].sent_name} != {""}


@pytest.mark.parametrize("kind", ["google", "meta"])
async def test_an_attempt_whose_reply_was_lost_is_repeated_under_the_name_that_it_had(
    rig: Rig, workspace: str, kind: str
) -> None:
    lane = Lane(workspace, kind)
    await publish(rig, lane, [a_purchase(lane)])
    with running_fake(kind) as server:
        server.faults.extend([LOST] * 9)
        await try_once(rig, lane, server)
        await deliver(rig, lane, server, **renamed(kind))
        assert server.fake.counted == {f"p-{C}": 1}
        assert f'"{OTHER[kind]}"'.encode() not in server.asks[-1].body


async def test_what_was_surely_not_taken_is_called_as_the_file_says_now(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "google")
    await publish(rig, lane, [a_purchase(lane)])
    with running_fake("google") as server:
        server.faults.extend([Fault(takes=False, reply=Reply(429))] * 9)
        await try_once(rig, lane, server)
        await deliver(rig, lane, server, **renamed("google"), **ACCOUNT["google"])
        assert b'"productDestinationId":"77"' in server.asks[-1].body
    [delivery] = await lines(rig, lane)
    assert (delivery.sent_name, delivery.sent_account) == ("77", "42")


async def test_another_account_is_told_nothing_of_what_it_does_not_have(rig: Rig, workspace: str) -> None:
    kind = "google"
    lane, first = Lane(workspace, kind), a_purchase(Lane(workspace, kind))
    with running_fake(kind) as server:
        await publish(rig, lane, [first])
        await deliver(rig, lane, server)
        await publish(rig, lane, [first.then(value_micros=70_000_000)])
        await deliver(rig, lane, server, **ACCOUNT[kind])
        assert len(server.asks) == 1
    sent, left = await lines(rig, lane)
    assert (left.state, left.residual.amount_micros) == (DELIVERY_STATE_UNDELIVERABLE_CORRECTION, 20_000_000)
    assert sent.sent_account in left.message


async def test_what_one_account_may_have_is_not_sent_to_another(rig: Rig, workspace: str) -> None:
    kind = "meta"
    lane = Lane(workspace, kind)
    await publish(rig, lane, [a_purchase(lane)])
    with running_fake(kind) as server:
        server.faults.extend([LOST] * 9)
        await try_once(rig, lane, server)
        asked = len(server.asks)
        await deliver(rig, lane, server, **ACCOUNT[kind])
        assert len(server.asks) == asked
    [delivery] = await lines(rig, lane)
    assert (delivery.state, delivery.outcome) == (DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN)
    assert delivery.sent_account in delivery.message


async def test_one_order_number_in_two_shops_is_two_conversions(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "google")
    berlin, paris = (a_purchase(lane, number, order_id="1001") for number in range(2))

    def in_shop(message: ConversionRevised) -> None:
        message.match.ClearField("pixel_event_id")
        message.state.order_key.store = "berlin" if message.state.conversion_id == C else "paris"

    with running_fake("google") as server:
        await publish(rig, lane, [berlin, replace(paris, value_micros=10_000_000)], in_shop)
        await deliver(rig, lane, server)
        assert server.fake.values == {"berlin/1001": 90, "paris/1001": 10}
        assert server.fake.accepted == 2


async def test_what_an_earlier_version_sent_without_its_shop_is_corrected_without_it(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "hubspot")
    first = a_purchase(lane, order_id="1001")

    def in_shop(message: ConversionRevised) -> None:
        message.match.ClearField("pixel_event_id")
        message.state.order_key.store = "berlin"

    [message] = await publish(rig, lane, [first], in_shop, is_planned=False)
    before = Delivery(
        destination_id=lane.destination,
        conversion_id=C,
        revision=message.revision,
        operation=DELIVERY_OPERATION_CREATE,
        state=DELIVERY_STATE_ACCEPTED,
        outcome=OUTCOME_CLASS_OK,
        attempts=1,
        visible_id="1001",
        value=message.state.value,
    )
    before.attempt_time.CopyFrom(message.publish_time)
    before.plan_time.CopyFrom(message.publish_time)
    await rig.stores.ledger.write([(workspace, before)])
    await publish(rig, lane, [first.then(value_micros=70_000_000)], in_shop)
    with running_fake("hubspot") as server:
        server.fake.count("1001", {}, 90)
        await deliver(rig, lane, server)
        assert server.fake.values == {"1001": 70}


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("google", LOST), ("google", REFUSED), ("google_ads", LOST), ("microsoft", LOST), ("hubspot", LOST)],
)
async def test_what_may_have_been_taken_is_found_out_and_taken_back_when_it_no_longer_counts(
    rig: Rig, workspace: str, kind: str, fault: Fault
) -> None:
    lane, first = Lane(workspace, kind.replace("_", "-")), a_purchase(Lane(workspace, kind))
    with running_fake(kind) as server:
        server.faults.extend([fault] * 9)
        await publish(rig, lane, [first], clicked)
        await try_once(rig, lane, server)
        await publish(rig, lane, [first.then(counted=False)], clicked)
        await deliver(rig, lane, server)
        assert server.fake.accepted in ({0, 1} if kind in ("google_ads", "microsoft") else {1})
        assert server.fake.values.get(f"p-{C}", 0) == 0
    assert {one.state for one in await lines(rig, lane)} <= {DELIVERY_STATE_ACCEPTED, DELIVERY_STATE_SUPERSEDED}


@dataclass
class Asked:
    """A memory that tells how often it was asked."""

    memory: Memory
    questions: int = 0

    async def deliveries_of(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, list[Delivery]]:
        self.questions += 1
        return await self.memory.deliveries_of(workspace, conversion_ids)

    async def revisions_of(
        self, workspace: str, numbered: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], ConversionRevised]:
        self.questions += 1
        return await self.memory.revisions_of(workspace, numbered)

    async def newest(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, ConversionRevised]:
        self.questions += 1
        return await self.memory.newest(workspace, conversion_ids)


@pytest.mark.parametrize("forgets", [False, True], ids=["Redis knows", "Redis has forgotten all"])
async def test_a_hundred_refunds_cost_clickhouse_two_questions(rig: Rig, workspace: str, *, forgets: bool) -> None:
    lane = Lane(workspace, "google")
    sold = [a_purchase(lane, number) for number in range(100)]
    with running_fake("google") as server:
        await publish(rig, lane, sold)
        await deliver(rig, lane, server)
        await publish(rig, lane, [one.then(value_micros=70_000_000) for one in sold])
        if forgets:
            await rig.redis.delete(*[key async for key in rig.redis.scan_iter(match=f"trb:*{workspace}*:sent:*")])
            await rig.redis.delete(*[key async for key in rig.redis.scan_iter(match="trb:*:conversion:*")])
        asked = Asked(rig.history)
        rig.stores = replace(rig.stores, memory=asked, newest=NewestRevisions(Conversions(rig.redis, SHARDS), asked))
        await deliver(rig, lane, server)
        assert set(server.fake.values.values()) == {70}
        assert len(server.asks) == 2
    assert asked.questions == (3 if forgets else 2)


async def test_a_change_of_what_is_mapped_no_more_reaches_who_has_it_and_only_them(
    rig: Rig, workspace: str, tmp_path: Path
) -> None:
    file = tmp_path / "workspaces.yaml"
    known = {"id": workspace, "pepper": {"value": "a pepper"}, "destinations": [declared("http://127.0.0.1:1/hook")]}
    file.write_text(yaml.safe_dump({"workspaces": [known]}), encoding="utf-8")
    clock, lane, woken = SystemClock(), Lane(workspace, "crm"), list[Lane]()
    lookup, spans = WorkspaceLookup(WorkspacesFile.load(file), clock, 0), StoredSpans(rig.clickhouse)
    about = (lookup, rig.stores.jobs, rig.stores.ledger, DestinationSpans(spans), clock)
    planner = Planner(*about, woken.append)
    sent = Taken(7, 90_000_000, counted=True)
    await rig.stores.jobs.plan(lane, [PlannedRevision("c1:sent", 7, 0, 7)])
    await rig.stores.jobs.lease(lane, "one", 30.0, 10)
    await rig.stores.jobs.settle(lane, "one", [Settled("c1:sent", Settlement.TAKEN, 7, taken=sent)])
    for conversion_id in ("c1:sent", "c1:never"):
        changed = Revision(workspace=workspace, conversion_id=conversion_id, name="lead").then(value_micros=1)
        entry = RevisionEntry(StreamEntry("", "1-0", {}, 1))
        await planner.handle_single(entry, changed.message())
    assert [job.conversion_id for job in (await rig.stores.jobs.lease(lane, "one", 30.0, 10)).jobs] == ["c1:sent"]
    assert woken == [lane]
    [never] = await rig.deliveries(lane, "c1:never")
    assert never.ineligible_reason == INELIGIBLE_REASON_NOT_MAPPED


async def test_a_conversion_that_is_heard_of_late_is_not_held_until_it_is_too_old(
    rig: Rig, workspace: str, tmp_path: Path
) -> None:
    file, held = tmp_path / "workspaces.yaml", {"hold_seconds": 6 * 86_400}
    destination = declared_batches("meta", "http://127.0.0.1:1", **held)
    known = {"id": workspace, "pepper": {"value": "a pepper"}, "destinations": [destination]}
    file.write_text(yaml.safe_dump({"workspaces": [known]}), encoding="utf-8")
    clock, lane = SystemClock(), Lane(workspace, "meta")
    lookup, spans = WorkspaceLookup(WorkspacesFile.load(file), clock, 0), StoredSpans(rig.clickhouse)
    about = (lookup, rig.stores.jobs, rig.stores.ledger, DestinationSpans(spans), clock)
    planner = Planner(*about, lambda lane: None)
    entry, due = RevisionEntry(StreamEntry("", "1-0", {}, 1)), dict[str, float]()
    for number, age in enumerate((0, 3, 8)):
        late = a_purchase(lane, number, time=clock.now() - timedelta(days=age))
        await planner.handle_single(entry, late.message())
        due_millis = await rig.redis.zscore(job_keys.due(workspace, "meta"), late.conversion_id)
        due[late.conversion_id] = round((due_millis / 1000 - clock.unix_micros() / 1e6) / 86_400, 1)
    assert due == {"c1:0000": 6, "c1:0001": 3.7, "c1:0002": 0}


def denied(message: ConversionRevised) -> None:
    message.match.consent.ad_user_data = CONSENT_STATE_DENIED


async def test_a_refund_that_must_not_be_told_is_written_down_with_what_is_too_much(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "google")
    bought = {number: a_purchase(lane, number) for number in range(3)}

    def of_person(message: ConversionRevised) -> None:
        message.state.person_id = person_key(workspace, f"customer:{message.state.conversion_id[-1]}")

    with running_fake("google") as server:
        await publish(rig, lane, list(bought.values()), of_person)
        await deliver(rig, lane, server)
        refunds = [one.then(value_micros=70_000_000) for one in bought.values()]
        await publish(rig, lane, refunds[:1], denied)
        denial = Decision(SystemClock().unix_micros(), packed([0, 0, DENIED, 0, 0]))
        await Consents(rig.redis, SHARDS).record({(workspace, "customer:1"): [denial]})
        await publish(rig, lane, refunds[1:2], of_person)
        await deliver(rig, lane, server)
        await publish(rig, lane, refunds[2:], of_person)
        await deliver(rig, lane, server, conversions={"lead": {"name": "98"}})
        assert len(server.asks) == 1
    for number, reason in enumerate([INELIGIBLE_REASON_NO_CONSENT] * 2 + [INELIGIBLE_REASON_NOT_MAPPED]):
        _, left = await rig.deliveries(lane, f"c1:{number:04}")
        assert (left.state, left.ineligible_reason) == (DELIVERY_STATE_UNDELIVERABLE_CORRECTION, reason)
        assert left.residual.amount_micros == 20_000_000
    [(count,)] = await rig.clickhouse.execute(
        "SELECT sum(not_correctable) FROM bi_delivery_funnel WHERE workspace = %(w)s", {"w": workspace}
    )
    assert count == 3
