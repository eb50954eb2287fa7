"""Backfill: what was accepted long ago is known, though its claim is past its life."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
import redis.asyncio
from pydantic import SecretStr

from tests.support.admissions import (
    AN_EPOCH,
    INTERNAL_TOKEN,
    Sent,
    Told,
    a_request,
    age_claims,
    dedup_process,
    outcomes_of,
    prepare_and_vouch,
    running_admission,
    running_dedup,
    stored,
    sweep_all,
    verdicts_of,
)
from tests.support.eventually import eventually_async
from tests.support.stores import run_apart
from tributary.dedup.v1 import dedup_service_pb2, dedup_service_pb2_grpc
from tributary.dedup.v1.event_fate_pb2 import EventFate
from tributary.event.v1 import verdict_pb2
from tributary_cli.stack.services import ServiceProcess
from tributary_domain.claim_records import payload_mark
from tributary_domain.ids import conversion_id, event_digest, order_digest
from tributary_runtime.channels import open_channel
from tributary_runtime.remote_errors import error_of
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.redis.claim_layout import REGISTER, UNIT_SECONDS, Kind, Placement, pack_claim
from tributary_storage.redis.claim_lookup import ClaimLookup, LostClaim
from tributary_storage.redis.client import connect
from tributary_storage.redis.losses import confirm_losses

if TYPE_CHECKING:
    Stub = dedup_service_pb2_grpc.DedupServiceAsyncStub  # the stubs' own name for it; not there when running

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
DUPLICATE = verdict_pb2.VERDICT_DUPLICATE
CONFLICT = verdict_pb2.VERDICT_CONFLICT
REJECTED = verdict_pb2.VERDICT_REJECTED
QUARANTINED = verdict_pb2.VERDICT_QUARANTINED
UNDECIDED = verdict_pb2.VERDICT_UNDECIDED

FILE = [
    Sent("plain"),
    Sent("bot", door=QUARANTINED),
    Sent("order-browser", order="o-1", rank=1),
    Sent("order-backend", order="o-1", rank=2, value=90),
    Sent("order-alone", order="o-2", rank=2),
    Sent("bot-order", order="o-3", door=QUARANTINED),
]


@pytest.fixture(scope="module")
def dedup(
    module_redis_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    with running_dedup(tmp_path_factory.mktemp("dedup"), module_redis_url, clickhouse_url) as process:
        yield process


@pytest.fixture
async def stub(dedup: ServiceProcess) -> AsyncIterator[Stub]:
    async with open_channel(dedup.address, SecretStr(INTERNAL_TOKEN)) as channel:
        yield dedup_service_pb2_grpc.DedupServiceStub(channel)


@pytest.fixture
async def log(module_redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(module_redis_url, name="tests") as client:
        yield client


async def backfill(stub: Stub, workspace: str, events: Sequence[Sent]) -> list[Told]:
    request = a_request(workspace, events, dedup_service_pb2.LANE_BULK, backfill=True)
    return outcomes_of(await stub.AdmitEvents(request))


def verdicts(outcomes: Sequence[Told]) -> list[int]:
    return [outcome.verdict for outcome in outcomes]


async def recorded(clickhouse_url: str, workspace: str, count: int) -> None:
    """Waits until ClickHouse has the events of a workspace."""
    async with clickhouse_client.connect(clickhouse_url, name="tests", timeout_seconds=60) as clickhouse:

        async def all_there() -> None:
            statement = "SELECT count() FROM events_by_id FINAL WHERE workspace = %(w)s"
            assert await clickhouse.execute(statement, {"w": workspace}) == [(count,)]

        await eventually_async(all_there)


async def expire(log: redis.asyncio.Redis, days: int) -> None:
    """Lets time pass and the sweeper do its work."""
    await age_claims(log, days)
    assert await sweep_all(log) > 0


async def test_a_file_sent_again_after_its_claims_expired_admits_nothing_twice(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str
) -> None:
    first = await backfill(stub, workspace, FILE)
    assert verdicts(first) == [ACCEPTED, QUARANTINED, ACCEPTED, DUPLICATE, ACCEPTED, QUARANTINED]
    await recorded(clickhouse_url, workspace, len(FILE))
    await expire(log, 402)
    before = await stored(log)
    assert (before.claims, before.orders) == (0, 0)

    again = await backfill(stub, workspace, FILE)

    assert verdicts(again) == [DUPLICATE] * len(FILE)
    assert [outcome.first_verdict for outcome in again] == [
        *(ACCEPTED, QUARANTINED, ACCEPTED, ACCEPTED, ACCEPTED, QUARANTINED)
    ]
    assert [outcome.first_accept_micros for outcome in again] == [first[at].first_accept_micros for at in (0, 1, 2)] + [
        again[3].first_accept_micros,  # a merged observation is answered with the order's time at first
        *(first[at].first_accept_micros for at in (4, 5)),
    ]
    after = await stored(log)
    assert after.letters == before.letters  # nothing was appended
    assert after.counted["DUPLICATE"] == before.counted["DUPLICATE"] + len(FILE)


async def test_orders_whose_events_expired_but_not_they_are_still_one_order(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str
) -> None:
    await backfill(stub, workspace, [Sent("first", order="o-1")])
    await recorded(clickhouse_url, workspace, 1)
    await expire(log, 100)
    again = await backfill(stub, workspace, [Sent("first", order="o-1"), Sent("other", order="o-1")])
    assert verdicts(again) == [DUPLICATE, DUPLICATE]
    assert [outcome.reason for outcome in again] == [0, verdict_pb2.REASON_CODE_MERGED_OBSERVATION]


async def test_an_expired_order_is_known_under_another_event_id_and_keeps_its_value(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str
) -> None:
    first = await backfill(
        stub,
        workspace,
        [Sent("first", order="o-1", rank=1, value=100), Sent("ranked", order="o-1", rank=4, value=80)],
    )
    await recorded(clickhouse_url, workspace, 2)
    await expire(log, 402)
    events = [
        Sent("same-value", order="o-1", rank=1, value=100),
        Sent("backend", order="o-1", rank=2, value=70),
        Sent("other-value", order="o-1", rank=1, value=7),
        Sent("ranked-alike", order="o-1", rank=4, value=7),
    ]
    again = await backfill(stub, workspace, events)
    assert verdicts(again) == [DUPLICATE, DUPLICATE, CONFLICT, CONFLICT]
    assert again[0].first_accept_micros == first[0].first_accept_micros
    assert again[2].reason == verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS


async def test_an_expired_refund_is_known_by_its_credit_note_whoever_reports_it(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str
) -> None:
    refund = Sent("psp", order="o-1", refund="note-1", value=10)
    assert verdicts(await backfill(stub, workspace, [Sent("order", order="o-1"), refund])) == [ACCEPTED] * 2
    await recorded(clickhouse_url, workspace, 2)
    await expire(log, 402)
    events = [
        replace(refund, event_id="erp"),
        replace(refund, event_id="wrong", value=7),
        replace(refund, event_id="another", refund="note-2"),
        refund,
    ]
    again = await backfill(stub, workspace, events)
    assert verdicts(again) == [DUPLICATE, CONFLICT, ACCEPTED, DUPLICATE]
    assert [outcome.reason for outcome in again] == [
        verdict_pb2.REASON_CODE_MERGED_OBSERVATION,
        verdict_pb2.REASON_CODE_ORDER_VALUE_DIFFERS,
        0,
        0,
    ]


@pytest.mark.parametrize("days", [402, 100], ids=["with its order", "alone"])
async def test_an_expired_refund_is_known_though_it_is_recorded_as_one_of_the_order_of_the_event_that_it_names(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str, days: int
) -> None:
    order = Sent("203.0.113.7-1", order="o-1")
    refund = Sent("psp", order="o-1", refund="note-1", value=10, of_event=order.event_id)
    assert verdicts(await backfill(stub, workspace, [order])) == [ACCEPTED]
    await recorded(clickhouse_url, workspace, 1)
    assert verdicts(await backfill(stub, workspace, [refund])) == [ACCEPTED]
    await recorded(clickhouse_url, workspace, 2)
    await expire(log, days)
    events = [
        replace(refund, event_id="erp"),
        replace(refund, event_id="wrong", value=7),
        replace(refund, event_id="another", refund="note-2"),
        refund,
    ]
    assert verdicts(await backfill(stub, workspace, events)) == [DUPLICATE, CONFLICT, ACCEPTED, DUPLICATE]


async def test_an_expired_id_with_another_payload_is_a_conflict(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str
) -> None:
    await backfill(stub, workspace, [Sent("id"), Sent("order-id", order="o-1")])
    await recorded(clickhouse_url, workspace, 2)
    await expire(log, 402)
    events = [Sent("id", payload="another"), Sent("order-id", order="o-1", payload="another"), Sent("new")]
    assert verdicts(await backfill(stub, workspace, events)) == [CONFLICT, CONFLICT, ACCEPTED]


async def test_what_an_earlier_version_stored_under_the_id_that_was_sent_is_known_though_a_token_stands_for_it_now(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str
) -> None:
    stored = [Sent("203.0.113.7-1"), Sent("203.0.113.7-2", order="o-1"), Sent("203.0.113.7-3")]
    first = await backfill(stub, workspace, stored)
    await recorded(clickhouse_url, workspace, 3)
    await expire(log, 402)
    events = [
        *(replace(sent, stored_id=f"x1:{sent.event_id[-1]}") for sent in stored[:2]),
        replace(stored[2], stored_id="x1:3", payload="another"),
        Sent("203.0.113.7-4", stored_id="x1:4"),
    ]
    again = await backfill(stub, workspace, events)
    assert verdicts(again) == [DUPLICATE, DUPLICATE, CONFLICT, ACCEPTED]
    assert [one.first_accept_micros for one in again[:3]] == [one.first_accept_micros for one in first]
    await recorded(clickhouse_url, workspace, 4)
    await expire(log, 402)
    assert verdicts(await backfill(stub, workspace, events)) == [DUPLICATE, DUPLICATE, CONFLICT, DUPLICATE]


async def test_a_live_event_is_decided_by_claims_alone(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str
) -> None:
    """What the accept window keeps out of the live way: without it this would be the harm."""
    await backfill(stub, workspace, [Sent("id")])
    await recorded(clickhouse_url, workspace, 1)
    await expire(log, 402)
    live = await stub.AdmitEvents(a_request(workspace, [Sent("id")]))
    assert verdicts_of(live) == [ACCEPTED]


async def test_what_a_cut_off_restoration_left_is_completed(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str
) -> None:
    await backfill(stub, workspace, [Sent("id", order="o-1")])
    await recorded(clickhouse_url, workspace, 1)
    await expire(log, 402)
    sent = Sent("id", order="o-1")
    lookup, placement = ClaimLookup(log, Placement(AN_EPOCH)), Placement(AN_EPOCH)
    whole = LostClaim(
        event_digest(workspace, "id"), payload_mark(1, sent.payload_digest), Kind.ACCEPTED, sent.order_digest(workspace)
    )
    await lookup.restore([whole], {})
    home = placement.shard(sent.order_digest(workspace))
    async for bucket in log.scan_iter(match=f"trb:{{l{home}}}:claims:*"):
        for field, value in (await log.hgetall(bucket)).items():
            if value[5] >> 6 != Kind.REGISTERED:
                await log.hdel(bucket, field)
    assert verdicts(await backfill(stub, workspace, [Sent("id", order="o-1")])) == [DUPLICATE]


async def test_what_was_registered_under_an_order_of_another_shard_since_is_known_where_it_was_decided(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str
) -> None:
    """As where a name is cleaned in another way since, and a second step never came."""
    await backfill(stub, workspace, [Sent("id", order="was")])
    await recorded(clickhouse_url, workspace, 1)
    await expire(log, 402)
    placement, digest = Placement(AN_EPOCH), event_digest(workspace, "id")
    homes = {number: placement.shard(Sent("id", order=f"is{number}").order_digest(workspace)) for number in range(40)}
    was = placement.shard(Sent("id", order="was").order_digest(workspace))
    number, home = next((number, home) for number, home in homes.items() if home != was)
    sent = Sent("id", order=f"is{number}")
    claim = pack_claim(digest, payload_mark(1, sent.payload_digest), REGISTER[home])
    units = int((await log.time())[0]) // UNIT_SECONDS
    field, value = claim[:7], (units % 65_536).to_bytes(2) + claim[7:]
    await log.hset(placement.claims_key(digest, placement.shard(digest)), field, value)
    assert verdicts(await backfill(stub, workspace, [sent])) == [DUPLICATE]


@contextmanager
def after_a_loss(directory: Path, redis_url: str, clickhouse_url: str) -> Iterator[ServiceProcess]:
    """Empties the log, confirms it, and runs a dedup on what is left."""

    async def lose() -> None:
        async with connect(redis_url, name="tests") as client:
            await client.flushdb()
            await prepare_and_vouch(redis_url)
            await confirm_losses({"log": client}, ["log"], AN_EPOCH.shards)

    run_apart(lose())
    process = dedup_process(directory, redis_url, clickhouse_url)
    try:
        process.start()
        process.wait_until_ready()
        yield process
    finally:
        process.kill()


async def test_what_a_lost_log_had_claimed_is_known_from_clickhouse_live_too(
    stub: Stub, workspace: str, redis_url: str, clickhouse_url: str, tmp_path: Path
) -> None:
    refund = Sent("psp", order="o-1", refund="note-1", value=10)
    await stub.AdmitEvents(a_request(workspace, [*FILE, refund]))
    await recorded(clickhouse_url, workspace, len(FILE) + 1)
    again = [
        Sent("plain"),
        Sent("order-browser", order="o-1", rank=1),
        Sent("plain", payload="another"),
        Sent("order-erp", order="o-1", rank=2, value=70),
        replace(refund, event_id="erp"),
        Sent("bad", door=REJECTED),
        Sent("new"),
        Sent("new-order", order="o-9"),
    ]
    with after_a_loss(tmp_path, redis_url, clickhouse_url) as process:
        async with open_channel(process.address, SecretStr(INTERNAL_TOKEN)) as channel:
            survivor: Stub = dedup_service_pb2_grpc.DedupServiceStub(channel)
            told = verdicts_of(await survivor.AdmitEvents(a_request(workspace, again)))
            assert told == [DUPLICATE, DUPLICATE, CONFLICT, CONFLICT, DUPLICATE, REJECTED, ACCEPTED, ACCEPTED]
            told = verdicts_of(await survivor.AdmitEvents(a_request(workspace, again)))
            assert told == [DUPLICATE, DUPLICATE, CONFLICT, CONFLICT, DUPLICATE, REJECTED, DUPLICATE, DUPLICATE]


async def test_after_a_loss_only_what_has_no_claim_waits_for_clickhouse(
    workspace: str, redis_url: str, tmp_path: Path
) -> None:
    with after_a_loss(tmp_path, redis_url, "clickhouse://default@127.0.0.1:9/tributary") as process:
        async with running_admission(redis_url) as admission:
            await admission.admit(a_request(workspace, [Sent("known"), Sent("known-order", order="o-1")]))
        async with open_channel(process.address, SecretStr(INTERNAL_TOKEN)) as channel:
            stub: Stub = dedup_service_pb2_grpc.DedupServiceStub(channel)
            events = [
                *(Sent("new"), Sent("known"), Sent("bad", door=REJECTED), Sent("new-order", order="o-2")),
                *(Sent("known-order", order="o-1"), Sent("known", payload="another")),
            ]
            response = await stub.AdmitEvents(a_request(workspace, events))
            assert verdicts_of(response) == [UNDECIDED, DUPLICATE, REJECTED, UNDECIDED, DUPLICATE, CONFLICT]
            assert response.retry_delay.seconds
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.AdmitEvents(a_request(workspace, [Sent("new")]))
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_without_clickhouse_a_backfill_waits_and_live_events_do_not(
    workspace: str, redis_url: str, tmp_path: Path
) -> None:
    await prepare_and_vouch(redis_url)
    alone = dedup_process(tmp_path, redis_url, "clickhouse://default@127.0.0.1:9/tributary")
    try:
        alone.start()
        alone.wait_until_ready()
        async with open_channel(alone.address, SecretStr(INTERNAL_TOKEN)) as channel:
            stub: Stub = dedup_service_pb2_grpc.DedupServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await backfill(stub, workspace, [Sent("id")])
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            assert error_of(raised.value).retry_delay_seconds == 5
            live = await stub.AdmitEvents(a_request(workspace, [Sent("id")]))
            assert verdicts_of(live) == [ACCEPTED]
            again = await backfill(stub, workspace, [Sent("id")])  # a claim is enough
            assert verdicts(again) == [DUPLICATE]
    finally:
        alone.stop()


async def test_ids_are_looked_up_through_claims_and_then_through_clickhouse(
    stub: Stub, workspace: str, log: redis.asyncio.Redis, clickhouse_url: str
) -> None:
    events = [*FILE, Sent("bad", door=REJECTED), Sent("plain", payload="another"), Sent("o", order="o-1", value=7)]
    sent = outcomes_of(await stub.AdmitEvents(a_request(workspace, events)))
    assert verdicts(sent)[-3:] == [REJECTED, CONFLICT, CONFLICT]
    ids = ["plain", "bot", "order-browser", "order-backend", "bad", "o", "nobody", "plain"]

    async def look_up() -> list[EventFate]:
        request = dedup_service_pb2.LookupEventsRequest(workspace=workspace, event_ids=ids)
        return list((await stub.LookupEvents(request)).fates)

    at_once = await look_up()
    assert [fate.event_id for fate in at_once] == ids
    known = [fate.verdict for fate in at_once][:4]
    assert known == [ACCEPTED, QUARANTINED, ACCEPTED, DUPLICATE]
    await recorded(clickhouse_url, workspace, len(FILE))
    await expire(log, 402)

    async def all_told() -> None:
        fates = await look_up()
        told = [fate.verdict for fate in fates]
        assert told == [ACCEPTED, QUARANTINED, ACCEPTED, DUPLICATE, REJECTED, CONFLICT, 0, ACCEPTED]
        plain, browser, bad = fates[0], fates[2], fates[4]
        assert plain.first_accept_time.ToMicroseconds() == sent[0].first_accept_micros
        assert not plain.is_time_rounded
        refusal = plain.refusals[0]
        assert refusal.reasons[0].code == verdict_pb2.REASON_CODE_PAYLOAD_DIFFERS
        of_order = conversion_id(order_digest(workspace, "purchase", "", "o-1"))
        assert browser.conversion_id == of_order
        assert not bad.HasField("first_accept_time")

    await eventually_async(all_told)


async def test_a_thousand_ids_are_looked_up_at_once_and_one_more_is_refused(stub: Stub, workspace: str) -> None:
    request = dedup_service_pb2.LookupEventsRequest(workspace=workspace, event_ids=[f"e-{n}" for n in range(1000)])
    assert len((await stub.LookupEvents(request)).fates) == 1000
    request.event_ids.append("one-more")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.LookupEvents(request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
