"""Events of the log that were refused -> whom they name, and when they happened: nothing else of them concerns anybody.

The one rule: one that cannot be read names nobody; the recorder puts it aside. Read only where somebody was erased.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_storage.clickhouse.event_rows import REFUSED
from tributary_storage.codec.refusal_times import happened_micros
from tributary_storage.redis.log_entry import LogEntry

_LETTERS: Final = frozenset(REFUSED)


def holds_refused(entry: LogEntry) -> bool:
    """Tells whether any event of an entry was refused: asked of every entry, so nothing is read for it."""
    return not _LETTERS.isdisjoint(entry.mask)


def refused_in(entry: LogEntry) -> Iterator[tuple[str, Sequence[str], int]]:
    """Yields workspace, identity tokens and time of each event of an entry that was refused and names somebody.

    Raises:
        PoisonEvent: It can never be read.
    """
    for _, letter, admission, content in entry.events():
        if letter in _LETTERS:
            try:
                admitted = AdmittedEvent.FromString(content)
            except DecodeError:
                continue
            if tokens := admitted.identity_tokens:
                yield admission.workspace, tokens, happened_micros(admitted.event, entry.accept_micros)
