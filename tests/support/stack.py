"""Whole installations for tests: real stores and the five services as processes, with workspaces the test chooses."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.ports import free_port
from tributary_cli.stack.redis_server import RedisServer
from tributary_cli.stack.stack import Stack
from tributary_runtime.authentication import new_key
from tributary_runtime.workspaces import Scope

_SHARED_WORKSPACES = 60
_RUNNING: list[Stack] = []
_COMPLAINT = re.compile('"level": ?"(?:warning|error)"')
_LINES_SHOWN, _LINE_LENGTH = 10, 1_000
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class KeyedWorkspace:
    """A workspace of a running stack, and a key with every scope."""

    id: str
    api_key: str
    scoped: Mapping[str, str] = field(default_factory=dict)
    """Scope -> a key with that scope alone."""


def render_workspaces(settings: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, KeyedWorkspace]]:
    """Returns the text of a workspaces.yaml, and its workspaces with a fresh key each.

    Args:
        settings: Per workspace id whatever the file shall say beside id, pepper and keys; `{}` for the defaults.
    """
    entries, keyed = [], {}
    for workspace_id, own in settings.items():
        key, scoped = new_key(), {scope.value: new_key() for scope in Scope}
        secrets_of = {scope: one.key.get_secret_value() for scope, one in scoped.items()}
        keyed[workspace_id] = KeyedWorkspace(workspace_id, key.key.get_secret_value(), secrets_of)
        entry = {"id": key.id, "sha256": key.sha256, "scopes": [scope.value for scope in Scope]}
        of_scope = [{"id": one.id, "sha256": one.sha256, "scopes": [scope]} for scope, one in scoped.items()]
        pepper = {"value": secrets.token_hex(16)}
        entries.append({"id": workspace_id, "pepper": pepper, "api_keys": [entry, *of_scope], **own})
    return yaml.safe_dump({"workspaces": entries}, sort_keys=False), keyed


@contextmanager
def running_stack(
    directory: Path,
    settings: Mapping[str, Mapping[str, Any]],
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[Stack, dict[str, KeyedWorkspace]]]:
    """Starts an installation of the test's own, to be killed and restarted part by part.

    Args:
        directory: For its data.
        settings: As for `render_workspaces`.
        environment: Added to every service's.
    """
    text, keyed = render_workspaces(settings)
    with Stack(directory, workspaces=text, environment=environment) as stack:
        _RUNNING.append(stack)
        try:
            yield stack, keyed
        finally:
            _RUNNING.remove(stack)


def complaints() -> list[tuple[str, str]]:
    """Returns the last warnings and errors in the logs of installations that run now; each under a title."""
    found: list[tuple[str, str]] = []
    for stack in _RUNNING:
        for name, process in stack.processes().items():
            lines = _lines_of(process.log_file)
            told = [line for line in lines if _COMPLAINT.search(line)] if process.is_running else lines
            if told:
                title = f"{name}{'' if process.is_running else ', which does not run,'} of {stack.directory.path.name}"
                found.append((title, _shown(told)))
    return found


def last_words(directory: Path) -> list[tuple[str, str]]:
    """Returns how the logs end of processes that a test started in its directory; each under its name.

    Of lines that say the same with other numbers only the last one: who waits for something says so every second.
    """
    found = []
    for path in log_files(directory):
        last = {_NUMBERS.sub("", line): (at, line) for at, line in enumerate(_lines_of(path))}
        if last:
            found.append((str(path.relative_to(directory)), _shown([line for _, line in sorted(last.values())])))
    return found


def log_files(directory: Path) -> list[Path]:
    """Returns the logs below a directory, also while stores run in it.

    They remove folders all the time, and `Path.rglob` fails at one that goes while it looks; `os.walk` passes over it.
    """
    found = (Path(folder, name) for folder, _, names in os.walk(directory) for name in names)
    return sorted(path for path in found if path.suffix == ".log")


def _lines_of(log_file: Path) -> list[str]:
    return log_file.read_text(errors="replace").splitlines() if log_file.exists() else []


def _shown(lines: list[str]) -> str:
    return "\n".join(line[:_LINE_LENGTH] for line in lines[-_LINES_SHOWN:])


@contextmanager
def running_roles(directory: Path) -> Iterator[tuple[dict[str, RedisServer], dict[str, str]]]:
    """Starts a Redis for each of the roles state and jobs; yields them, and what points an installation to them."""
    servers = {role: RedisServer(directory / role, free_port()) for role in ("state", "jobs")}
    with ExitStack() as closing:
        for server in servers.values():
            closing.callback(server.stop)
            server.start()
        for server in servers.values():
            server.wait_until_ready()
        yield servers, {f"TRIBUTARY_{role.upper()}_URL": f"{server.url}/0" for role, server in servers.items()}


@dataclass
class SharedStack:
    """An installation that many tests use, each in a workspace of its own. Nobody kills parts of it."""

    stack: Stack
    _unused: Iterator[KeyedWorkspace]

    def take_workspace(self) -> KeyedWorkspace:
        """Returns a workspace that no other test uses, with the default settings."""
        return next(self._unused)

    @property
    def addresses(self) -> dict[str, str]:
        return self.stack.addresses


class StackOnDemand:
    """An installation with workspaces in stock, which runs from `open` to `close`.

    Args:
        directory: Makes one for its data.
    """

    def __init__(self, directory: Callable[[], Path]) -> None:
        self._directory = directory
        self._running = ExitStack()
        self._opened: SharedStack | None = None

    def open(self) -> SharedStack:
        """Starts it, unless it runs."""
        if self._opened is None:
            stock: dict[str, dict[str, Any]] = {f"w-{number}": {} for number in range(_SHARED_WORKSPACES)}
            stack, keyed = self._running.enter_context(running_stack(self._directory(), stock))
            self._opened = SharedStack(stack, iter(keyed.values()))
        return self._opened

    def close(self) -> None:
        """Stops it. Twice is once."""
        self._opened = None
        self._running.close()
