"""Nobody is at a run of reconciliation beside somebody else, and who asks is told whether anybody is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import DAY, NOON, Events
from tests.support.eventually import eventually_async
from tributary.attribution.v1 import attribution_service_pb2 as contract
from tributary.attribution.v1.reconciliation_pb2 import RECONCILIATION_STATE_COMPLETE, Reconciliation
from tributary_attribution.reconciling import Reconciling
from tributary_attribution.run_lease import RunLease
from tributary_attribution.runs import begun
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import UnavailableError
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse.reconciliation_runs import Run
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.run_leases import RunLeases

_CLOCK = SystemClock()


def _a_run(workspace: str) -> Run:
    return begun(workspace, NOON - DAY, NOON + DAY, _CLOCK.unix_micros(), repairs=False, slices=1)


async def test_a_run_is_one_process_until_it_lets_go(redis_url: str, workspace: str) -> None:
    async with connect(redis_url, name="tests") as state:
        run, leases = _a_run(workspace), RunLeases(state)
        async with RunLease(leases, run, _CLOCK):
            with pytest.raises(UnavailableError, match="Another process"):
                async with RunLease(leases, run, _CLOCK):
                    pass
            async with RunLease(leases, _a_run(workspace), _CLOCK):  # another run is another matter
                pass
        async with RunLease(leases, run, _CLOCK):
            pass


async def test_who_lost_a_run_to_another_stops(redis_url: str, workspace: str) -> None:
    async with connect(redis_url, name="tests") as state:
        run, leases = _a_run(workspace), RunLeases(state)
        key = keys.reconciliation_lease(workspace, run.reconciliation_id)

        async def lose_it() -> None:
            async with RunLease(leases, run, _CLOCK, renew_seconds=0.01):
                await state.set(key, "another")  # as after a pause that was longer than the lease
                await asyncio.Event().wait()

        with pytest.raises(UnavailableError, match="Another process"):
            await lose_it()
        assert await state.get(key) == b"another"


async def test_a_run_that_nobody_is_at_says_so_and_goes_on_when_it_is_asked_for(
    redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path
) -> None:
    file = tmp_path / "workspaces.yaml"
    file.write_text(f"workspaces: [{{id: {workspace}, name: Shop, pepper: {{value: pepper}}}}]")
    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        await world.happen(Events(workspace).order("visitor:a"))
        leases = RunLeases(world.attribution.state)
        reconciling = Reconciling(world.reconciliation, world.runs, leases, WorkspacesFile.load(file), _CLOCK)
        run, stop = _a_run(workspace), asyncio.Event()
        await world.runs.save(run, run.create_micros)  # and its process ended
        asked = {"workspace": workspace, "reconciliation_id": run.reconciliation_id}

        async def found() -> Reconciliation:
            return (await reconciling.get(contract.GetReconciliationRequest(**asked))).reconciliation

        assert (await found()).stopped
        await reconciling.reconcile(contract.ReconcileRequest(**asked))
        await reconciling.reconcile(contract.ReconcileRequest(**asked))  # which is at it already
        assert not (await found()).stopped
        loop = asyncio.create_task(reconciling.run(stop))

        async def is_complete() -> bool:
            return (await found()).state == RECONCILIATION_STATE_COMPLETE

        await eventually_async(is_complete)
        assert not (await found()).stopped
        stop.set()
        await loop
        assert not await leases.is_held(workspace, run.reconciliation_id)
