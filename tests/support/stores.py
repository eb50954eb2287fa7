"""Real Redis and real ClickHouse for tests, started from the wheels.

One of each is shared by all tests of a process; a test is alone in it nevertheless: it has its own workspace id and its
own numbered Redis database, empty at first. What kills a store, or changes its settings, starts its own (`private_*`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import redis.asyncio

from tests.support.ports import free_cluster_port, free_port
from tributary_cli.stack.clickhouse_server import ClickHouseServer
from tributary_cli.stack.process import ChildProcess
from tributary_cli.stack.redis_server import RedisServer
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect, read_run_id
from tributary_storage.redis.epoch import Epoch, create_epoch

T = TypeVar("T")

_REDIS_DATABASES = 10_000
_MANY_PARTS = 100
"""From which number of parts on tables of ClickHouse are emptied between two modules: emptying costs, too."""


@dataclass
class Stores:
    """A running Redis and a running ClickHouse."""

    redis: RedisServer
    clickhouse: ClickHouseServer
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def clickhouse_url(self) -> str:
        return self.clickhouse.url

    def empty_redis_url(self) -> str:
        """Returns the URL of a Redis database nobody used before."""
        return f"{self.redis.url}/{next(self._numbers) % _REDIS_DATABASES}"

    def tidy_up(self) -> None:
        """Empties the tables of the shared database if they have many parts.

        What a statement costs, above all one that changes rows, grows with the parts of its tables, whosever they are.
        """
        mine = "WHERE database = currentDatabase() AND"
        parts = self.clickhouse.execute(f"SELECT count() FROM system.parts {mine} active")  # noqa: S608 - our own words
        if int(parts) < _MANY_PARTS:
            return
        filled = f"{mine} engine LIKE '%MergeTree' AND name != 'migrations' AND total_rows > 0"
        for table in self.clickhouse.execute(f"SELECT name FROM system.tables {filled}").split():  # noqa: S608 - as above
            self.clickhouse.execute(f"TRUNCATE TABLE `{table}` SYNC")

    @contextmanager
    def a_database(self, name: str, *, merges: bool = True, without: Sequence[str] = ()) -> Iterator[str]:
        """Makes a migrated database of its own in ClickHouse, and drops it: for who empties or alters whole tables.

        Args:
            name: Among those of other tests.
            merges: Whether revisions are merged, and can be altered: who empties the table before long saves that.
            without: Views to leave out, whose tables nobody reads.
        """
        url = f"{self.clickhouse_url}_{name}"
        database = url.rpartition("/")[2]
        run_apart(migrate(url))
        for table in () if merges else ("conversion_revisions", "conversions"):
            self.clickhouse.execute(f"SYSTEM STOP MERGES {database}.{table}")
        for view in without:
            self.clickhouse.execute(f"DROP VIEW {database}.{view}")
        try:
            yield url
        finally:
            self.clickhouse.execute(f"DROP DATABASE {database} SYNC")


@contextmanager
def running_stores(directory: Path) -> Iterator[Stores]:
    """Starts both, side by side, and stops them."""
    redis = RedisServer(directory / "redis", free_port(), {"databases": str(_REDIS_DATABASES)})
    clickhouse = ClickHouseServer(directory / "clickhouse", free_port(), free_port())
    with _running(redis, clickhouse):
        yield Stores(redis, clickhouse)


@contextmanager
def running_redis(directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[RedisServer]:
    """Starts a Redis of its own; `settings` are lines of redis.conf that shall differ."""
    port = free_cluster_port() if (settings or {}).get("cluster-enabled") == "yes" else free_port()
    server = RedisServer(directory, port, settings)
    with _running(server):
        yield server


@contextmanager
def running_redis_at(port: int, directory: Path) -> Iterator[RedisServer]:
    """Starts an empty Redis where another one was."""
    server = RedisServer(directory, port)
    with _running(server):
        yield server


@contextmanager
def running_clickhouse(directory: Path) -> Iterator[ClickHouseServer]:
    """Starts a ClickHouse of its own."""
    server = ClickHouseServer(directory, free_port(), free_port())
    with _running(server):
        yield server


@contextmanager
def _running(*servers: ChildProcess) -> Iterator[None]:
    with ExitStack() as stopping:
        for server in servers:
            stopping.callback(server.stop)
            server.start()
        for server in servers:
            server.wait_until_ready()
        yield


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on a loop and thread of its own: for fixtures, whatever loop a test has."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def create_test_epoch(url: str, shards: int = 4, claim_bucket_bits: int = 4) -> Epoch:
    """Gives a Redis database, in every role, the epoch that the migration would."""
    async with connect(url, name="test") as client:
        wanted = Epoch("e-test", shards, claim_bucket_bits, create_time_micros=1)
        epoch = await create_epoch({"log": client, "state": client, "jobs": client}, wanted)
        await vouch_for(client)
        return epoch


async def vouch_for(client: redis.asyncio.Redis) -> None:
    """Notes that this run of a Redis was compared with ClickHouse, which tests share among many Redis."""
    run = await read_run_id(client)
    for role in ("log", "state", "jobs"):
        await client.set(keys.passed(role), run)
