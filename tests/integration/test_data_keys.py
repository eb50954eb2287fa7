"""Data keys are made once, live on while their person is seen, and are gone for good when destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis.asyncio

from tests.support.eventually import eventually_async
from tests.support.sealing import KEY, NOW, Hurried, a_sealing, orders, rules, sealed
from tests.support.stores import create_test_epoch, running_redis
from tributary.dedup.v1.match_keys_pb2 import MatchKeys
from tributary_cli.stack.redis_server import RedisServer
from tributary_domain.sealing import DataKey, SealError, key_name, name_of
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import PreconditionError, StorageUnavailableError
from tributary_runtime.settings import DurabilityMode
from tributary_storage.redis.client import connect
from tributary_storage.redis.data_keys import Candidate, DataKeys
from tributary_storage.redis.epoch import confirm_loss
from tributary_storage.redis.lazy_data_keys import GUARD_SECONDS, LazyDataKeys

NAMES = [("shop", key_name("shop", f"visitor:{number}")) for number in range(50)]


@pytest.fixture
async def client(migrated_redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(migrated_redis_url, name="test") as opened:
        yield opened


@pytest.fixture
def store(client: redis.asyncio.Redis) -> DataKeys:
    return DataKeys(client, 4)


def a_key(wrapped: bytes, micros: int = NOW + 1) -> Candidate:
    return Candidate(wrapped, micros)


@pytest.mark.parametrize(
    ("mode", "is_refused"),
    [
        pytest.param(DurabilityMode.FSYNC, True, id="fsync"),
        pytest.param(DurabilityMode.REPLICATED, True, id="replicated, without replicas"),
        pytest.param(DurabilityMode.NONE, False, id="none"),
    ],
)
async def test_nothing_is_sealed_under_a_key_that_may_be_forgotten(
    tmp_path: Path, mode: DurabilityMode, is_refused: bool
) -> None:
    with running_redis(tmp_path, {"appendfsync": "everysec"}) as server:
        await create_test_epoch(server.url)
        async with connect(server.url, name="test") as client:
            sealing = a_sealing(client, mode)
            if not is_refused:
                assert sealed(await sealing.seal(orders("ann@example.com"), rules())) != [b""]
                return
            with pytest.raises(StorageUnavailableError, match="cannot keep"):
                await sealing.seal(orders("ann@example.com"), rules())
            assert await client.keys("*key*") == []


async def test_of_two_that_make_a_key_at_once_both_get_the_same(store: DataKeys) -> None:
    first, second = await asyncio.gather(
        store.obtain(dict.fromkeys(NAMES, a_key(b"1")), 60), store.obtain(dict.fromkeys(NAMES, a_key(b"2")), 60)
    )
    assert first == second == await store.read(NAMES)


async def test_a_key_lives_on_from_the_last_time_it_was_obtained(store: DataKeys, client: redis.asyncio.Redis) -> None:
    await store.obtain({NAMES[0]: a_key(b"1")}, 60)
    await store.obtain({NAMES[0]: a_key(b"2")}, 6_000)
    (key,) = [key async for key in client.scan_iter("*data-key*")]
    assert 60 < await client.ttl(key) <= 6_000


async def test_a_destroyed_key_is_gone_and_the_next_is_another(store: DataKeys) -> None:
    await store.obtain({NAMES[0]: a_key(b"1"), NAMES[1]: a_key(b"1")}, 60)
    assert await store.destroy(NAMES[:1], NOW) == 1
    assert await store.read(NAMES[:2]) == {NAMES[1]: b"1"}
    assert await store.obtain({NAMES[0]: a_key(b"2")}, 60) == {NAMES[0]: b"2"}


async def test_of_what_happened_before_its_person_was_erased_nothing_is_sealed_and_no_key_is_made(
    store: DataKeys, client: redis.asyncio.Redis
) -> None:
    (before,) = sealed(await a_sealing(client).seal(orders("ann@example.com"), rules()))
    name = ("shop", name_of(before))
    await store.destroy([name], NOW)
    again, other = sealed(await a_sealing(client).seal(orders("ann@example.com", "bob@example.com"), rules()))
    assert again == b""
    assert other != b""
    assert await store.read([name]) == {}
    assert await store.obtain({name: a_key(b"new", NOW + 1)}, 60) == {name: b"new"}  # somebody new
    assert await store.obtain({name: a_key(b"old", NOW)}, 60) == {name: b"new"}


async def test_sealed_events_are_read_with_the_stored_keys_by_whoever_has_the_workspaces(
    store: DataKeys, client: redis.asyncio.Redis
) -> None:
    sealing = a_sealing(client)
    emails = ["ann@example.com", "bob@example.com", "ann@example.com"]
    fields = sealed(await sealing.seal(orders(*emails), rules()))
    wrapped = await store.read([("shop", name_of(field)) for field in fields])
    assert len(wrapped) == 2
    for email, field in zip(emails, fields, strict=True):
        name = name_of(field)
        plain = DataKey("shop", name, wrapped["shop", name], [KEY]).open(field)
        assert MatchKeys.FromString(plain).identifiers.email == email


async def test_after_destruction_what_was_sealed_is_read_by_nobody(
    store: DataKeys, client: redis.asyncio.Redis
) -> None:
    (field,) = sealed(await a_sealing(client).seal(orders("ann@example.com"), rules()))
    name = ("shop", name_of(field))
    await store.destroy([name], NOW - 1)
    (later,) = sealed(await a_sealing(client).seal(orders("ann@example.com"), rules()))
    fresh = DataKey("shop", name_of(later), (await store.read([name]))[name], [KEY])
    assert MatchKeys.FromString(fresh.open(later)).identifiers.email == "ann@example.com"
    with pytest.raises(SealError):
        fresh.open(field)


async def test_a_changed_workspace_key_is_told_and_seals_nothing(client: redis.asyncio.Redis) -> None:
    await a_sealing(client).seal(orders("ann@example.com"), rules())
    with pytest.raises(PreconditionError, match="data_key of workspace shop"):
        await a_sealing(client).seal(orders("ann@example.com"), rules(bytes(32)))


async def test_after_the_workspace_key_was_changed_people_move_to_the_new_one(
    store: DataKeys, client: redis.asyncio.Redis
) -> None:
    (before,) = sealed(await a_sealing(client).seal(orders("ann@example.com"), rules()))
    renewed = rules(bytes(32), KEY)
    await a_sealing(client).seal(orders("ann@example.com"), renewed)
    name = ("shop", name_of(before))
    stored = (await store.read([name]))[name]
    assert DataKey("shop", name[1], stored, [bytes(32)]).open(before)


async def test_a_key_that_was_replaced_meanwhile_is_not_rewrapped(store: DataKeys) -> None:
    await store.obtain({NAMES[0]: a_key(b"1")}, 60)
    await store.rewrap({NAMES[0]: (b"0", b"2")})
    assert await store.read(NAMES[:1]) == {NAMES[0]: b"1"}


async def test_without_the_store_everybody_is_sealed_who_is_known_and_nobody_new_is_accepted(tmp_path: Path) -> None:
    with ExitStack() as running:
        server = running.enter_context(running_redis(tmp_path))
        async with connect(server.url, name="test") as client:
            await create_test_epoch(server.url)
            clock = Hurried()
            sealing = a_sealing(client, clock=clock)
            await sealing.seal(orders("ann@example.com"), rules())
            running.close()
            for clock.ahead in (0.0, 2.0):  # also when it would be asked whether it is the same
                both = await sealing.seal(orders("bob@example.com", "ann@example.com"), rules())
                assert [bool(one) for one in sealed(both)] == [False, True]
                assert (both.unsealed, both.retry_delay_seconds > 0) == ([0], True)
                with pytest.raises(StorageUnavailableError):
                    await sealing.seal(orders("bob@example.com"), rules())


@pytest.mark.parametrize("is_confirmed", [pytest.param(True, id="confirmed"), pytest.param(False, id="by a restart")])
async def test_keys_of_a_store_that_lost_them_are_forgotten(private_redis: RedisServer, is_confirmed: bool) -> None:
    await create_test_epoch(private_redis.url)
    async with connect(private_redis.url, name="test") as client:
        clock = Hurried()
        sealing = a_sealing(client, clock=clock)
        await sealing.seal(orders("ann@example.com"), rules())
        await client.flushall()
        await create_test_epoch(private_redis.url)
        if is_confirmed:
            await confirm_loss(client, "state")
        else:
            private_redis.stop()
            private_redis.start()
            private_redis.wait_until_ready()
        for clock.ahead in (1.0, 2.5):  # after a restart the first question goes by a connection that is dead
            (field,) = sealed(await sealing.seal(orders("ann@example.com"), rules()))
        name = name_of(field)
        (wrapped,) = (await DataKeys(client, 4).read([("shop", name)])).values()
        assert DataKey("shop", name, wrapped, [KEY]).open(field)


async def test_a_state_store_that_hangs_is_given_up_in_time_and_asked_again_later(private_redis: RedisServer) -> None:
    async with connect(private_redis.url, name="test", timeout_seconds=0.3) as own_client:
        store = DataKeys(own_client, 4)
        await store.obtain({NAMES[0]: a_key(b"a" * 40)}, 60)
        private_redis.pause()
        try:
            async with asyncio.timeout(60):
                with pytest.raises(StorageUnavailableError):
                    await store.obtain({NAMES[0]: a_key(b"b" * 40)}, 60)
        finally:
            private_redis.resume()
        assert await store.obtain({NAMES[0]: a_key(b"c" * 40)}, 60) == {NAMES[0]: b"a" * 40}
        assert own_client.connection_pool.connection_kwargs["socket_timeout"] == 0.3


class Still(SystemClock):
    """A clock that is moved by hand."""

    now = 0.0

    def monotonic_seconds(self) -> float:
        return self.now


async def test_who_comes_while_somebody_looks_at_the_store_is_told_what_that_one_is_told(
    private_redis: RedisServer,
) -> None:
    await create_test_epoch(private_redis.url)
    async with connect(private_redis.url, name="test") as client:
        clock = Still()
        store = LazyDataKeys(client, clock)
        first = await store.open()
        for is_kept in (True, False):
            clock.now += GUARD_SECONDS
            await client.config_set("appendfsync", "always" if is_kept else "everysec")
            await client.config_resetstat()
            found = await asyncio.gather(*[store.open() for _ in range(20)], return_exceptions=True)
            assert {type(one) for one in found} == {DataKeys if is_kept else StorageUnavailableError}
            assert (await client.info("commandstats"))["cmdstat_info"]["calls"] <= 2  # of one look; this is one more
        await client.config_set("appendfsync", "always")
        assert await store.open() is first


async def test_who_came_while_somebody_looked_for_longer_than_a_store_is_trusted_looks_once_more_for_all(
    private_redis: RedisServer,
) -> None:
    await create_test_epoch(private_redis.url)
    async with connect(private_redis.url, name="test", timeout_seconds=60) as client, asyncio.TaskGroup() as group:
        clock = Still()
        store = LazyDataKeys(client, clock)
        await store.open()
        await client.config_resetstat()
        clock.now += GUARD_SECONDS
        private_redis.pause()
        try:
            group.create_task(store.open())
            await asyncio.sleep(0)  # it has begun
            clock.now += 0.1 * GUARD_SECONDS
            waiting = [group.create_task(store.open()) for _ in range(20)]
            await asyncio.sleep(0)
            clock.now += GUARD_SECONDS
        finally:
            private_redis.resume()
        assert len(set(await asyncio.gather(*waiting))) == 1
        assert (await client.info("commandstats"))["cmdstat_hgetall"]["calls"] == 4  # of two looks


async def test_who_wants_a_key_is_told_what_to_do_and_not_what_the_operator_may(private_redis: RedisServer) -> None:
    await create_test_epoch(private_redis.url)
    async with connect(private_redis.url, name="test") as client:
        clock = Still()
        store = LazyDataKeys(client, clock)
        await store.open()
        await client.execute_command("ACL", "SETUSER", "default", "-hgetall")  # so that the guard reads no epoch
        clock.now += GUARD_SECONDS
        with pytest.raises(StorageUnavailableError, match="try the same again"):
            await store.open()


async def test_while_keys_are_wanted_nobody_waits_for_a_look_at_the_store(private_redis: RedisServer) -> None:
    await create_test_epoch(private_redis.url)
    async with connect(private_redis.url, name="test", timeout_seconds=60) as client, asyncio.TaskGroup() as group:
        clock, stop = Still(), asyncio.Event()
        store = LazyDataKeys(client, clock)
        opened = await store.open()
        looking = group.create_task(store.run(stop))
        await client.config_resetstat()
        clock.now += 0.6 * GUARD_SECONDS

        async def was_looked_at() -> None:
            asked = (await client.info("commandstats")).get("cmdstat_hgetall", {"calls": 0})
            assert asked["calls"] == 2  # the second is the last question of a look

        await eventually_async(was_looked_at)
        private_redis.pause()
        try:
            clock.now += 0.6 * GUARD_SECONDS
            async with asyncio.timeout(30):
                assert await store.open() is opened
        finally:
            private_redis.resume()
        stop.set()
        await looking
