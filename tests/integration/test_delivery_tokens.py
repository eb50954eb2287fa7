"""Access tokens that expire: renewed once, and what could not be sent meanwhile is not lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.support.batches import (
    REFRESH_TOKEN,
    TOKEN,
    FakeTokens,
    a_batch_destination,
    a_purchase,
    oauth,
    publish,
    running_fake,
)
from tests.support.delivery import Rig, a_rig
from tests.support.eventually import eventually_async
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_PENDING,
    OUTCOME_CLASS_CONFIG,
    OUTCOME_CLASS_OK,
    OUTCOME_CLASS_RETRY,
)
from tributary_cli.demo.fakes.fake import Reply
from tributary_cli.demo.fakes.server import FakeServer, Fault
from tributary_delivery.destinations.oauth_tokens import ObtainedToken
from tributary_delivery.lane import Pace
from tributary_domain.backoff import Backoff
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.clock import SystemClock
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.shared_tokens import SharedTokens


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


async def is_idle(rig: Rig, lane: Lane) -> bool:
    return await rig.stores.jobs.waiting(lane) == 0


@pytest.mark.parametrize("kind", ["google", "linkedin"])
async def test_a_token_that_expired_is_renewed_and_everything_counts_once(rig: Rig, workspace: str, kind: str) -> None:
    lane = Lane(workspace, kind)
    with running_fake(kind) as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        async with rig.running_lane(lane, a_batch_destination(kind, server.url, **oauth(tokens.url))) as runner:
            await publish(rig, lane, [a_purchase(lane, 0)])
            await eventually_async(lambda: is_idle(rig, lane))
            server.fake.token = tokens.fake.token = "the-next-token"
            await publish(rig, lane, [a_purchase(lane, number) for number in (1, 2)])
            runner.wake()
            await eventually_async(lambda: is_idle(rig, lane))
        assert server.fake.counted == {f"p-c1:{number:04}": 1 for number in range(3)}
        assert len(tokens.asks) == 2, "one when it was first needed, one when it was refused"
    [delivery] = await rig.deliveries(lane, "c1:0001")
    assert (delivery.state, delivery.attempts) == (DELIVERY_STATE_ACCEPTED, 1)


async def test_a_renewed_token_that_is_refused_too_pauses_the_destination(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "google")
    await publish(rig, lane, [a_purchase(lane)])
    with running_fake("google") as server, FakeServer(FakeTokens("never-the-right-one")) as tokens:
        async with rig.running_lane(lane, a_batch_destination("google", server.url, **oauth(tokens.url))):
            await eventually_async(lambda: rig.deliveries(lane, "c1:0000"))
        assert (len(server.asks), len(tokens.asks)) == (2, 2)
    [delivery] = await rig.deliveries(lane, "c1:0000")
    assert delivery.outcome == OUTCOME_CLASS_CONFIG
    assert "never-the-right-one" not in str(delivery)


async def test_where_no_token_can_be_had_nothing_is_sent_and_all_is_sent_later(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "google")
    await publish(rig, lane, [a_purchase(lane)])
    with running_fake("google") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        tokens.faults.append(Fault(takes=False))
        async with rig.running_lane(lane, a_batch_destination("google", server.url, **oauth(tokens.url))):
            await eventually_async(lambda: is_idle(rig, lane))
        assert server.fake.accepted == 1


async def test_a_wrong_refresh_token_pauses_the_destination_until_there_is_another(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "google")
    await publish(rig, lane, [a_purchase(lane)])
    with running_fake("google") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        wrong = a_batch_destination("google", server.url, **oauth(tokens.url, "another"))
        async with rig.running_lane(lane, wrong):
            await eventually_async(lambda: is_paused(rig, lane))
        assert server.asks == []
        paused = await rig.stores.states.read(lane)
        assert paused.pause_reason == "No token: HTTP 400, invalid_grant."
        # A restart alone ends no pause; one with another token, as it takes where the file names the environment, does.
        async with rig.running_lane(lane, wrong):
            pass
        assert await rig.stores.states.read(lane) == paused
        async with rig.running_lane(lane, a_batch_destination("google", server.url, **oauth(tokens.url))):
            await eventually_async(lambda: is_idle(rig, lane))
        assert (server.fake.accepted, (await rig.stores.states.read(lane)).paused_until_millis) == (1, 0)


async def test_a_token_that_was_revoked_is_not_used_once_more_when_somebody_resumes_the_destination(
    rig: Rig, workspace: str
) -> None:
    lane = Lane(workspace, "linkedin")
    with running_fake("linkedin") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        async with rig.running_lane(lane, a_batch_destination("linkedin", server.url, **oauth(tokens.url))) as runner:
            await publish(rig, lane, [a_purchase(lane)])
            await eventually_async(lambda: is_idle(rig, lane))
            server.fake.token = tokens.fake.token = "the-next-token"
            server.faults.append(Fault(takes=False, reply=Reply(401, {"code": "REVOKED_ACCESS_TOKEN"})))
            await publish(rig, lane, [a_purchase(lane, 1)])
            runner.wake()
            await eventually_async(lambda: is_paused(rig, lane))
            assert len(tokens.asks) == 1, "the application may have been revoked: it is not asked for at once"
            await rig.stores.states.release(lane)
            runner.wake()
            await eventually_async(lambda: is_idle(rig, lane))
        assert [ask.headers["authorization"] for ask in server.asks] == [
            *(f"Bearer {TOKEN}", f"Bearer {TOKEN}", "Bearer the-next-token")
        ]
        assert (len(tokens.asks), server.fake.accepted) == (2, 2)


async def is_paused(rig: Rig, lane: Lane) -> bool:
    return (await rig.stores.states.read(lane)).paused_until_millis > 0


async def test_a_refresh_token_that_changes_with_each_use_is_kept_for_all_and_after_a_restart(
    rig: Rig, workspace: str
) -> None:
    with running_fake("linkedin") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        assert isinstance(tokens.fake, FakeTokens)
        tokens.fake.rotates = True
        settings = a_batch_destination("linkedin", server.url, **oauth(tokens.url))
        first, second = (obtained(rig, settings) for _ in range(2))
        assert await asyncio.gather(*(one.get() for one in (first, second, first, second))) == [TOKEN] * 4
        assert len(tokens.asks) == 1, "one asks for all processes"
        tokens.fake.token = "the-next-token"
        for one in (first, second):
            assert one.refuse(TOKEN)
            assert await one.get() == "the-next-token"
        given = oauth(tokens.url)
        given["oauth"] |= {"client_secret": {"value": "another-secret"}}  # is changed now and then
        restarted = obtained(rig, a_batch_destination("linkedin", server.url, **given))
        assert restarted.refuse("the-next-token")
        await restarted.get()
        assert (len(tokens.asks), tokens.fake.refused) == (3, 0)
        for one in (first, second, restarted):
            await one.aclose()
    secrets = (TOKEN, "the-next-token", REFRESH_TOKEN, "its-secret")
    for name in await rig.redis.keys("trb:{k:*}:token:*"):
        held = name + (await rig.redis.get(name))
        assert not any(secret.encode() in held for secret in secrets), "in the clear"


async def test_a_refresh_token_that_was_kept_and_ended_gives_way_to_the_one_in_the_file(
    rig: Rig, workspace: str
) -> None:
    with FakeServer(FakeTokens(TOKEN)) as tokens:
        assert isinstance(tokens.fake, FakeTokens)
        tokens.fake.rotates = True
        one = obtained(rig, a_batch_destination("linkedin", **oauth(tokens.url)))
        await one.get()
        tokens.fake.rotates, tokens.fake.holds = False, REFRESH_TOKEN
        one.refuse(TOKEN)
        tokens.fake.token = "the-next-token"
        assert await one.get() == "the-next-token"
        await one.aclose()


async def test_salesforce_is_called_where_its_token_says(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "salesforce")
    await publish(rig, lane, [a_purchase(lane)])
    with running_fake("salesforce") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        assert isinstance(tokens.fake, FakeTokens)
        tokens.fake.instance_url = f"{server.url}/"
        async with rig.running_lane(lane, a_batch_destination("salesforce", **oauth(tokens.url))):
            await eventually_async(lambda: is_idle(rig, lane))
        assert server.fake.accepted == 1


def obtained(rig: Rig, settings: BatchDestination) -> ObtainedToken:
    """Returns the tokens of a process of its own."""
    assert settings.oauth is not None
    about = {"call_seconds": 2.0, "clock": SystemClock(), "tls": rig.tls}
    return ObtainedToken(settings.oauth, settings, "", SharedTokens(rig.redis), **about)  # type: ignore[arg-type]


@dataclass
class Late(SystemClock):
    """The machine's clock, by which everything takes so much longer."""

    late_seconds: float = 0.0

    def monotonic_seconds(self) -> float:
        return super().monotonic_seconds() + self.late_seconds


