"""Promises 1 and 2 at the door over `kill -9` of ingestion, dedup and Redis; and proof that the check can fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.survival import PARTS, Careless, survive
from tests.support.stores import running_redis
from tributary_cli.stack.redis_server import RedisServer


@pytest.fixture
def lazy_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that acknowledges before it is on disk."""
    with running_redis(tmp_path / "redis", {"appendfsync": "everysec"}) as server:
        yield server


async def test_nothing_acknowledged_is_lost_and_nothing_accepted_twice_whatever_dies(
    private_redis: RedisServer, clickhouse_url: str, tmp_path: Path
) -> None:
    survived = await survive(tmp_path, private_redis, clickhouse_url, rounds=3, events_per_round=400)
    assert set(survived.kills) == set(PARTS)
    assert survived.unanswered > 0, "nothing was in flight when something died: the test proved nothing"
    assert survived.findings == []


async def test_a_log_that_was_not_on_disk_is_found_out(
    lazy_redis: RedisServer, clickhouse_url: str, tmp_path: Path
) -> None:
    survived = await survive(
        tmp_path,
        lazy_redis,
        clickhouse_url,
        rounds=3,
        events_per_round=400,
        lose_tail=True,
        settings={"TRIBUTARY_DURABILITY": "none"},
    )
    assert any("are not in the log" in finding for finding in survived.findings), survived.findings


async def test_callers_who_take_silence_for_consent_are_found_out(
    private_redis: RedisServer, clickhouse_url: str, tmp_path: Path
) -> None:
    survived = await survive(
        tmp_path, private_redis, clickhouse_url, rounds=3, events_per_round=400, kind=Careless, callers=1
    )
    assert any("are not in the log" in finding for finding in survived.findings), survived.findings
