"""Promises 1 to 7 hold although every process is killed once while traffic runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.quiet import Quiet
from tributary_cli.demo.run import run_demo
from tributary_cli.stack.stack import Stack

PARTS = ("ingestion", "redis", "dedup", "attribution", "clickhouse", "delivery", "query")


def killing(*names: str):  # type: ignore[no-untyped-def]
    """Kills the parts one after the other, and starts each again."""

    async def disturb(stack: Stack) -> None:
        for name in names:
            await asyncio.sleep(0.5)  # traffic, not a wait for something
            await asyncio.to_thread(stack.kill, name)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(stack.restart, name)

    return disturb


async def test_a_demo_in_which_everything_is_killed_once_ends_with_every_promise_kept(tmp_path: Path) -> None:
    result = await run_demo(
        tmp_path / "stack", events=2_000, seed=3, events_per_second=100, show=Quiet(), disturb=killing(*PARTS)
    )

    assert result.tally.sent == 2_000
    assert result.tally.surprises == []
    assert [check for check in result.checks if not check.ok] == []
    assert result.tally.resent > 0, "nothing was in flight when it was killed: the test proved nothing"