async def lose(rig: Rig, lane: Lane, *conversion_ids: str) -> None:
    """Has another process take jobs, as it does when their lease is over."""
    for one in conversion_ids:
        await rig.redis.hset(job_keys.job(lane.workspace, lane.destination, one), "l", "another")


async def test_what_somebody_else_took_while_a_token_was_waited_for_is_not_sent_here(rig: Rig, workspace: str) -> None:
    lane, over = Lane(workspace, "google"), threading.Event()
    await publish(rig, lane, [a_purchase(lane, number) for number in range(2)])
    clock = Late()
    with running_fake("google") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        tokens.faults.append(Fault(takes=True, reply=None, until=over))
        settings = a_batch_destination("google", server.url, **oauth(tokens.url))
        sender = rig.senders(5.0).make(lane, settings)
        async with rig.running_lane(lane, settings, sender=sender, clock=clock, pace=Pace(16, 5.0, 4.0)):
            try:
                await eventually_async(lambda: tokens.asks)
                await lose(rig, lane, "c1:0000")
                clock.late_seconds = 3.0
            finally:
                over.set()
            await eventually_async(lambda: rig.deliveries(lane, "c1:0001"))
            assert await rig.deliveries(lane, "c1:0000") == [], "whoever has it says what becomes of it"
        assert "p-c1:0000" not in server.fake.counted


