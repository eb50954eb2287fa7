"""Runs a script of the state role for many keys at once: one call per shard, all in one round trip.

All keys of a call carry the hash tag of its shard, so that it runs on Redis Cluster as on one node. Fails closed: what
Redis refuses or does not answer is `StorageUnavailableError`, because none of it is an event's fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import redis.asyncio

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis.scripts import Argument, Script

Call = tuple[Sequence[Argument], Sequence[Argument]]
"""Keys and arguments."""

_SILENT: Final = "The state store did not answer, or refused; what was read stays unacknowledged and is tried again."


def unavailable() -> StorageUnavailableError:
    """Returns the error for a state store that does not answer."""
    return StorageUnavailableError(_SILENT, metadata={"store": "state"})


async def run(client: redis.asyncio.Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """Runs a script once per call, in one round trip, and returns the answers in order.

    Raises:
        StorageUnavailableError: A call failed; others may have had their effect.
    """
    if not calls:
        return []
    try:
        answers = await script.call_many(client, calls)
    except redis.RedisError as error:
        raise unavailable() from error
    for answer in answers:
        if isinstance(answer, Exception):
            raise unavailable() from answer
    return answers


def by_shard(numbered: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """Groups positions by shard; positions keep their order.

    Args:
        numbered: (shard, position) pairs.
    """
    groups: dict[int, list[int]] = {}
    for shard, position in numbered:
        groups.setdefault(shard, []).append(position)
    return groups
