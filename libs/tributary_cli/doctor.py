"""`tributary doctor`: what is reachable, what is misconfigured, and what to do about it. Changes nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from tributary_cli.console import logs_on_stderr, output, print_json
from tributary_cli.doctor_checks import (
    Check,
    check_clickhouse,
    check_local_parts,
    check_redis_roles,
    check_services,
    check_settings,
    check_vouching,
    check_workspaces,
)
from tributary_cli.doctor_ids import check_ids
from tributary_cli.doctor_retention import check_retention
from tributary_cli.doctor_warehouses import check_warehouses
from tributary_cli.local import data_option, nothing_named, running_installation
from tributary_cli.stack.directory import StackDirectory
from tributary_cli.stack.environment import names_stores, set_environment, settings_of
from tributary_cli.stack.health import SERVICES


@click.command()
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def doctor(ctx: click.Context, data: Path, as_json: bool) -> None:
    """Say what is reachable, what is misconfigured, and what to do.

    Looks at the installation that the TRIBUTARY_* variables describe (those of any service will do), else at the local
    one that `tributary up` runs in --data. The exit status is 1 if anything is not as it should be.
    """
    with logs_on_stderr():
        checks = asyncio.run(_examine(data))
    is_well = all(check.is_ok for check in checks)
    if as_json:
        print_json({"ok": is_well, "checks": [asdict(check) for check in checks]})
    else:
        _present(checks)
    if not is_well:
        ctx.exit(1)


async def _examine(data: Path) -> list[Check]:
    if names_stores(os.environ):
        return await _examine_installation(os.environ)
    installation = running_installation(data)
    if installation is None:
        found = Check(
            "installation", False, nothing_named(data), "Start one with `tributary up`, or set the variables of yours."
        )
        return [found, *check_local_parts()]
    with set_environment(settings_of(installation, StackDirectory(data))):
        return [*check_local_parts(), *await _examine_installation(os.environ)]


async def _examine_installation(environ: Mapping[str, str]) -> list[Check]:
    checks = [check_settings(environ)]
    if workspaces_file := environ.get("TRIBUTARY_WORKSPACES_FILE"):
        checks.append(check_workspaces(Path(workspaces_file)))
    checks += await check_redis_roles(environ)
    checks += check_vouching(environ)
    if clickhouse_url := environ.get("TRIBUTARY_CLICKHOUSE_URL"):
        checks.append(await check_clickhouse(clickhouse_url))
        checks += await check_ids(clickhouse_url)
        if workspaces_file:
            checks += await check_retention(Path(workspaces_file), clickhouse_url)
    if workspaces_file and (jobs_url := environ.get("TRIBUTARY_JOBS_URL")):
        checks += await check_warehouses(Path(workspaces_file), jobs_url)
    targets = {name: target for name in SERVICES if (target := environ.get(f"TRIBUTARY_{name.upper()}_TARGET"))}
    return checks + await check_services(targets)


def _present(checks: list[Check]) -> None:
    from rich.text import Text

    console = output()
    for check in checks:
        mark = Text("ok  ", style="green") if check.is_ok else Text("BAD ", style="bold red")
        console.print(mark, Text(f"{check.name:<20}", style="bold"), Text(check.said), sep="")
        if check.next_step and not check.is_ok:
            console.print(Text(f"    {'':<20}{check.next_step}", style="yellow"))
    bad = sum(not check.is_ok for check in checks)
    console.print(f"{bad} of {len(checks)} checks need your attention." if bad else "All is well.", style="bold")
