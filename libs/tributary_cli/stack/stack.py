"""A whole local installation: Redis, ClickHouse, migrations and the five services, each its own process.

What was acknowledged stays in its directory over every stop, kill and start. Nothing runs on after `stop`, nor after
this process ends in whatever way. Any number of stacks run side by side, each with its own directory.
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from tributary_cli.errors import LossError, StackError
from tributary_cli.stack.clickhouse_server import ClickHouseServer
from tributary_cli.stack.directory import Installation, StackDirectory, write_private
from tributary_cli.stack.environment import environment_of
from tributary_cli.stack.health import SERVICES
from tributary_cli.stack.ports import HOST, Ports
from tributary_cli.stack.process import ChildProcess
from tributary_cli.stack.redis_server import RedisServer
from tributary_cli.stack.services import STOP_ORDER, ServiceProcess
from tributary_cli.stack.workspaces_file import LOCAL_WORKSPACE, render_local_workspaces
from tributary_runtime.authentication import new_key
from tributary_runtime.workspaces_file import InvalidWorkspacesError, parse_workspaces

PARTS = (*SERVICES, "redis", "clickhouse", "clickhouse_http")
"""Everything that listens; the names under which ports are given."""

_ROLES = ("log", "state", "jobs")
_MIGRATION_SECONDS = 120
_READY_SECONDS = 120  # all start at once, on a machine that may have other work
_STOP_SECONDS = 30  # a service lets calls in flight finish
_TOKEN_BYTES = 24


class Stack:
    """A local installation, running between `start` and `stop`, or inside `with`.

    Attributes:
        directory: Where everything it keeps lies.
        redis: The one server that plays all Redis roles. Known once started, like all that follow.
        clickhouse: The ClickHouse server.
        services: The services by name.
        installation: Ports, workspace, API key.
    """

    redis: RedisServer
    clickhouse: ClickHouseServer
    services: dict[str, ServiceProcess]
    installation: Installation

    def __init__(
        self,
        directory: Path,
        *,
        ports: Mapping[str, int] | None = None,
        workspaces: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describes the installation; nothing is written or started before `start`.

        Args:
            directory: For data, logs, `workspaces.yaml` and memory; made if missing.
            ports: Ports by part (`PARTS`) that must be these; else those of the last start, else free ones.
            workspaces: A `workspaces.yaml` that is read where it lies, now and whenever it changes; or the text of one,
                which replaces the one in the directory. None keeps what the last start had, or makes one workspace with
                a fresh API key.
            environment: Added to that of every service and of the migration: `TRIBUTARY_DEDUP_...`, `OTEL_...`.
            announce: Told what happens, in a few words each time.
        """
        self.directory = StackDirectory(directory)
        self._ports = dict(ports or {})
        self._workspaces = workspaces
        self._environment = dict(environment or {})
        self._announce = announce
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def addresses(self) -> dict[str, str]:
        """Where each part listens, host:port."""
        return {part: f"{HOST}:{port}" for part, port in self.installation.ports.items()}

    @property
    def api_key(self) -> str:
        """A key with every scope; empty if `workspaces` was given."""
        return self.installation.api_key

    @property
    def is_running(self) -> bool:
        """Whether every part runs."""
        return all(process.is_running for process in self.processes().values())

    def processes(self) -> dict[str, ChildProcess]:
        """Returns every process by name, stores first."""
        return {"redis": self.redis, "clickhouse": self.clickhouse, **self.services}

    def start(self, lost: Collection[str] = ()) -> None:
        """Starts everything and returns when every service serves; on failure nothing runs on.

        Args:
            lost: The Redis roles that lost data for good, which is confirmed before any service starts.

        Raises:
            LossError: Redis lost data, and that was not confirmed; with the command that does.
            StackError: A part did not start; with the end of its log.
        """
        with ExitStack() as closing:
            closing.enter_context(self.directory.lock())
            self._prepare(closing.enter_context(Ports()))
            closing.callback(self._forget_pid)
            self._announce("Starting Redis and ClickHouse")
            for store in (self.redis, self.clickhouse):
                closing.callback(store.stop)
                store.start()
            for store in (self.redis, self.clickhouse):
                store.wait_until_ready(_READY_SECONDS)
            self._announce("Applying migrations")
            self.migrate(*_confirmations(lost))
            self._announce("Starting the services")
            closing.callback(self._stop_services)
            for service in self.services.values():
                service.start()
            self._wait_for_services()
            self._closing = closing.pop_all()

    def stop(self) -> None:
        """Stops everything in order, callers before the called, stores last. Twice is once."""
        self._closing.close()

    def kill(self, name: str) -> None:
        """Kills one part (`kill -9`) and returns when it is gone; `restart` brings it back."""
        self.processes()[name].kill()

    def restart(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Starts one part again, stopping it first if it runs, and returns when it can be used.

        Args:
            name: A service, `redis` or `clickhouse`.
            environment: For a service: added to its environment from now on.
        """
        process = self.processes()[name]
        process.stop()
        if environment:
            process = self._service(name, {**self._environment, **environment})
            self.services[name] = process
        process.start()
        process.wait_until_ready(_READY_SECONDS)

    def start_again(self, name: str) -> None:
        """Starts a part that ended, and does not wait for it: it may wait for another one that ended too."""
        process = self.processes()[name]
        process.stop()
        process.start()

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Returns the whole environment of a process that shall use this installation."""
        return environment_of(self.installation, self.directory, extra)

    def _prepare(self, ports: Ports) -> None:
        before = self.directory.recall()
        self.installation = replace(
            before,
            ports={part: self._choose_port(part, before, ports) for part in PARTS},
            internal_token=before.internal_token or secrets.token_hex(_TOKEN_BYTES),
            pid=os.getpid(),
        )
        self._write_workspaces()
        self.directory.remember(self.installation)
        chosen = self.installation.ports
        self.redis = RedisServer(self.directory.redis, chosen["redis"])
        self.clickhouse = ClickHouseServer(self.directory.clickhouse, chosen["clickhouse"], chosen["clickhouse_http"])
        self.services = {name: self._service(name, self._environment) for name in SERVICES}

    def _service(self, name: str, extra: Mapping[str, str]) -> ServiceProcess:
        log_file = self.directory.logs / f"{name}.log"
        return ServiceProcess(name, self.installation.ports[name], log_file, self.environment(extra))

    def _choose_port(self, part: str, before: Installation, ports: Ports) -> int:
        wanted = self._ports.get(part)
        if wanted is not None:
            if not ports.hold(wanted):
                raise StackError(f"Port {wanted}, wanted for {part}, is in use.", "Choose another one.")
            return wanted
        last = before.ports.get(part)
        return last if last is not None and ports.hold(last) else ports.take()

    def _write_workspaces(self) -> None:
        own = self.directory.workspaces_file
        file = Path(self.installation.workspaces_file or own)
        if isinstance(self._workspaces, Path):
            file = self._workspaces.absolute()
            named = "" if file == own else str(file)
            self.installation = replace(self.installation, workspace="", api_key="", workspaces_file=named)
        elif self._workspaces is not None:
            file = own
            write_private(file, self._workspaces)
            self.installation = replace(self.installation, workspace="", api_key="", workspaces_file="")
        elif self.installation.workspaces_file and not file.exists():
            raise StackError(
                f"{file}, which the last start used, is gone.", "Bring it back, or name another one with --workspaces."
            )
        elif not file.exists():
            key = new_key()
            write_private(file, render_local_workspaces(key))
            self.installation = replace(
                self.installation, workspace=LOCAL_WORKSPACE, api_key=key.key.get_secret_value()
            )
        try:
            parse_workspaces(file)
        except InvalidWorkspacesError as error:
            raise StackError(f"{file} cannot be used.", "Correct it:", "\n".join(error.problems)) from error

    def migrate(self, *arguments: str) -> None:
        """Runs the command that a cluster's migration job runs.

        Args:
            arguments: Whatever else it shall be told: `--confirm-loss state`.

        Raises:
            StackError: It failed.
        """
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "tributary_cli", "migrate", *arguments],
            env=self.environment(self._environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_MIGRATION_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise StackError("The migrations were not applied.", detail=(done.stdout + done.stderr).strip())

    def _wait_for_services(self) -> None:
        try:
            for service in self.services.values():
                service.wait_until_ready(_READY_SECONDS)
        except LossError as refused:
            # One Redis plays all roles, and not each loss shows (nobody else knows of journeys): confirm all.
            command = shlex.join(["tributary", "up", "--data", str(self.directory.path), *_confirmations(_ROLES)])
            step = f"Bring the right data back into {self.directory.redis}; or, if it is lost for good: {command}"
            raise LossError(refused.message, step, refused.detail) from refused

    def _stop_services(self) -> None:
        for names in STOP_ORDER:
            for name in names:
                self.services[name].ask_to_stop()
            for name in names:
                self.services[name].stop(_STOP_SECONDS)

    def _forget_pid(self) -> None:
        self.directory.remember(replace(self.installation, pid=0))


def _confirmations(lost: Collection[str]) -> list[str]:
    return [word for role in lost for word in ("--confirm-loss", role)]
