"""The lists of networks that workspaces name, on disk: read at start, read again when one changes.

The one rule: fails open. A list that cannot be read leaves the one that was read before, or none; it is logged and
counted, and nobody is quarantined for it.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from tributary_domain.addresses import NO_ADDRESSES, AddressBook, Span, read_network, read_networks
from tributary_runtime import metrics
from tributary_runtime.door_settings import BotAddresses
from tributary_runtime.errors import TributaryError
from tributary_runtime.workspaces import Workspace
from tributary_runtime.workspaces_file import WorkspacesFile

log = structlog.get_logger(__name__)

_Stamp = tuple[int, int, int]
_SpansOf = Callable[[Path], list[Span]]
_SHOWN_LINES = 5
_NOTHING: list[Span] = []


class InvalidAddressListError(TributaryError):
    """A list of networks cannot be used."""

    default_reason = "ADDRESS_LIST_INVALID"


class _Files:
    """What was read of each file, and how it looked then."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[_Stamp, list[Span]]] = {}

    def spans_of(self, path: Path) -> list[Span]:
        """Returns the networks of a file; reads it again only if it looks different.

        Raises:
            InvalidAddressListError: It cannot be read, or holds what is no network.
        """
        try:
            seen = os.stat(path)
            stamp = seen.st_ino, seen.st_mtime_ns, seen.st_size
            known = self._read.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            spans, bad = read_networks(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            message = f"{path} cannot be read: {error.__class__.__name__}."
            raise InvalidAddressListError(message) from error
        if bad:
            lines = ", ".join(map(str, bad[:_SHOWN_LINES])) + (" and more" if len(bad) > _SHOWN_LINES else "")
            message = f"{path} holds what is no network, in line {lines}."
            raise InvalidAddressListError(message)
        self._read[path] = stamp, spans
        return spans


def read_book(declared: BotAddresses) -> AddressBook:
    """Reads the lists of one workspace once.

    Raises:
        InvalidAddressListError: One cannot be used.
    """
    return _book(declared, _Files().spans_of)


def _book(declared: BotAddresses, spans_of: _SpansOf) -> AddressBook:
    networks = [span for network in declared.exempt_networks if (span := read_network(str(network))) is not None]
    exempt = [span for path in declared.exempt_files for span in spans_of(path)]
    return AddressBook([(path.stem, spans_of(path)) for path in declared.files], [*networks, *exempt])


class AddressLists:
    """The lists of every workspace as they are now; also a loop for `serve(loops=[...])` that keeps them so.

    Args:
        workspaces: As declared now.
        poll_seconds: How often to look for a change.
    """

    name = "address_lists"

    def __init__(self, workspaces: WorkspacesFile, *, poll_seconds: float = 5.0) -> None:
        self._workspaces = workspaces
        self._poll_seconds = poll_seconds
        self._files = _Files()
        self._refused: dict[Path, str] = {}
        self._told: dict[Path, list[Span]] = {}
        self._books: Mapping[str, tuple[BotAddresses, tuple[int, ...], AddressBook]] = {}
        self.refresh()

    def of(self, workspace: Workspace) -> AddressBook:
        """Returns the lists of a workspace; none until they have been read."""
        known = self._books.get(workspace.id)
        return known[2] if known is not None else NO_ADDRESSES

    def refresh(self) -> None:
        """Reads what looks different now, and makes the books anew that depend on it."""
        books: dict[str, tuple[BotAddresses, tuple[int, ...], AddressBook]] = {}
        for workspace in self._workspaces.current.workspaces:
            declared = workspace.bot_addresses
            if not declared.files:
                continue
            # Lists are replaced as a whole, so that the same objects mean the same content.
            version = tuple(id(self._spans_of(path)) for path in (*declared.files, *declared.exempt_files))
            before = self._books.get(workspace.id)
            if before is not None and before[0] == declared and before[1] == version:
                books[workspace.id] = before
            else:
                books[workspace.id] = declared, version, _book(declared, self._spans_of)
        self._books = books

    def _spans_of(self, path: Path) -> list[Span]:
        try:
            spans = self._files.spans_of(path)
        except InvalidAddressListError as error:
            if self._refused.get(path) != error.message:  # told once, not every few seconds
                metrics.ADDRESS_LIST_READS.add(1, outcome=metrics.ReloadOutcome.REFUSED)
                log.error("address_list_refused", path=str(path), problem=error.message)
                self._refused[path] = error.message
            return self._known_or_none(path)
        if self._told.get(path) is not spans:
            metrics.ADDRESS_LIST_READS.add(1, outcome=metrics.ReloadOutcome.TAKEN)
            log.info("address_list_read", path=str(path), networks=len(spans))
            self._told[path] = spans
            self._refused.pop(path, None)
        return spans

    def _known_or_none(self, path: Path) -> list[Span]:
        return self._told.get(path, _NOTHING)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks for changes until stopped."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(self._poll_seconds):
                    await stop.wait()
            except TimeoutError:
                await asyncio.to_thread(self.refresh)
