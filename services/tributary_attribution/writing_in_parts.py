"""Revisions that are written together, of which one may be refused: the others are stored all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tributary_storage.clickhouse.client import StatementRefusedError

One = TypeVar("One")


async def stored_of(write: Callable[[Sequence[One]], Awaitable[object]], wanted: Sequence[One]) -> list[One]:
    """Writes revisions; returns those that were stored: one whose credit does not add up is not.

    Args:
        write: Stores all of some, or raises `StatementRefusedError` and stores none.
        wanted: What is to be stored.

    Raises:
        StorageUnavailableError: Some may be stored.
    """
    try:
        await write(wanted)
    except StatementRefusedError:
        if len(wanted) <= 1:
            return []
        middle = len(wanted) // 2
        return [*await stored_of(write, wanted[:middle]), *await stored_of(write, wanted[middle:])]
    return list(wanted)
