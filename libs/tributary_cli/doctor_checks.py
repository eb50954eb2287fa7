"""What `tributary doctor` looks at. A check only looks; where something is not well, it says what to do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tributary_cli.errors import StackError
from tributary_cli.migrate import MigrateSettings
from tributary_cli.stack.health import SERVICES, Health, check_health
from tributary_cli.stack.redis_server import find_redis_server
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import TributaryError
from tributary_runtime.settings import (
    DurabilityMode,
    WithAttribution,
    WithDedup,
    WithDelivery,
    WithIngestion,
    WithQuery,
    WithWorkspaces,
    problems,
)
from tributary_runtime.workspaces_file import InvalidWorkspacesError, parse_workspaces
from tributary_storage.clickhouse.client import connect as connect_clickhouse
from tributary_storage.clickhouse.migrate import pending
from tributary_storage.redis import claim_sizing, lost_claims
from tributary_storage.redis.claim_buckets import sample_buckets
from tributary_storage.redis.client import connect as connect_redis
from tributary_storage.redis.cluster_coverage import coverage_problems
from tributary_storage.redis.durability import Durability
from tributary_storage.redis.epoch import Role, read_epoch
from tributary_storage.redis.fill import LogFill
from tributary_storage.redis.rebuild_progress import RebuildProgress

_TIMEOUT_SECONDS = 5.0
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_ROLES: tuple[Role, ...] = ("log", "state", "jobs")


class DoctorSettings(
    MigrateSettings, WithWorkspaces, WithIngestion, WithDedup, WithAttribution, WithDelivery, WithQuery
):
    """Everything an installation is made of."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What: `redis:log`, `clickhouse`, `service:query`."""
    is_ok: bool
    """Whether it is as it should be."""
    said: str
    """What was found."""
    next_step: str = ""
    """What to do, where it is not as it should be."""


def check_settings(environ: Mapping[str, str]) -> Check:
    """Says what is wrong with the settings; `environ` must be what pydantic reads."""
    found = problems(DoctorSettings, environ)
    if found:
        return Check("settings", False, "; ".join(found), "Set these variables, as the services have them.")
    return Check("settings", True, "complete")


def check_workspaces(path: Path) -> Check:
    """Says whether workspaces.yaml can be used."""
    name = "workspaces"
    try:
        workspaces = parse_workspaces(path, resolve_secrets=False).workspaces
    except InvalidWorkspacesError as error:
        return Check(name, False, "; ".join(error.problems), f"Correct {path}; a running service keeps the old one.")
    keys = sum(len(workspace.api_keys) for workspace in workspaces)
    if not keys:
        return Check(name, False, f"{len(workspaces)} workspaces, no API key", "`tributary keys create` makes one.")
    return Check(name, True, f"{len(workspaces)} workspaces, {keys} API keys")


async def check_redis_roles(environ: Mapping[str, str]) -> list[Check]:
    """Says of each Redis role whether it answers, and whether all belong to one installation."""
    urls: dict[Role, str] = {role: url for role in _ROLES if (url := environ.get(f"TRIBUTARY_{role.upper()}_URL", ""))}
    checks, epochs = [], set()
    for role, url in urls.items():
        check, epoch = await _check_redis(role, url, _durability_of(environ))
        checks.append(check)
        epochs.add(epoch)
    if len(epochs - {None}) > 1:
        said = "the Redis roles belong to different installations"
        checks.append(Check("redis", False, said, "Correct the TRIBUTARY_*_URL that is wrong."))
    return checks


async def _check_redis(role: Role, url: str, mode: DurabilityMode) -> tuple[Check, str | None]:
    """Looks at the Redis of one role, and returns its epoch too, if it has one."""
    name, variable = f"redis:{role}", f"TRIBUTARY_{role.upper()}_URL"
    try:
        async with connect_redis(url, name="doctor", timeout_seconds=_TIMEOUT_SECONDS, connections=1) as client:
            found = await Durability(client, role, mode).problems()
            epoch = await read_epoch(client)
            fill = LogFill(client)
            await fill.measure()
            found += await coverage_problems(client, role)
            buckets = await sample_buckets(client, epoch, random.Random()) if epoch and role == "log" else None  # noqa: S311 - which to look at
            rebuilt = await RebuildProgress(client).read() if role == "state" else None
    except TributaryError as error:
        return Check(name, False, error.message, f"See {variable}."), None
    except ValueError:  # its message may repeat a password
        return Check(name, False, "the URL cannot be read", f"Correct {variable}."), None
    if fill.is_full:
        found.append(f"The Redis of role {role} is {fill.share:.0%} full: give it more memory (maxmemory).")
    if role == "log" and buckets is not None:
        found += buckets.problems()
    if found or epoch is None:
        bad = Check(name, False, "may not keep what it acknowledges", " ".join(found))
        return bad, epoch.epoch_id if epoch is not None else None
    said = f"durability {mode.value}, epoch {epoch.epoch_id}, {epoch.shards} shards"
    if role == "log":
        claims = claim_sizing.MOST_MEAN * epoch.shards * 2**epoch.claim_bucket_bits
        said += f", sized for {claims:,} live claims at most, largest bucket seen {buckets.largest if buckets else 0}"
        said += _said_of_lost_claims(epoch.loss_time_micros)
    if rebuilt is not None and epoch.loss_time_micros:
        is_whole = rebuilt.is_finished and rebuilt.loss_micros >= epoch.loss_time_micros
        state = "whole again" if is_whole else f"being made whole again, at workspace {rebuilt.workspace or 'none'}"
        said += f", {state} after a loss: {rebuilt.events:,} events, {rebuilt.conversions:,} conversions brought back"
    return Check(name, True, said), epoch.epoch_id


