"""Finds the local installation that `tributary up` runs, so that other commands need no address and no key."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tributary_cli.errors import CommandError
from tributary_cli.stack.directory import Installation, StackDirectory
from tributary_cli.stack.ports import HOST


def default_directory() -> Path:
    """Returns where a local installation lies unless told otherwise (the XDG data directory)."""
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data_home) / "tributary"


data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_directory,
    envvar="TRIBUTARY_CLI_DATA",
    show_envvar=True,
    show_default="your data directory",
    help="Directory of the local installation.",
)
"""Adds --data to a command."""


confirm_loss_option = click.option(
    "--confirm-loss",
    "lost",
    type=click.Choice(["log", "state", "jobs"]),
    multiple=True,
    help="Accept that this Redis role lost data; see below. May be repeated.",
)
"""Adds --confirm-loss to a command that may make the stores ready."""


def running_installation(directory: Path) -> Installation | None:
    """Returns the installation in `directory` if it runs now."""
    found = StackDirectory(directory)
    return found.recall() if found.is_locked() else None


def nothing_named(directory: Path) -> str:
    """Returns what is wrong where neither variables name an installation nor a local one runs."""
    return f"no TRIBUTARY_*_URL is set, and no local installation runs in {directory}"


def resolve_target(target: str | None, service: str, directory: Path) -> str:
    """Returns where a service is: what the user said, else where the local installation has it.

    Raises:
        CommandError: Nothing was said and nothing runs.
    """
    if target:
        return target
    installation = running_installation(directory)
    if installation is None:
        raise CommandError(
            f"No address of {service} is known, and no local installation runs in {directory}.",
            f"Start one with `tributary up`, or give --target or TRIBUTARY_{service.upper()}_TARGET.",
        )
    return f"{HOST}:{installation.ports[service]}"


def resolve_api_key(api_key: str | None, directory: Path) -> str:
    """Returns the API key to use: what the user gave, else that of the local installation.

    Raises:
        CommandError: There is none.
    """
    installation = None if api_key else running_installation(directory)
    found = api_key or (installation.api_key if installation else "")
    if not found:
        raise CommandError(
            "No API key is known.", "Give --api-key or TRIBUTARY_API_KEY; `tributary keys create` makes one."
        )
    return found
