"""`tributary migrate`: makes the stores ready for this version. Safe to run again; only it makes epochs."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import click

from tributary_cli.console import logs_on_stderr, output, print_json
from tributary_cli.errors import CommandError
from tributary_cli.local import confirm_loss_option, data_option, nothing_named, running_installation
from tributary_cli.stack.directory import StackDirectory
from tributary_cli.stack.environment import STORES, names_stores, set_environment, settings_of
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import TributaryError
from tributary_runtime.settings import WithClickHouse, WithJobsStore, WithLogStore, WithStateStore, load
from tributary_storage.clickhouse import client as clickhouse_client
from tributary_storage.clickhouse import migrate as clickhouse_migrations
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.redis import claim_sizing
from tributary_storage.redis.client import connect
from tributary_storage.redis.data_keys import DataKeys
from tributary_storage.redis.epoch import Epoch, Role, create_epoch, read_epoch
from tributary_storage.redis.losses import confirm_losses

_SHARDS = 4
_CLAIMS = 10_000_000
_EPOCH_BYTES = 8


class MigrateSettings(WithLogStore, WithStateStore, WithJobsStore, WithClickHouse):
    """Where the stores are."""

    service: ClassVar[str] = "cli"

    def redis_urls(self) -> dict[Role, str]:
        """Returns the Redis of each role."""
        return {
            "log": self.log_url.get_secret_value(),
            "state": self.state_url.get_secret_value(),
            "jobs": self.jobs_url.get_secret_value(),
        }


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run did."""

    epoch: Epoch
    """The epoch that holds now."""
    is_epoch_new: bool
    """Whether this run made it."""
    applied: list[str]
    """The ClickHouse migrations applied now."""


@click.command()
@data_option
@click.option("--shards", type=click.IntRange(1, 64), help=f"Of a new installation; never changes. [{_SHARDS}]")
@click.option("--claims", type=click.IntRange(1), help=f"Live claims a new installation is sized for. [{_CLAIMS:,}]")
@confirm_loss_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def migrate(data: Path, shards: int | None, claims: int | None, lost: tuple[Role, ...], as_json: bool) -> None:
    """Prepare Redis and ClickHouse for this version.

    Applies the ClickHouse migrations that are missing, and gives new Redis roles their epoch. Safe to run again and at
    the same time as another. The stores are those of TRIBUTARY_LOG_URL, TRIBUTARY_STATE_URL, TRIBUTARY_JOBS_URL and
    TRIBUTARY_CLICKHOUSE_URL; where none of them is set, of the local installation that `tributary up` runs in --data.

    --claims is the number of event ids remembered at once: the events of 36 days, and the conversions with an order id
    twice more. Half to twice of it costs about 20 bytes of Redis memory each.

    --confirm-loss ROLE is for a Redis, or a node of a cluster, that was emptied or restored from an older copy, and
    whose data cannot be brought back: the services refuse to work on it until this is said. From then on ClickHouse is
    asked for whatever may have been in it, and what the logs still hold is worked on again; attribution makes the state
    store whole again beside its work, and `tributary doctor` says how far that is. After a loss of the log every event
    without a claim is looked up for 37 days, and every order and refund for 400: it takes a few milliseconds longer,
    and is UNDECIDED while ClickHouse is away. Never say it while the right data may still be found.
    """
    with set_environment(_variables(data)):
        settings = load(MigrateSettings)
    try:
        with logs_on_stderr():
            done = asyncio.run(_migrate(settings, shards, claims, lost))
    except TributaryError as error:
        raise CommandError(error.message) from error
    if as_json:
        print_json(
            {
                "epoch_id": done.epoch.epoch_id,
                "is_epoch_new": done.is_epoch_new,
                "shards": done.epoch.shards,
                "claim_bucket_bits": done.epoch.claim_bucket_bits,
                "applied": done.applied,
            }
        )
        return
    console = output()
    made = "made" if done.is_epoch_new else "found"
    console.print(f"Redis: epoch {done.epoch.epoch_id} {made}, {done.epoch.shards} shards.")
    if done.is_epoch_new:
        console.print(claim_sizing.curve_text(done.epoch.shards, done.epoch.claim_bucket_bits), style="dim")
    for name in done.applied:
        console.print(f"ClickHouse: applied {name}.")
    if not done.applied:
        console.print("ClickHouse: up to date.")
    for role in sorted(set(lost)):
        console.print(f"Redis of role {role}: its loss is confirmed.")


def _variables(data: Path) -> dict[str, str]:
    """Returns the variables of the local installation; none where the environment says which stores are meant."""
    if names_stores(os.environ):
        return {}
    installation = running_installation(data)
    if installation is None:
        said = nothing_named(data)
        raise CommandError(
            f"{said[0].upper()}{said[1:]}.",
            "Start one with `tributary up`, which migrates it first and takes --confirm-loss too; or set "
            f"{', '.join(STORES[:-1])} and {STORES[-1]}.",
        )
    return settings_of(installation, StackDirectory(data))


async def _migrate(
    settings: MigrateSettings, shards: int | None, claims: int | None, lost: Collection[Role]
) -> Migrated:
    async with AsyncExitStack() as closing:
        clients = {
            role: await closing.enter_async_context(connect(url, name="migrate"))
            for role, url in settings.redis_urls().items()
        }
        found = [await read_epoch(client) for client in clients.values()]
        before = next((epoch for epoch in found if epoch is not None), None)
        epoch = await create_epoch(clients, _wanted(before, shards, claims))
        applied = await clickhouse_migrations.migrate(settings.clickhouse_url, cluster=settings.clickhouse_cluster)
        if "state" in lost:  # before anybody asks for a data key again
            async with clickhouse_client.connect(settings.clickhouse_url, name="migrate", connections=1) as clickhouse:
                tombstones = await ErasureRecords(clickhouse).data_key_tombstones()
            await DataKeys(clients["state"], epoch.shards).bury(tombstones)
        await confirm_losses(clients, lost, epoch.shards)
    return Migrated(epoch, before is None, applied)


def _wanted(before: Epoch | None, shards: int | None, claims: int | None) -> Epoch:
    """Returns what the epoch shall be; what the user does not say stays as it is."""
    count = shards or (before.shards if before else _SHARDS)
    if before is not None and claims is None:
        bits = before.claim_bucket_bits
    else:
        bits = claim_sizing.bucket_bits(claims or _CLAIMS, count)
    return Epoch(secrets.token_hex(_EPOCH_BYTES), count, bits, SystemClock().unix_micros())
