"""The settings of a local installation, as the environment that its services, and commands that look after it, get."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tributary_cli.stack.clickhouse_server import url_of as clickhouse_url_of
from tributary_cli.stack.directory import Installation, StackDirectory
from tributary_cli.stack.health import SERVICES
from tributary_cli.stack.ports import HOST
from tributary_cli.stack.redis_server import url_of as redis_url_of

PREFIX = "TRIBUTARY_"
STORES = ("TRIBUTARY_LOG_URL", "TRIBUTARY_STATE_URL", "TRIBUTARY_JOBS_URL", "TRIBUTARY_CLICKHOUSE_URL")
"""The variables that say where the stores are."""


def names_stores(environ: Mapping[str, str]) -> bool:
    """Tells whether variables say where any store is: then they are of an installation of one's own."""
    return any(name in environ for name in STORES)


@contextmanager
def set_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for a while: pydantic reads settings nowhere else."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def settings_of(installation: Installation, directory: StackDirectory) -> dict[str, str]:
    """Returns the `TRIBUTARY_*` variables of an installation; one Redis plays every role."""
    ports = installation.ports
    redis_url = f"{redis_url_of(ports['redis'])}/0"
    settings = {
        "LOG_URL": redis_url,
        "STATE_URL": redis_url,
        "JOBS_URL": redis_url,
        "CLICKHOUSE_URL": clickhouse_url_of(ports["clickhouse"]),
        "WORKSPACES_FILE": installation.workspaces_file or str(directory.workspaces_file),
        "INTERNAL_TOKEN": installation.internal_token,
        "DRAIN_DELAY_SECONDS": "0",  # no load balancer has to learn that a service leaves
        **{f"{name.upper()}_TARGET": f"{HOST}:{ports[name]}" for name in SERVICES},
    }
    return {f"{PREFIX}{name}": text for name, text in settings.items()}


def environment_of(
    installation: Installation, directory: StackDirectory, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Returns the whole environment of a process that shall use an installation.

    What the caller's shell sets for Tributary is left out: it is meant for another installation.
    """
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    return {**inherited, "PYTHONUNBUFFERED": "1", **settings_of(installation, directory), **(extra or {})}
