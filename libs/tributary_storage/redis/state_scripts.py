"""Runs a script of the state role for many keys at once: one call per shard, all in one round trip.

All keys of a call carry the hash tag of its shard, so that it runs on Redis Cluster as on one node. Fails closed: what
Redis refuses or does not answer is `StorageUnavailableError`, because none of it is an event's fault. Speaks to a
connection itself: a redis-py pipeline would cost more per event than all that the scripts do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import redis.asyncio
from hiredis import pack_command
from redis.exceptions import NoScriptError, ResponseError

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis.scripts import Argument, Script

Call = tuple[Sequence[Argument], Sequence[Argument]]
"""Keys and arguments."""

_PACK: Final[Any] = pack_command  # its stub knows only commands of one word
_SILENT: Final = "The state store did not answer, or refused; what was read stays unacknowledged and is tried again."


def unavailable() -> StorageUnavailableError:
    """Returns the error for a state store that does not answer."""
    return StorageUnavailableError(_SILENT, metadata={"store": "state"})


async def run(client: redis.asyncio.Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """Runs a script once per call, in one round trip, and returns the answers in order.

    Calls that met a Redis without the script are run again; the others are not.

    Raises:
        StorageUnavailableError: A call failed; others may have had their effect.
    """
    if not calls:
        return []
    try:
        answers = await _send(client, script, calls)
        missing = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if missing:
            await client.script_load(script.body)
            again = await _send(client, script, [calls[at] for at in missing])
            for at, answer in zip(missing, again, strict=True):
                answers[at] = answer
    except redis.RedisError as error:
        raise unavailable() from error
    for answer in answers:
        if isinstance(answer, Exception):
            raise unavailable() from answer
    return answers


async def _send(client: redis.asyncio.Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """Returns an answer or a refusal per call; raises if the connection is lost."""
    pool: Any = client.connection_pool
    packed = [_PACK(("EVALSHA", script.sha, len(names), *names, *arguments)) for names, arguments in calls]
    connection = await pool.get_connection()
    try:
        await connection.send_packed_command(packed)
        answers = []
        for _ in packed:
            try:
                answers.append(await connection.read_response(disable_decoding=True))
            except ResponseError as refusal:
                answers.append(refusal)
        return answers
    except BaseException:
        await connection.disconnect(nowait=True)  # what it still has to say belongs to these calls
        raise
    finally:
        await pool.release(connection)


def by_shard(numbered: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """Groups positions by shard; positions keep their order.

    Args:
        numbered: (shard, position) pairs.
    """
    groups: dict[int, list[int]] = {}
    for shard, position in numbered:
        groups.setdefault(shard, []).append(position)
    return groups
