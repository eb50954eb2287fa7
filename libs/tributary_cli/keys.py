"""`tributary keys`: makes API keys. Nothing is stored: the key is printed once, its hash goes into workspaces.yaml."""

from __future__ import annotations

import re
from datetime import datetime

import click

from tributary_cli.console import print_json
from tributary_runtime.authentication import new_key
from tributary_runtime.clock import SystemClock
from tributary_runtime.workspaces import Scope

_SCOPES = [scope.value for scope in Scope]
_WORKSPACE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@click.group()
def keys() -> None:
    """Make API keys."""


@keys.command()
@click.argument("workspace")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(_SCOPES),
    help="What it may do; repeat it. [ingest]",
)
@click.option("--expires-on", metavar="YYYY-MM-DD", type=click.DateTime(["%Y-%m-%d"]), help="Last day it is accepted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def create(workspace: str, scopes: tuple[str, ...], expires_on: datetime | None, as_json: bool) -> None:
    """Make a key for WORKSPACE and print it, once, with the lines to add to workspaces.yaml.

    The file gets only a hash: a key that is lost cannot be shown again, only replaced.
    """
    import yaml  # heavy: only who makes a key pays

    if not _WORKSPACE.fullmatch(workspace):
        raise click.BadParameter(
            "a workspace id is lower-case letters, digits and dashes, at most 63.", param_hint="WORKSPACE"
        )
    if expires_on is not None and expires_on.date() < SystemClock().now().date():
        raise click.BadParameter(
            f"{expires_on.date()} is over: nothing would accept the key.", param_hint="--expires-on"
        )
    key = new_key()
    entry: dict[str, object] = {
        "id": key.id,
        "sha256": key.sha256,
        "scopes": list(dict.fromkeys(scopes or ("ingest",))),
    }
    if expires_on is not None:
        entry["expires_on"] = expires_on.date()
    if as_json:
        print_json({"workspace": workspace, "api_key": key.key.get_secret_value(), "entry": entry})
        return
    snippet = yaml.safe_dump([entry], sort_keys=False, default_flow_style=None, width=200)
    click.echo(f"API key, shown this once:\n\n  {key.key.get_secret_value()}\n")
    click.echo(f"Add this to workspaces.yaml, under `api_keys` of the workspace {workspace}:\n")
    click.echo("\n".join(f"      {line}" for line in snippet.splitlines()))
