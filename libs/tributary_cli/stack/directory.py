"""The directory of one local installation: its stores' data, its logs, and what it must remember between two starts.

Two stacks never share a directory: the one that uses it holds a lock on it, which the kernel lets go of however the
process ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from tributary_cli.errors import StackError

_OWNER_ONLY = 0o600
_ATTEMPTS = 5
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Installation:
    """What a local installation remembers. It holds secrets, as a laptop's may: the file is its owner's only."""

    ports: dict[str, int] = field(default_factory=dict)
    """Port per part: each service's name, `redis`, `clickhouse`, `clickhouse_http`."""
    workspace: str = ""
    """The workspace the API key belongs to."""
    api_key: str = ""
    """A key with every scope; empty if somebody else wrote the workspaces."""
    workspaces_file: str = ""
    """The `workspaces.yaml` that is used where it lies; empty: the one in this directory."""
    internal_token: str = ""
    """What the services show each other."""
    pid: int = 0
    """Who runs it; 0 while it is stopped."""


class StackDirectory:
    """Paths and memory of one local installation."""

    def __init__(self, path: Path) -> None:
        """Describes the directory; it is made when something is written."""
        self.path = path.absolute()
        self.redis = self.path / "redis"
        self.clickhouse = self.path / "clickhouse"
        self.logs = self.path / "logs"
        self.workspaces_file = self.path / "workspaces.yaml"
        self._memory = self.path / "stack.json"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps every other stack away from this directory.

        Raises:
            StackError: Another stack runs on it, or nothing can be written to it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            why = f"Nothing can be written to {self.path}: {error.strerror}."
            raise StackError(why, "Name another directory with --data.") from error
        with lock as file:
            if not _take(file):
                raise StackError(
                    f"Tributary runs on {self.path} already (pid {self.recall().pid}).",
                    "Stop it, or give this one another directory with --data.",
                )
            yield

    def is_locked(self) -> bool:
        """Says whether a stack runs on this directory now."""
        try:
            with (self.path / "lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def recall(self) -> Installation:
        """Returns what was remembered last; an empty installation at first.

        Raises:
            StackError: The file is damaged.
        """
        try:
            return Installation(**json.loads(self._memory.read_text()))
        except FileNotFoundError:
            return Installation()
        except (ValueError, TypeError) as error:
            raise StackError(
                f"{self._memory} cannot be read.", "Delete it: ports and API key are then made anew."
            ) from error

    def remember(self, installation: Installation) -> None:
        """Replaces what is remembered, as a whole or not at all."""
        write_private(self._memory, json.dumps(asdict(installation), indent=2) + "\n")


def _take(file: IO[str]) -> bool:
    """Takes the lock; whoever only looks at it (`is_locked`) holds it for a moment, a stack for long."""
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        else:
            return True
    return False


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY), "w") as file:
        file.write(text)
    fresh.replace(path)
