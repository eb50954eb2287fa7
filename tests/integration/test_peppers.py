"""A workspace whose pepper changed takes nothing: its people would be strangers, and nothing would look wrong."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import redis.asyncio

from tests.support.stores import running_redis
from tributary_ingestion.peppers import PepperCheck
from tributary_ingestion.workspace_rules import WorkspaceRules, compile_rules
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import PreconditionError
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.client import connect
from tributary_storage.redis.peppers import Peppers


def rules(workspace: str = "shop", pepper: str = "the first pepper") -> WorkspaceRules:
    return compile_rules(Workspace.model_validate({"id": workspace, "pepper": {"value": pepper}}))


def a_door(client: redis.asyncio.Redis) -> PepperCheck:
    return PepperCheck(Peppers(client), SystemClock())


async def test_a_door_that_starts_with_another_pepper_refuses_that_workspace_until_it_is_back(
    migrated_redis_url: str,
) -> None:
    async with connect(migrated_redis_url, name="test") as client:
        await a_door(client).require(rules())
        await a_door(client).require(rules())
        restarted = a_door(client)
        for _ in range(2):
            with pytest.raises(PreconditionError, match="Bring that one back") as refused:
                await restarted.require(rules(pepper="another pepper"))
            assert refused.value.reason == "PEPPER_CHANGED"
        await restarted.require(rules("blog", "another pepper"))
        await restarted.require(rules())
        assert b"pepper" not in b"".join(await client.hvals("trb:peppers"))


async def test_what_was_checked_costs_no_round_trip_and_a_store_that_hangs_refuses_nobody(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with connect(server.url, name="test") as client:
            door = a_door(client)
            await door.require(rules())
            os.kill(server.pid, signal.SIGSTOP)
            try:
                await door.require(rules())
                for workspace in ("blog", "news"):  # the second is not even asked for
                    await door.require(rules(workspace))
            finally:
                os.kill(server.pid, signal.SIGCONT)
