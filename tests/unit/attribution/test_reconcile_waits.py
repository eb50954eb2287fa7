"""The nightly job waits for a store that is busy, and only for that."""

from __future__ import annotations

import pytest

from tributary_attribution.reconcile import answered
from tributary_runtime.errors import PreconditionError, StorageUnavailableError, TributaryError


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
