"""What a run mended before it stopped is told by the one that resumes it; nothing is called settled that none saw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.test_altered_revisions import _refunded_twice
from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import Events
from tests.support.stores import Stores
from tributary_attribution.runs import exit_status
from tributary_domain.findings import Finding, FindingCause, FindingState
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.clickhouse.newest_rows import NewestRows
from tributary_storage.clickhouse.revision_rows import RevisionRows

_OF_ONE = "WHERE workspace = %(w)s AND conversion_id = %(c)s"


@pytest.fixture(scope="module")
def clickhouse_url(stores: Stores) -> Iterator[str]:
    """A database of this module's own: to harm a row takes as long as the table is large."""
    with stores.a_database("resumed") as url:
        yield url


async def _stopped(*_: Any, **__: Any) -> Any:
    raise StorageUnavailableError("It does not answer.")


async def _everything(world: Reconciled) -> list[Any]:
    return [
        await world.attribution.clickhouse.execute(
            f"SELECT * EXCEPT (record_time, revised) FROM {table} FINAL"  # noqa: S608 - of the test
            " WHERE workspace = %(w)s ORDER BY conversion_id, revision",
            {"w": world.attribution.workspace.id},
            raw_strings=True,
        )
        for table in ("conversions", "conversion_revisions")
    ]


async def _harm(world: Reconciled, make: Events, revisions: dict[str, list[int]]) -> dict[str, tuple[str, int]]:
    """Harms a conversion in each way; returns what is said of each, and which revision repairs it."""
    names = {order: make.conversion_id(order) for order in revisions}
    await world.execute(f"ALTER TABLE conversions DELETE {_OF_ONE}", c=names["gone"])
    await world.execute(f"ALTER TABLE conversions UPDATE role = 'LEAD' {_OF_ONE}", c=names["altered"])
    await world.execute(
        f"ALTER TABLE conversion_revisions DELETE {_OF_ONE} AND revision = %(r)s",
        c=names["lost"],
        r=revisions["lost"][2],
    )
    return {
        names["gone"]: (FindingCause.LOST_ROW, revisions["gone"][2]),
        names["altered"]: (FindingCause.WRONG_FACTS, revisions["altered"][2]),
        names["lost"]: (FindingCause.LOST_ROW, revisions["lost"][2]),
    }


def _said(found: list[Finding]) -> dict[str, tuple[str, int]]:
    return {one.conversion_id: (one.cause, one.repair_revision) for one in found}


@pytest.mark.parametrize(
    "where",
    [
        pytest.param(("_reading", "read"), id="behind-the-rows-that-are-out-of-place"),
        pytest.param(("_extra", "check"), id="behind-all"),
    ],
)
async def test_what_a_run_mended_that_was_resumed_is_told(
    redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch, where: tuple[str, str]
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        revisions = await _refunded_twice(world, make, ["gone", "altered", "lost", "whole"])
        before = await _everything(world)
        wanted = await _harm(world, make, revisions)
        run = world.a_run()
        with monkeypatch.context() as silent:
            part, method = where
            silent.setattr(getattr(world.reconciliation, part), method, _stopped)
            with pytest.raises(StorageUnavailableError):
                await world.run(run)
        assert (await _everything(world) == before) is (where[0] == "_extra")
        stopped = await world.runs.find(workspace, run.reconciliation_id)
        assert stopped is not None
        run = await world.run(stopped)
        found = await world.differences()
        assert {one.state for one in found} == {FindingState.RESOLVED}
        assert {one.reconciliation_id for one in found} == {run.reconciliation_id}
        assert _said(found) == wanted
        assert (exit_status(run), run.counts["lost_revisions"], run.counts["misplaced_rows"]) == (0, 1, 1)
        assert (run.counts["differences"], run.counts["repaired"], run.counts["open_errors"]) == (2, 2, 0)
        assert await _everything(world) == before


@pytest.mark.parametrize(
    ("part", "method"),
    [
        pytest.param(NewestRows, "misplaced", id="out-of-place"),
        pytest.param(NewestRows, "altered", id="altered"),
        pytest.param(RevisionRows, "broken_chains", id="chains"),
    ],
)
async def test_what_was_written_and_not_looked_at_again_is_told_by_the_run_that_goes_on(
    redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch, part: Any, method: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        revisions = await _refunded_twice(world, make, ["gone", "altered", "lost", "whole"])
        before = await _everything(world)
        wanted = await _harm(world, make, revisions)
        run = world.a_run()
        with monkeypatch.context() as silent:
            first, calls = getattr(part, method), []

            async def once(self: Any, *arguments: Any) -> Any:
                calls.append(arguments)
                return await (first if len(calls) == 1 else _stopped)(self, *arguments)

            silent.setattr(part, method, once)
            with pytest.raises(StorageUnavailableError):
                await world.run(run)
        stopped = await world.runs.find(workspace, run.reconciliation_id)
        assert stopped is not None
        run = await world.run(stopped)
        found = await world.differences()
        assert ({one.state for one in found}, _said(found)) == ({FindingState.RESOLVED}, wanted)
        assert (exit_status(run), run.counts["lost_revisions"], run.counts["misplaced_rows"]) == (0, 1, 1)
        assert await _everything(world) == before


async def test_what_there_is_no_room_to_name_is_not_called_settled(
    redis_url: str, clickhouse_url: str, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        revisions = await _refunded_twice(
            world, make, [f"{kind}-{i}" for kind in ("altered", "lost") for i in range(3)]
        )
        for order, own in revisions.items():
            conversion_id = make.conversion_id(order)
            if order.startswith("altered"):
                await world.execute(f"ALTER TABLE conversions UPDATE role = 'LEAD' {_OF_ONE}", c=conversion_id)
            else:
                await world.execute(
                    f"ALTER TABLE conversion_revisions DELETE {_OF_ONE} AND revision = %(r)s", c=conversion_id, r=own[1]
                )
        await world.run(world.a_run(repairs=False))
        assert len(await world.differences()) == 6
        with monkeypatch.context() as small:
            small.setattr(NewestRows, "MOST", 1)
            run = await world.run()
            open_ones = [one for one in await world.differences() if one.state is FindingState.OPEN]
            assert (len(open_ones), run.counts["cut_checks"], run.counts["lost_revisions"]) == (2, 1, 3)
        await world.run()
        assert {one.state for one in await world.differences()} == {FindingState.RESOLVED}
        for order, own in list(revisions.items())[3:]:
            await world.execute(
                f"ALTER TABLE conversion_revisions DELETE {_OF_ONE} AND revision = %(r)s",
                c=make.conversion_id(order),
                r=own[0],
            )
        await world.run(world.a_run(repairs=False))
        assert len([one for one in await world.differences() if one.state is FindingState.OPEN]) == 3
        with monkeypatch.context() as small:
            small.setattr(RevisionRows, "MOST_CHAINS", 1)
            run = await world.run()
            open_ones = [one for one in await world.differences() if one.state is FindingState.OPEN]
            assert (len(open_ones), run.counts["cut_checks"], run.counts["lost_revisions"]) == (2, 1, 1)
        await world.run()
        assert {one.state for one in await world.differences()} == {FindingState.RESOLVED}
