"""Every script on a Redis in cluster mode: there, Redis itself refuses keys of two slots, and keys that were not named.

One node that owns all slots, so that an ordinary client reaches every key.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis.asyncio

from tests.integration.test_event_of_two_orders import bar
from tests.support.admissions import AN_EPOCH, Sent, a_request, running_admission
from tests.support.attribution import DAY, NOON, SHARDS, Admitted, Events, running_attribution
from tests.support.eventually import eventually_async
from tests.support.families import Families
from tests.support.stores import running_redis
from tributary.event.v1.consent_pb2 import CONSENT_STATE_GRANTED
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED, VERDICT_DUPLICATE
from tributary_attribution import arrivals
from tributary_domain.event_order import event_hash
from tributary_domain.ids import event_digest, family_id, order_digest
from tributary_domain.lead_claims import ObjectKind
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.velocity import Count, Limit
from tributary_runtime.clock import SystemClock
from tributary_storage.redis import job_keys
from tributary_storage.redis.claim_layout import Kind, Placement
from tributary_storage.redis.claim_lookup import ClaimLookup, LostClaim
from tributary_storage.redis.client import connect
from tributary_storage.redis.credential_gates import Gate
from tributary_storage.redis.data_keys import Candidate, DataKeys
from tributary_storage.redis.dead_letters import DeadLetters
from tributary_storage.redis.delivery_job import KnownAs, Lane, Plan, PlannedRevision, Settled, Settlement, Taken, Tried
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.erased_people import ErasedPeople, Observed
from tributary_storage.redis.first_claims import FirstClaims, LeadName, WantedSecond
from tributary_storage.redis.keys import ATTRIBUTE_GROUP, RECORD_GROUP, event_dead_letters, event_log
from tributary_storage.redis.names_in_jobs import NamesInJobs
from tributary_storage.redis.object_holds import ObjectHolds, Said
from tributary_storage.redis.old_paths import OldPaths
from tributary_storage.redis.rates import SharedRates
from tributary_storage.redis.replayed_jobs import Replayed, ReplayedJobs, Wish
from tributary_storage.redis.scripts import Script
from tributary_storage.redis.stream_consumers import StreamConsumers
from tributary_storage.redis.sweeper import Sweeper
from tributary_storage.redis.taken_back import NEVER_AGAIN, Refusal, TakenBack, TakingBack
from tributary_storage.redis.velocity import Velocity

SCRIPTS = {path.stem for path in Path(__file__).parents[2].glob("libs/tributary_storage/redis/lua/*.lua")}


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[str]:
    with running_redis(tmp_path / "redis", {"cluster-enabled": "yes", "databases": "1"}) as server:
        async with connect(server.url, name="tests") as client:
            for first in range(0, 16384, 4096):
                await client.execute_command("CLUSTER ADDSLOTS", *range(first, first + 4096))

            async def is_whole() -> bool:
                return (await client.execute_command("CLUSTER INFO"))["cluster_state"] == "ok"

            await eventually_async(is_whole)
        yield server.url


def _decided(admitted: Admitted) -> Admitted:
    """Lets an event tell what its person decided about consent."""
    consent = admitted[1].event.consent
    consent.ad_user_data = CONSENT_STATE_GRANTED
    consent.consent_time.CopyFrom(admitted[1].event.event_time)
    return admitted


async def attribute(url: str, clickhouse_url: str, workspace: str) -> None:
    """Makes people one, credits, at once and later, refunds, and restores what was lost."""
    events = Events(workspace)
    young = NOON + 30 * DAY
    async with running_attribution(url, clickhouse_url, workspace, epoch_micros=young, share=1) as attribution:
        order = events.order("visitor:a", "customer:1")
        happened = (_decided(events.touch("visitor:a")), events.touch("customer:1", channel="Email"), order)
        for one in happened:
            await attribution.handle(one)
        await attribution.record(*happened)
        await attribution.lose_state()
        old = [arrivals.Replayed(letter, event.SerializeToString(), NOON, "") for letter, event in happened]
        await attribution.attributor.remember_firsts(attribution.workspace, old)
        await attribution.handle(events.refund(10_000_000))
        revised = await attribution.published(events.conversion_id())
        assert revised is not None
        assert revised.state.value.amount_micros == 80_000_000
        assert await attribution.count_people()
        await attribution.handle(*(events.order("visitor:b", order_id=order_id) for order_id in ("o-2", "o-3")))
        assert await attribution.work_off() == 1
        stage = Families(events).stage("email:1", stage="won", root="o-2", name="purchase", at=NOON + DAY)
        await attribution.handle(stage)  # a lead, its root and the stage have three homes
        revised = await attribution.published(stage[1].conversion_id)
        assert revised is not None
        assert revised.state.inherited_from.conversion_id == events.conversion_id("o-2")
        erasure = await attribution.erasing.request(attribution.erasing.plan(workspace, ["visitor:b"]))
        await attribution.erasing.go_on(erasure)  # the root has a stand-in now
        revised = await attribution.published(stage[1].conversion_id)
        assert revised is not None
        assert revised.state.inherited_from.conversion_id.startswith("s1:")
        observed = Observed("email:1", event_hash(stage[1].event.event_id), "purchase", None)
        await ErasedPeople(attribution.state, SHARDS).forget_observed(workspace, [observed])
        journey = await attribution.people.find(workspace, ["email:1"])
        assert journey is not None
        assert not journey.conversions


async def deliver(client: redis.asyncio.Redis) -> None:
    """Takes one job through its life."""
    jobs, lane = DeliveryJobs(client), Lane("shop", "crm")
    await jobs.plan(lane, [PlannedRevision("c1:a", 1, 0, 1), PlannedRevision("c1:b", 2, 0, 2)], 0)
    assert len((await jobs.lease(lane, "one", 30.0, 10)).jobs) == 2
    assert await jobs.renew(lane, "one", 30.0, ["c1:a", "c1:b"])
    tried = [Tried("c1:a", 1, creates=True, known_as=KnownAs("o-1", "Purchase", "4711", "full", 1))]
    assert await jobs.begin(lane, "one", 30.0, tried) == [1]
    assert await jobs.begin(lane, "one", 30.0, [replace(tried[0], is_refused_before=True)]) == [2]
    assert await jobs.settle(lane, "one", [Settled("c1:a", Settlement.TAKEN, 1, 0.0, Taken(1, 90, counted=True))])
    unmapped = [PlannedRevision("c1:z", 9, 8, 9, only_if_sent=True)]
    assert await jobs.plan(lane, unmapped) == [Plan.NEVER_SENT]
    waits = Settled("c1:b", Settlement.AGAIN, 2, 600.0, is_mending=True)
    assert await jobs.settle(lane, "one", [waits]) == [True]
    states = DestinationStates(client)
    await states.release(lane)
    assert [job.conversion_id for job in (await jobs.lease(lane, "one", 30.0, 10)).jobs] == ["c1:b"]
    assert (await states.take_quota(lane, 600, 3))[0] == 3
    assert await states.slow_down(lane) == 0.5
    assert (await states.gates.admit(Gate("credential", 600), 3, 1.0))[0] == 3
    assert await states.gates.record(Gate("credential", 600), is_ok=False, call_seconds=0.1) == 0
    deal, holds = Said("digest", "c1:a 1"), ObjectHolds(client)
    assert await holds.hold(lane, [deal, Said("another", "c1:b 2")], 60.0) == [0, 0]
    assert await holds.renew(lane, [deal, Said("another", "c1:b 2")], 60.0)
    await holds.give_up(lane, [deal, Said("another", "c1:b 2")], 60.0)
    await holds.let_go(lane, [deal, Said("another", "c1:b 2")])
    assert not await client.exists(job_keys.object_hold("shop", "crm", "digest"))
    claims = FirstClaims(client)
    await client.hset(job_keys.click_seconds("shop", "crm", "old y"), "9", "c1:a")
    wanted = [
        WantedSecond(one, digest, f"old {digest}", 9, 1, 8, 9)
        for one, digest in (("c1:a", "x"), ("c1:b", "x"), ("c1:a", "y"), ("c1:b", "y"), ("c1:c", "x"))
    ]
    assert await claims.seconds(lane, wanted) == [9, 8, 9, 8, None]
    kind = ObjectKind("account", "")
    assert await claims.known_names(lane, [LeadName(("id", "order"), kind, "")]) == [("", "")]
    leads = [LeadName(("id", "id"), kind, "L"), LeadName(("id", "order"), kind, "1001")]
    assert await claims.names(lane, leads) == ["L", "L"]
    moved = LeadName(("id", "order"), kind, "1001", lost=("L", "L"))
    assert (await claims.names(lane, [moved]), await claims.names(lane, leads[:1])) == (["1001"], ["1001"])
    assert await claims.names(lane, [LeadName(("id", "order"), kind, "L", lost=("1001", "1001"))]) == ["L"]
    await client.set(job_keys.old_lead_name("shop", "crm", kind.old_digest("id")), "L", ex=60)
    names, other = NamesInJobs(client), Lane("shop", "other")
    assert await names.old_lanes() == {lane}
    assert (await names.convert(lane, {kind}, ["id", "order"]), await names.drop_old(lane, unless_told_seconds=0)) == (
        1,
        0,
    )
    assert await names.forget({lane, other}, [family_id("id"), family_id("order")], ["c1:a"]) >= 2
    assert await claims.known_names(lane, leads) == [("", "")] * 2
    again = [Wish("c1:a", 1), Wish("c1:c", 3, risks_duplicates=True)]
    assert await ReplayedJobs(client).plan(lane, again, 4) == [Replayed.KNOWN, Replayed.PLANNED]
    refused = [Refusal("c1:a", 1, is_creation=True)]
    assert await TakingBack(client).take_back(lane, refused, 5, NEVER_AGAIN) == [TakenBack.DONE]


async def keep_claims_and_letters(client: redis.asyncio.Redis) -> None:
    """Restores claims, puts a dead letter back, makes and wraps data keys."""
    lost = [
        LostClaim(event_digest("shop", str(number)), b"ppp", Kind.ACCEPTED, order_digest("shop", "a", "", "o"))
        for number in range(20)
    ]
    orders = {order_digest("shop", "a", "", str(number)): {1: b"v" * 3} for number in range(20)}
    assert await ClaimLookup(client, Placement(AN_EPOCH)).restore(lost, orders)
    letters = DeadLetters(client, client, AN_EPOCH.shards)
    await client.xadd(event_dead_letters(0, RECORD_GROUP), {"group": RECORD_GROUP, "stream": event_log(0, "live")})
    assert await letters.replace(await anext(aiter(letters.all())), b"less")
    await client.xadd(event_dead_letters(0, ATTRIBUTE_GROUP), {"payload": b"less"})
    assert await letters.replay(lambda letter: letter.group == RECORD_GROUP) == 1
    assert [letter async for letter in letters.all()] == []
    for page in ("first", "second", "second"):
        await OldPaths(client, AN_EPOCH.shards).add_people("shop", page, {b"path": 1})
    names = [("shop", f"{number:016d}".encode()) for number in range(20)]
    data_keys = DataKeys(client, AN_EPOCH.shards)
    await data_keys.obtain(dict.fromkeys(names, Candidate(b"one", 0)), 1000)
    await data_keys.rewrap(dict.fromkeys(names, (b"one", b"two")))
    assert set((await data_keys.read(names)).values()) == {b"two"}
    assert await data_keys.bury(dict.fromkeys(names, 1)) == 20


async def count_at_the_door(client: redis.asyncio.Redis) -> None:
    """Counts conversions of many senders, and takes from a rate."""
    reason = Reason(ReasonCode.VELOCITY, "", "Too many.")
    counts = [Count(bytes([number] * 16), b"m", Limit(1, 1000), 1, reason) for number in range(20)]
    assert await Velocity(client).exceeded(counts) == [False] * 20
    assert await SharedRates(client, SystemClock()).take("key:k1:events", 10, 1) == 0


async def test_every_script_runs_on_redis_cluster(node: str, clickhouse_url: str, workspace: str) -> None:
    async with running_admission(node) as admission:
        sent = [Sent("b", order="o", rank=1), Sent("s", order="o", rank=2), *(Sent(str(n)) for n in range(40))]
        outcomes = await admission.admit(a_request(workspace, sent))
        assert len(outcomes) == 42
        for order, verdict in (("was", VERDICT_ACCEPTED), ("is", VERDICT_DUPLICATE)):  # it reads otherwise now
            ordered = [Sent(f"ordered-{n}", order=f"{order}{n}") for n in range(20)]
            assert {told.verdict for told in await admission.admit(a_request(workspace, ordered))} == {verdict}
        barred = [Sent(f"barred-{n}", order=f"barred{n}") for n in range(20)]
        async with connect(node, name="tests") as client:
            await bar(client, workspace, barred)
        assert {told.verdict for told in await admission.admit(a_request(workspace, barred))} == {VERDICT_ACCEPTED}
    await attribute(node, clickhouse_url, workspace)
    async with connect(node, name="tests") as client:
        sweeper = Sweeper(client, AN_EPOCH, random.Random(1))
        for _ in range(sweeper.steps):
            await sweeper.sweep_next()
        await deliver(client)
        await keep_claims_and_letters(client)
        await count_at_the_door(client)
        await StreamConsumers.of_event_log(client, AN_EPOCH.shards).remove_idle()
        known = [name for name in SCRIPTS if (await client.script_exists(Script(name).sha))[0]]
    assert set(known) == SCRIPTS
