"""Quotas shared by replicas: in no sliding minute more calls than the limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from tributary_storage.redis import job_keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates

LANE = Lane("shop", "crm")
MINUTE = 60.0


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="test") as opened:
        yield opened


async def spend(client: redis.asyncio.Redis, limit: int, seconds: float) -> int:
    """Takes all that the quota gives within `seconds`, as if they passed now: the stored time is moved instead."""
    states, granted, passed = DestinationStates(client), 0, 0.0
    key = job_keys.quota(LANE.workspace, LANE.destination)
    begin = asyncio.get_running_loop().time()
    while passed + asyncio.get_running_loop().time() - begin <= seconds:
        given, wait = await states.take_quota(LANE, limit, limit)
        granted += given
        passed += wait
        arrival = await client.get(key)
        await client.set(key, int(arrival) - round(wait * 1e6))
    return granted


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 60, 61, 600])
async def test_no_minute_sees_more_calls_than_the_limit(client: redis.asyncio.Redis, limit: int) -> None:
    granted = await spend(client, limit, MINUTE)
    assert granted <= limit
    assert granted >= limit * 0.9 - 1, "and not needlessly fewer"


async def test_replicas_that_ask_at_once_share_one_quota(redis_url: str) -> None:
    async def replica() -> int:
        async with connect(redis_url, name="test") as client:
            states = DestinationStates(client)
            return sum([(await states.take_quota(LANE, 400, 7))[0] for _ in range(50)])

    granted = await asyncio.gather(*[replica() for _ in range(4)])
    assert 100 <= sum(granted) <= 110, "a burst of a quarter, and what a moment adds"


async def test_who_gets_nothing_is_told_when_to_ask_again(client: redis.asyncio.Redis) -> None:
    states = DestinationStates(client)
    assert (await states.take_quota(LANE, 60, 100))[0] == 15
    granted, wait = await states.take_quota(LANE, 60, 1)
    assert granted == 0
    assert 0 < wait < 2


async def test_a_state_nobody_wrote_is_of_a_destination_never_called(client: redis.asyncio.Redis) -> None:
    state = await DestinationStates(client).read(LANE)
    assert (state.paused_until_millis, state.pause_reason, state.last_outcome) == (0, "", 0)


async def test_pause_and_last_outcome_are_kept_beside_each_other(client: redis.asyncio.Redis) -> None:
    states = DestinationStates(client)
    await states.note(LANE, 7, 123)
    await states.pause(LANE, 456, "The destination is gone (410).")
    state = await states.read(LANE)
    assert (state.last_outcome, state.last_attempt_micros) == (7, 123)
    assert (state.paused_until_millis, state.pause_reason) == (456, "The destination is gone (410).")
