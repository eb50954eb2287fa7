"""The nightly job publishes into the state store only where the service itself would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.test_reconciliation import reconciled
from tests.support.attribution import DAY, NOON, SHARDS, Attribution, Events, running_attribution
from tributary_attribution.reconcile import opened, reconciliation_of
from tributary_attribution.runs import begun
from tributary_attribution.settings import AttributionServiceSettings
from tributary_cli.stack.clickhouse_server import ClickHouseServer
from tributary_domain.shards import shard_of_key
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import PreconditionError, StorageUnavailableError
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse.migrate import migrate
from tributary_storage.redis import keys
from tributary_storage.redis.conversions import conversion_key
from tributary_storage.redis.epoch import confirm_loss


def _settings(redis_url: str, clickhouse_url: str, workspace: str, home: Path) -> AttributionServiceSettings:
    file = home / "workspaces.yaml"
    file.write_text(json.dumps({"workspaces": [{"id": workspace, "name": "Shop", "pepper": {"value": "pepper"}}]}))
    return AttributionServiceSettings.model_validate(
        {
            "log_url": redis_url,
            "state_url": redis_url,
            "clickhouse_url": clickhouse_url,
            "workspaces_file": file,
            "internal_token": "of-this-test-only",
        }
    )


async def _make_older(world: Attribution, make: Events) -> None:
    """Publishes a conversion, refunds it, and brings the state store back to what it was before the refund."""
    touch, order = make.touch("visitor:a"), make.order("visitor:a")
    await world.handle(touch, order)
    await world.record(touch, order)
    key = conversion_key(world.workspace.id, make.conversion_id())
    shard = shard_of_key(key, SHARDS)
    names = keys.conversion(shard, key), keys.published(shard)
    copies = [await world.state.dump(name) for name in names]
    refund = make.refund(30_000_000)
    await world.handle(refund)
    await world.record(refund)
    for name, copy in zip(names, copies, strict=True):
        await world.state.restore(name, 0, copy, replace=True)
    await world.state.delete(keys.passed("state"))


async def test_what_is_not_on_enough_replicas_is_not_repaired_yet(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    async def lacks_replicas() -> None:
        raise StorageUnavailableError("0 of 1 replicas have what was written.")

    async with reconciled(redis_url, clickhouse_url, workspace) as world:
        make, own = Events(workspace), world.attribution
        await own.record(make.order("visitor:a"))  # and never credited
        parts = own.clickhouse, own.attributor, own.people, own.conversions, own.opened, SystemClock()
        alone = reconciliation_of(*parts, settle=lacks_replicas)
        run = world.a_run()
        with pytest.raises(StorageUnavailableError, match="replicas"):
            await alone.run(run, own.workspace, grace_seconds=-1e9)
        assert await world.differences() == []
        stopped = await world.runs.find(workspace, run.reconciliation_id)
        assert stopped is not None
        assert (stopped.is_complete, stopped.finished_slices) == (False, ())
        await world.run(stopped)
        assert len(await own.stored_revisions(make.conversion_id())) == 1


async def test_it_refuses_an_older_copy_and_knows_of_a_loss_that_was_confirmed(
    migrated_redis_url: str, private_clickhouse: ClickHouseServer, workspace: str, tmp_path: Path
) -> None:
    clickhouse_url = private_clickhouse.url  # a shared one knows what others publish, some of it by clocks of their own
    await migrate(clickhouse_url)
    settings, make = _settings(migrated_redis_url, clickhouse_url, workspace, tmp_path), Events(workspace)
    clock, workspaces = SystemClock(), WorkspacesFile.load(settings.workspaces_file)
    async with running_attribution(migrated_redis_url, clickhouse_url, workspace) as world:
        await _make_older(world, make)
        known = await world.stored_revisions(make.conversion_id())
        with pytest.raises(PreconditionError, match="--confirm-loss state"):
            async with opened(settings, workspaces, clock):
                pass
        await confirm_loss(world.state, "state")
        await world.record(make.touch("visitor:a", at=NOON - 2 * DAY, channel="Email"))
        async with opened(settings, workspaces, clock) as (reconciliation, _, _):
            run = begun(workspace, NOON - DAY, NOON + DAY, clock.unix_micros(), repairs=True, slices=1)
            run = await reconciliation.run(run, workspaces.get(workspace), grace_seconds=-1e9)
        assert (run.counts["differences"], run.counts["repaired"]) == (1, 1)
        newest = max(await world.logged(), key=lambda revised: revised.revision)
        assert (newest.previous_revision, newest.state.value.amount_micros) == (known[-1], 60_000_000)