def check_vouching(environ: Mapping[str, str]) -> list[Check]:
    """Says that the operator vouches for the event log: for an emergency, and not for longer."""
    name = "TRIBUTARY_DEDUP_ACCEPT_OLDER_LOG"
    if environ.get(name, "").lower() not in _TRUE:
        return []
    said = f"{name} is set: whatever event log is found while ClickHouse is out is taken for whole"
    return [Check("dedup:continuity", False, said, "Unset it as soon as ClickHouse answers.")]


def _said_of_lost_claims(loss_micros: int) -> str:
    """Says until when what has no claim is looked up in ClickHouse; nothing where no loss matters any more."""
    match lost_claims.lacking(loss_micros, SystemClock().unix_micros()):
        case lost_claims.Lacking.NOTHING:
            return ""
        case lost_claims.Lacking.ORDERS:
            ids = ""
        case lost_claims.Lacking.ALL:
            ids = f"event ids until {_day(lost_claims.ids_until(loss_micros))}, "
    orders = f"orders and refunds until {_day(lost_claims.orders_until(loss_micros))}"
    return f", claims lost on {_day(loss_micros)} are looked up in ClickHouse: {ids}{orders}"


def _day(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _durability_of(environ: Mapping[str, str]) -> DurabilityMode:
    """Returns the declared mode; what is none of them is said by the check of the settings."""
    declared = environ.get("TRIBUTARY_DURABILITY", "")
    return DurabilityMode(declared) if declared in set(DurabilityMode) else DurabilityMode.FSYNC


async def check_clickhouse(url: str) -> Check:
    """Says whether ClickHouse answers, and has this version's tables."""
    name = "clickhouse"
    try:
        async with connect_clickhouse(
            url, name="doctor", timeout_seconds=_TIMEOUT_SECONDS, connections=1
        ) as clickhouse:
            ((version,),) = await clickhouse.execute("SELECT version()")
            waiting = await pending(clickhouse)
    except TributaryError as error:
        step = "" if "migrate" in error.message else "See that it runs, and that TRIBUTARY_CLICKHOUSE_URL is right."
        return Check(name, False, error.message, step)
    except ValueError as error:
        return Check(name, False, str(error), "Correct TRIBUTARY_CLICKHOUSE_URL.")
    if waiting:
        return Check(name, False, f"version {version}, {len(waiting)} migrations behind", "Run `tributary migrate`.")
    return Check(name, True, f"version {version}, migrated")


def check_service(name: str, target: str) -> Check:
    """Says whether a service serves."""
    health = check_health(target, name, _TIMEOUT_SECONDS)
    match health:
        case Health.SERVING:
            return Check(f"service:{name}", True, f"{target}: serving")
        case Health.NOT_SERVING:
            step = "It says why in its log (became_not_ready); mostly it is one of the stores."
        case Health.UNREACHABLE:
            step = "See that it runs, and that its address is right."
    return Check(f"service:{name}", False, f"{target}: {health.value}", step)


async def check_services(targets: Mapping[str, str]) -> list[Check]:
    """Says whether each service serves; asks all at once."""
    known = [(name, targets[name]) for name in SERVICES if name in targets]
    return list(await asyncio.gather(*(asyncio.to_thread(check_service, name, target) for name, target in known)))


def check_local_parts() -> list[Check]:
    """Says whether `tributary up` has what it needs."""
    from importlib.util import find_spec

    checks = []
    try:
        checks.append(Check("local:redis-server", True, find_redis_server()))
    except StackError as error:
        checks.append(Check("local:redis-server", False, error.message, error.next_step))
    if find_spec("chdb") is None:
        checks.append(Check("local:clickhouse", False, "missing", "pip install 'tributary[local]'"))
    else:
        checks.append(Check("local:clickhouse", True, "chdb-core"))
    return checks
