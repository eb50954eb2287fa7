"""`workspaces.yaml` on disk: read at start, read again when it changes.

The one rule: a bad file never replaces a good one. At start it stops the process, later it is logged, counted and
ignored until it is right, whatever is wrong with it.

A file without any workspace is good at start, where nobody has been let in yet: a new installation has none. Later it
is taken for a mistake (a template that rendered nothing), and refused: all keys would be dead at once, and what was
accepted would have no workspace any more. Who means it restarts the services. Another pepper is refused likewise.
"""

import asyncio
import hmac
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import structlog
import yaml
from pydantic import BaseModel, ValidationError

from tributary_runtime import metrics
from tributary_runtime.clock import SystemClock
from tributary_runtime.declared import describe_problems
from tributary_runtime.errors import NotFoundError, TributaryError
from tributary_runtime.secret_references import WITHOUT_SECRETS, SecretReference
from tributary_runtime.workspaces import Workspace, Workspaces

log = structlog.get_logger(__name__)

_UNWRITABLE = re.compile("[\\0-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\\ud800-\\udfff]")
"""What YAML can escape, and Redis, ClickHouse, protobuf or a header cannot hold."""

_Fingerprint = tuple[tuple[str, int, int, int], ...]


class InvalidWorkspacesError(TributaryError):
    """The file cannot be used.

    Args:
        path: Which file.
        problems: Everything that is wrong with it, one sentence each.
    """

    default_reason = "WORKSPACES_INVALID"

    def __init__(self, path: Path, problems: list[str]) -> None:
        super().__init__(f"{path} cannot be used:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = problems


class _StrictLoader(yaml.SafeLoader):
    """Refuses keys that are there twice, values that cannot be, and texts that nobody can keep; says where."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, ArithmeticError) as error:  # a 31st of September, `!!int abc`
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"is no {kind}", node.start_mark) from error
        if isinstance(value, str) and _UNWRITABLE.search(value):
            problem = "a text with a control character, or half of a surrogate pair, that no store would keep"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice", key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


def parse_workspaces(path: Path, *, resolve_secrets: bool = True) -> Workspaces:
    """Reads the file once.

    Args:
        path: Where it is.
        resolve_secrets: False to check a file away from its secrets; then no secret can be revealed.

    Raises:
        InvalidWorkspacesError: It cannot be read, or says something we do not understand.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidWorkspacesError(path, [f"cannot be read: {error.__class__.__name__}"]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise InvalidWorkspacesError(path, [f"{place}{getattr(error, 'problem', None) or 'is no YAML'}"]) from None
    except (RecursionError, ValueError, ArithmeticError, TypeError, LookupError, AttributeError) as error:
        raise InvalidWorkspacesError(path, [f"is no YAML that can be read: {error.__class__.__name__}"]) from None
    try:
        return Workspaces.model_validate(content or {}, context=None if resolve_secrets else WITHOUT_SECRETS)
    except ValidationError as error:
        raise InvalidWorkspacesError(path, describe_problems(error)) from None
    except RecursionError:
        raise InvalidWorkspacesError(path, ["is nested too deeply"]) from None


class WorkspacesFile:
    """The workspaces as they are now; also a loop for `serve(loops=[...])` that keeps them so.

    Args:
        path: Where `workspaces.yaml` is. A symbolic link is followed anew each time: Kubernetes swaps links.
        poll_seconds: How often to look for a change.

    Raises:
        InvalidWorkspacesError: The file cannot be used.
    """

    name = "workspaces"

    def __init__(self, path: Path, *, poll_seconds: float = 5.0) -> None:
        self._path = path
        self._poll_seconds = poll_seconds
        self._reloading = threading.Lock()
        before = _stamp(path)  # if it changes while it is read, it will look different next time
        self.current: Workspaces = parse_workspaces(path)
        self._fingerprint: _Fingerprint = (before, *self._look_at_secrets())
        self._closed_since = dict.fromkeys(self.current.by_id, _appeared_micros(path))
        if not self.current.workspaces:
            log.warning("no_workspaces", path=str(path))

    @classmethod
    def load(cls, path: Path, *, poll_seconds: float = 5.0) -> Self:
        """Reads the file, as the constructor does."""
        return cls(path, poll_seconds=poll_seconds)

    def find(self, workspace_id: str) -> Workspace | None:
        """Returns a workspace, if there is one of this id now."""
        return self.current.by_id.get(workspace_id)

    def get(self, workspace_id: str) -> Workspace:
        """Returns a workspace.

        Raises:
            NotFoundError: There is none of this id now.
        """
        workspace = self.current.by_id.get(workspace_id)
        if workspace is None:
            message = "There is no such workspace; look at workspaces.yaml."
            raise NotFoundError(message, resource_type="workspace", resource_name=workspace_id)
        return workspace

    def closed_since_micros(self, workspace_id: str) -> int:
        """Returns since when, at the latest, books are closed through the day that they are closed through now.

        That is when this process took it from the file; what the file said at start, it says since it is there.
        """
        return self._closed_since.get(workspace_id, SystemClock().unix_micros())

    def wrapping_keys(self, workspace_id: str) -> tuple[bytes, ...]:
        """Returns what may have wrapped a workspace's data keys, the newest first; nothing where it keeps none."""
        workspace = self.find(workspace_id)
        return () if workspace is None else workspace.wrapping_keys

    def reload_if_changed(self) -> bool:
        """Reads the file again if it, or a file with a secret it names, looks different.

        Returns:
            Whether the workspaces were replaced. A bad file is logged and counted, and the good one stays.
        """
        with self._reloading:
            return self._reload_if_changed()

    async def refresh(self) -> None:
        """Reads the file now, if it looks different: for who meets a workspace that others know already."""
        await asyncio.to_thread(self.reload_if_changed)

    def _reload_if_changed(self) -> bool:
        before = _stamp(self._path)
        fingerprint = (before, *self._look_at_secrets())
        if fingerprint == self._fingerprint:
            return False
        self._fingerprint = fingerprint
        try:
            self._take(self._parse_again())
        except InvalidWorkspacesError as error:
            return self._refuse(error.problems, None)
        except Exception as error:  # a mistake of ours must not take the installation down with it
            return self._refuse([f"cannot be read: {error.__class__.__name__}"], error)
        self._fingerprint = (before, *self._look_at_secrets())  # other files may be named now
        metrics.WORKSPACES_RELOADS.add(1, outcome=metrics.ReloadOutcome.TAKEN)
        log.info("workspaces_reloaded", path=str(self._path), workspaces=len(self.current.workspaces))
        return True

    def _take(self, found: Workspaces) -> None:
        """Replaces the workspaces; since when books are closed comes first, lest they look closed long ago."""
        now, before = SystemClock().unix_micros(), self.current.by_id
        self._closed_since = {
            one.id: self._closed_since[one.id] if _is_closed_alike(one, before.get(one.id)) else now
            for one in found.workspaces
        }
        self.current = found

    def _parse_again(self) -> Workspaces:
        found = parse_workspaces(self._path)
        if self.current.workspaces and not found.workspaces:
            problem = "has no workspaces any more: taken for a mistake; if it is meant, restart the services"
            raise InvalidWorkspacesError(self._path, [problem])
        before = self.current.by_id
        changed = [one.id for one in found.workspaces if one.id in before and not _is_same_pepper(one, before[one.id])]
        if changed:
            problem = "has another pepper: everybody known would become a stranger, and each retry a conflict"
            raise InvalidWorkspacesError(self._path, [f"workspace {name} {problem}" for name in changed])
        return found

    def _refuse(self, problems: list[str], error: Exception | None) -> bool:
        """Keeps the old workspaces, and says so."""
        metrics.WORKSPACES_RELOADS.add(1, outcome=metrics.ReloadOutcome.REFUSED)
        log.error("workspaces_reload_refused", path=str(self._path), problems=problems, exc_info=error)
        return False

    async def run(self, stop: asyncio.Event) -> None:
        """Looks for changes until stopped."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(self._poll_seconds):
                    await stop.wait()
            except TimeoutError:
                await asyncio.to_thread(self.reload_if_changed)

    def _look_at_secrets(self) -> _Fingerprint:
        return tuple(_stamp(path) for path in sorted(set(_secret_files(self.current))))


def _is_same_pepper(one: Workspace, other: Workspace) -> bool:
    return hmac.compare_digest(one.pepper.reveal().encode(), other.pepper.reveal().encode())


def _is_closed_alike(one: Workspace, before: Workspace | None) -> bool:
    return before is not None and one.reporting.books_closed_through == before.reporting.books_closed_through


def _appeared_micros(path: Path) -> int:
    """Returns when a file came to be where it is as it is: not when it was written, which a copy may keep."""
    return os.stat(path).st_ctime_ns // 1_000


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        seen = os.stat(path)
    except OSError:
        return str(path), 0, 0, 0
    return str(path), seen.st_ino, seen.st_mtime_ns, seen.st_size


def _secret_files(part: object) -> Iterator[Path]:
    """Yields the files that the secrets of a part are read from."""
    if isinstance(part, SecretReference):
        if part.file is not None:
            yield part.file
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from _secret_files(getattr(part, name))
    elif isinstance(part, tuple):
        for member in part:
            yield from _secret_files(member)
