"""`tributary migrate` makes the stores ready, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest
import redis

from tests.support.ports import free_address
from tests.support.stores import Stores


@pytest.fixture
def environment(stores: Stores, redis_url: str, workspace: str) -> dict[str, str]:
    """Where the stores are: an empty Redis database, and a ClickHouse database of the test's own."""
    return {
        "TRIBUTARY_LOG_URL": redis_url,
        "TRIBUTARY_STATE_URL": redis_url,
        "TRIBUTARY_JOBS_URL": redis_url,
        "TRIBUTARY_CLICKHOUSE_URL": stores.clickhouse_url.replace("/tributary", f"/{workspace.replace('-', '_')}"),
    }


def _run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    others = {name: text for name, text in os.environ.items() if not name.startswith("TRIBUTARY_")}
    command = [sys.executable, "-m", "tributary_cli", *arguments]
    return subprocess.run(command, env={**others, **environment}, capture_output=True, text=True, check=False)


def _migrate(environment: Mapping[str, str], *arguments: str) -> dict[str, object]:
    done = _run(environment, "migrate", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_a_second_run_keeps_the_epoch_and_applies_nothing(environment: dict[str, str]) -> None:
    first = _migrate(environment, "--shards", "2", "--claims", "1000")
    assert first["is_epoch_new"]
    assert first["shards"] == 2
    assert first["applied"]
    second = _migrate(environment)
    assert second == {**first, "is_epoch_new": False, "applied": []}


def test_another_number_of_shards_is_refused_in_a_sentence(environment: dict[str, str]) -> None:
    _migrate(environment)
    done = _run(environment, "migrate", "--shards", "16")
    assert done.returncode == 1
    assert "shards = 4" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_role_that_was_added_later_gets_the_same_epoch(environment: dict[str, str], stores: Stores) -> None:
    first = _migrate(environment)
    added = stores.empty_redis_url()
    _migrate({**environment, "TRIBUTARY_JOBS_URL": added})
    with redis.Redis.from_url(added) as client:
        assert client.hget("trb:epoch", "epoch_id") == str(first["epoch_id"]).encode()


def test_a_redis_that_does_not_answer_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    done = _run({**environment, "TRIBUTARY_LOG_URL": f"redis://{free_address()}"}, "migrate")
    assert done.returncode == 1
    assert "did not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_setting_that_is_missing_is_said_at_once(environment: dict[str, str]) -> None:
    done = _run({}, "migrate")
    assert done.returncode == 2
    assert all(name in done.stderr for name in environment)
