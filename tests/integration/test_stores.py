"""The stores of the local stack are real, keep what they acknowledged, and outlive nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import clickhouse_driver
import pytest
import redis

from tests.support.eventually import eventually
from tests.support.processes import is_alive
from tests.support.stores import Stores, running_redis, running_stores
from tributary_cli.errors import StackError
from tributary_cli.stack.clickhouse_server import ClickHouseServer
from tributary_cli.stack.redis_server import RedisServer


def test_redis_is_set_so_that_what_it_acknowledged_is_on_disk(stores: Stores) -> None:
    with redis.Redis.from_url(stores.redis.url) as client:
        assert client.config_get("append*")["appendonly"] == "yes"
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
        assert client.config_get("no-appendfsync-on-rewrite") == {"no-appendfsync-on-rewrite": "no"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_two_tests_never_share_a_redis_database(stores: Stores) -> None:
    with redis.Redis.from_url(stores.empty_redis_url()) as one, redis.Redis.from_url(stores.empty_redis_url()) as other:
        one.set("key", "text")
        assert other.dbsize() == 0


def test_clickhouse_answers_on_its_native_port(clickhouse_url: str) -> None:
    with clickhouse_driver.Client.from_url(clickhouse_url) as client:
        assert client.execute("SELECT currentDatabase()") == [("tributary",)]


def test_the_shared_clickhouse_is_migrated(clickhouse_url: str) -> None:
    with clickhouse_driver.Client.from_url(clickhouse_url) as client:
        assert client.execute("SELECT count() FROM events WHERE workspace = 'nobody'") == [(0,)]


def test_a_migrated_redis_has_its_epoch(migrated_redis_url: str) -> None:
    with redis.Redis.from_url(migrated_redis_url) as client:
        assert client.hget("trb:epoch", "shards") == b"4"


def test_redis_keeps_an_acknowledged_write_over_kill_and_restart(private_redis: RedisServer) -> None:
    with redis.Redis.from_url(private_redis.url) as client:
        client.set("key", "text")
        private_redis.kill()
        private_redis.start()
        private_redis.wait_until_ready()
        assert client.get("key") == b"text"


def test_clickhouse_keeps_an_acknowledged_insert_over_kill_and_restart(private_clickhouse: ClickHouseServer) -> None:
    private_clickhouse.execute("CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n")
    private_clickhouse.execute("INSERT INTO kept VALUES (7)")
    private_clickhouse.kill()
    private_clickhouse.start()
    private_clickhouse.wait_until_ready()
    assert private_clickhouse.execute("SELECT n FROM kept") == "7\n"


def test_two_sets_of_stores_run_side_by_side(stores: Stores, tmp_path: Path) -> None:
    with running_stores(tmp_path) as others:
        assert others.redis.port != stores.redis.port
        assert others.clickhouse.execute("SELECT 1") == stores.clickhouse.execute("SELECT 1")


def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    with running_stores(tmp_path) as running:
        pids = [running.redis.pid, running.clickhouse.pid]
    assert not any(is_alive(pid) for pid in pids)


def test_stores_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import json, pathlib, sys, threading\n"
        "from tests.support.stores import running_stores\n"
        "with running_stores(pathlib.Path(sys.argv[1])) as running:\n"
        "    print(json.dumps([running.redis.pid, running.clickhouse.pid]), flush=True)\n"
        "    threading.Event().wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        assert all(is_alive(pid) for pid in pids)
        os.kill(parent.pid, signal.SIGKILL)
    eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_a_store_that_cannot_start_says_why_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(StackError) as raised, running_redis(tmp_path, {"no-such-setting": "yes"}):
        pass
    assert "no-such-setting" in str(raised.value)
