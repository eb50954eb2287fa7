"""A path as it is counted <-> bytes: what a conversion or a person keeps of it, and the fields that add paths up.

The one rule: what was counted is kept beside what it was counted for, so that exactly that is taken back, whatever a
later release would count. A conversion keeps `[workspace, name, channel, ...]`, a person `[[channel, ...], [name,
...]]`, as JSON. A field is a conversion name, a zero byte and a field of `PathCounts`; the empty name counts people for
every name, and the names that a person converted under take him back.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from tributary_domain.path_counts import PathCounts, counts_of, from_fields, without_repeats

EVERY_NAME: Final = ""
"""Stands for every conversion name."""
_BETWEEN: Final = "\0"
_CACHED: Final = 1 << 14

Changes = dict[bytes, int]
"""Field -> by how much it changes."""


def pack_conversion_path(workspace: str, name: str, path: Sequence[str]) -> bytes:
    """Returns what a conversion keeps of its path.

    Args:
        workspace: Whose it is.
        name: The conversion's.
        path: Channels of its touches, oldest first; empty where it is not counted.

    >>> pack_conversion_path("shop", "purchase", ["Email", "Email", "Direct"])
    b'["shop","purchase","Email","Direct"]'
    """
    return _packed(workspace, name, tuple(path))


def pack_person_path(path: Sequence[str], converted: Iterable[str]) -> bytes:
    """Returns what a person keeps of his path; empty where he has none.

    Args:
        path: Channels of his touches, oldest first.
        converted: Conversion names he has a counted conversion of.
    """
    return _pack([without_repeats(path), sorted(set(converted))]) if path else b""


def conversion_changes(noted: Iterable[bytes]) -> dict[str, Changes]:
    """Returns per workspace what the changes of conversions' paths add up to.

    Args:
        noted: Each the path before (empty: none was counted), a zero byte, the path from then on.
    """
    signed: Counter[bytes] = Counter()
    for one in noted:
        before, _, now = one.partition(b"\0")
        signed[now] += 1
        signed[before] -= 1
    found: dict[str, Changes] = {}
    for packed, times in signed.items():
        if packed and times:
            workspace, name, *path = json.loads(packed)
            _add(found.setdefault(workspace, {}), _named(name, tuple(path), converted=True), times)
    return {workspace: _without_zeros(changes) for workspace, changes in found.items()}


def person_changes(before: bytes, now: bytes) -> Changes:
    """Returns by how much counts change where a person's path takes the place of another.

    Args:
        before: As packed; empty: there was none.
        now: Likewise.
    """
    changes: Changes = {}
    if before != now:
        for packed, times in ((now, 1), (before, -1)):
            if packed:
                path, names = json.loads(packed)
                _add(changes, _named(EVERY_NAME, tuple(path), converted=False), times)
                for name in names:
                    _add(changes, _named(name, tuple(path), converted=False), -times)
    return _without_zeros(changes)


def counts_by_name(fields: Iterable[tuple[bytes, int]]) -> dict[str, PathCounts]:
    """Returns the counts per conversion name that fields add up to.

    Args:
        fields: Of any number of stores; one field of several is added up.
    """
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for field, count in fields:
        name, _, own = field.decode().partition(_BETWEEN)
        found[name][own] += count
    return {name: from_fields(own) for name, own in found.items()}


@lru_cache(maxsize=_CACHED)
def _packed(workspace: str, name: str, path: tuple[str, ...]) -> bytes:
    """Does so; what is published again and again has the same path each time."""
    return _pack([workspace, name, *without_repeats(path)])


def _pack(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


@lru_cache(maxsize=_CACHED)
def _named(name: str, path: tuple[str, ...], *, converted: bool) -> Mapping[bytes, int]:
    """Returns the fields of one path under a name."""
    fields = counts_of(path, converted=converted).fields()
    return {_under(name, field): count for field, count in fields.items()}


@lru_cache(maxsize=_CACHED)
def _under(name: str, field: str) -> bytes:
    return (name + _BETWEEN + field).encode()


def _add(changes: Changes, fields: Mapping[bytes, int], times: int) -> None:
    for field, count in fields.items():
        changes[field] = changes.get(field, 0) + times * count


def _without_zeros(changes: Changes) -> Changes:
    return {field: by for field, by in changes.items() if by}
