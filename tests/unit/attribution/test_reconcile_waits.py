"""The nightly job waits for a store that is busy, and only for that; while it runs it does as the file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.eventually import eventually_async
from tributary_attribution.reconcile import answered, watched
from tributary_runtime.errors import PreconditionError, StorageUnavailableError, TributaryError
from tributary_runtime.gate import Gate
from tributary_runtime.workspaces_file import WorkspacesFile


class Asked:
    """A guard that raises what it is given, one after another, and then passes."""

    name = "redis:state"

    def __init__(self, *answers: TributaryError) -> None:
        self.left = list(answers)

    async def __call__(self) -> None:
        if self.left:
            raise self.left.pop(0)


async def test_a_store_that_is_silent_for_a_moment_does_not_cost_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    guard = Asked(StorageUnavailableError("ClickHouse does not answer."))
    await answered(guard)
    assert guard.left == []
    assert capsys.readouterr().err == "Waiting for redis:state: ClickHouse does not answer.\n"


async def test_a_store_that_stays_silent_ends_it_and_a_refusal_does_so_at_once() -> None:
    with pytest.raises(StorageUnavailableError, match="not answer"):
        await answered(Asked(StorageUnavailableError("ClickHouse does not answer.")), patience_seconds=0)
    guard = Asked(
        PreconditionError("older", subject="redis:state", reason="OLDER"), PreconditionError("x", subject="s")
    )
    with pytest.raises(PreconditionError, match="older"):
        await answered(guard)
    assert len(guard.left) == 1


async def test_books_that_are_closed_while_it_runs_are_closed_to_it(tmp_path: Path) -> None:
    path, said = tmp_path / "workspaces.yaml", "workspaces: [{id: shop, pepper: {value: salt}, reporting: {%s}}]"
    path.write_text(said % "")
    file = WorkspacesFile(path, poll_seconds=0.01)

    async def is_closed() -> bool:
        return file.get("shop").reporting.books_closed_through is not None

    async with watched((), Gate(), file):
        assert not await is_closed()
        path.write_text(said % "books_closed_through: 2026-11-27")
        await eventually_async(is_closed)