async def test_the_second_call_with_another_token_is_within_the_quota(rig: Rig, workspace: str) -> None:
    lane = Lane(workspace, "google")
    await publish(rig, lane, [a_purchase(lane)])
    quota = {"quota": {"requests_per_minute": 4}}  # one at once
    with running_fake("google") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        server.fake.token = "the-next-token"
        async with rig.running_lane(lane, a_batch_destination("google", server.url, **oauth(tokens.url), **quota)):
            await eventually_async(lambda: rig.deliveries(lane, "c1:0000"))
        assert len(server.asks) == 1
    [delivery] = await rig.deliveries(lane, "c1:0000")
    assert (delivery.state, delivery.outcome) == (DELIVERY_STATE_PENDING, OUTCOME_CLASS_RETRY)


async def test_a_call_that_waited_for_a_token_takes_a_place_in_the_quota_of_when_it_is_made(
    rig: Rig, workspace: str
) -> None:
    await called_late(rig, Lane(workspace, "google"), 1_000_000)
    [delivery] = await rig.deliveries(Lane(workspace, "google"), "c1:0000")
    assert (delivery.outcome, delivery.attempts) == (OUTCOME_CLASS_OK, 1)


async def test_a_call_whose_place_in_the_quota_is_over_comes_again_with_the_next_place(
    rig: Rig, workspace: str
) -> None:
    """It was no attempt: nothing is counted, nothing is written, and nothing waits longer for it than for the quota."""
    await called_late(rig, Lane(workspace, "google"), 4)  # one at once
    wait_seconds = (
        await rig.redis.zscore(job_keys.due(workspace, "google"), "c1:0000") / 1000 - SystemClock().unix_micros() / 1e6
    )
    assert wait_seconds <= 21
    assert await rig.redis.hmget(job_keys.job(workspace, "google", "c1:0000"), "a", "u", "c") == [b"0", b"0", b"0"]
    assert await rig.deliveries(Lane(workspace, "google"), "c1:0000") == []


async def called_late(rig: Rig, lane: Lane, per_minute: int) -> None:
    """Has a call wait for its token until its place in the quota is over; returns when its job was settled."""
    over, clock = threading.Event(), Late()
    await publish(rig, lane, [a_purchase(lane)])

    async def is_settled() -> bool:
        return not await rig.redis.hexists(job_keys.job(lane.workspace, lane.destination, "c1:0000"), "l")

    with running_fake("google") as server, FakeServer(FakeTokens(TOKEN)) as tokens:
        tokens.faults.append(Fault(takes=True, reply=None, until=over))
        quota = {"quota": {"requests_per_minute": per_minute}}
        settings = a_batch_destination("google", server.url, **oauth(tokens.url), **quota)
        own = {"sender": rig.senders(5.0).make(lane, settings), "clock": clock, "pace": Pace(16, 5.0, 4.0)}
        later = {"backoff": Backoff(86_400.0, 86_400.0), "horizon_seconds": 1e6}
        async with rig.running_lane(lane, settings, **own, **later):  # type: ignore[arg-type]
            try:
                await eventually_async(lambda: tokens.asks)
                clock.late_seconds = 1.0
            finally:
                over.set()
            await eventually_async(is_settled)
        assert len(server.asks) == (per_minute > 4)
