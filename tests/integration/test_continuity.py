"""A role that ends before what ClickHouse knows of it is refused until somebody confirms the loss."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from pathlib import Path

import pytest
import redis.asyncio

from tests.support.stores import create_test_epoch, running_redis
from tributary_runtime.errors import PreconditionError, StorageUnavailableError
from tributary_storage.continuity import Continuity, Marks
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import confirm_loss


class Said:
    """Marks as a test says they are."""

    def __init__(self, marks: Marks) -> None:
        self.said: Marks | None = marks

    async def marks(self, places: Collection[str] = ()) -> Marks:
        if self.said is None:
            raise StorageUnavailableError("It does not answer.")
        return self.said


@pytest.fixture
async def client(migrated_redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(migrated_redis_url, name="tests") as opened:
        for role in ("state", "jobs"):
            await opened.delete(keys.passed(role))
        yield opened


async def test_what_has_all_that_is_known_of_it_passes(client: redis.asyncio.Redis) -> None:
    await Continuity(client, "jobs", Said({"0": 7, "1": 9}), Said({"0": 7}))()


@pytest.mark.parametrize("there", [{"0": 6}, {}], ids=["an older copy", "emptied"])
async def test_what_lacks_something_is_refused_until_the_loss_is_confirmed(
    client: redis.asyncio.Redis, there: Marks
) -> None:
    guard = Continuity(client, "jobs", Said(there), Said({"0": 7}))
    for _ in range(2):
        with pytest.raises(PreconditionError, match="--confirm-loss jobs"):
            await guard()
    moment = await confirm_loss(client, "jobs")
    await guard()
    assert guard.loss_micros == moment


async def test_a_confirmed_loss_excuses_no_later_one(client: redis.asyncio.Redis) -> None:
    moment = await confirm_loss(client, "state")
    with pytest.raises(PreconditionError, match="emptied or restored"):
        await Continuity(client, "state", Said({}), Said({"0": moment + 1}))()


async def test_nobody_works_while_the_record_cannot_be_asked(client: redis.asyncio.Redis) -> None:
    record = Said({"0": 7})
    record.said = None
    guard = Continuity(client, "state", Said({"0": 7}), record)
    with pytest.raises(StorageUnavailableError, match="ClickHouse"):
        await guard()
    record.said = {"0": 7}
    await guard()
    record.said = None
    await guard()  # known of this run of Redis


async def test_it_is_asked_again_when_redis_was_emptied_while_it_ran(client: redis.asyncio.Redis) -> None:
    there = Said({"0": 7})
    guard = Continuity(client, "jobs", there, Said({"0": 7}))
    await guard()
    await client.flushdb()
    there.said = {}
    with pytest.raises(PreconditionError):
        await guard()


async def test_it_is_asked_again_when_redis_was_restarted(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        await create_test_epoch(server.url)
        record = Said({"0": 7})
        async with connect(server.url, name="tests") as client:
            guard = Continuity(client, "state", Said({"0": 7}), record)
            await guard()
            record.said = {"0": 2**62}
            await guard()
            server.stop()
            server.start()
            server.wait_until_ready()
            with suppress(StorageUnavailableError):  # on the connection that died with it
                await guard()
            with pytest.raises(PreconditionError):
                await guard()
