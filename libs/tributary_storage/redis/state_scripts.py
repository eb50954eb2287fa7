"""Runs a script of the state role for many keys at once: one call per shard, all in one round trip.

All keys of a call carry the hash tag of its shard, so that it runs on Redis Cluster as on one node. A call has a
bounded number of arguments, whatever a batch holds: Redis serves nobody else while a script runs. Fails closed: what
Redis does not answer is `StorageUnavailableError`, what it refuses for good `CommandRefusedError`. Speaks to a
connection itself: a redis-py pipeline would cost more per event than all that the scripts do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import redis.asyncio
from hiredis import pack_command
from redis.exceptions import NoScriptError, ResponseError

from tributary_runtime.errors import TributaryError
from tributary_storage.redis.cluster_nodes import asked, by_node, note
from tributary_storage.redis.refusals import is_outage, translate
from tributary_storage.redis.scripts import Argument, Script

Call = tuple[Sequence[Argument], Sequence[Argument]]
"""Keys and arguments."""

_PACK: Final[Any] = pack_command  # its stub knows only commands of one word
SILENT: Final = "The state store did not answer; nothing was acknowledged, try the same again."

_ARGUMENTS_PER_CALL: Final = 10_000
"""Arguments of one call, about; a single piece with more goes alone."""


class Piece(NamedTuple):
    """What a script shall do with one key."""

    shard: int
    name: str
    """The key."""
    arguments: Sequence[Argument] = ()
    beside: str = ""
    """A second key, of the same shard; empty: the script takes one per piece."""


def failed(error: redis.RedisError) -> TributaryError:
    """Returns what is raised where the state store fails."""
    return translate(error, "state", SILENT)


def in_calls(
    pieces: Iterable[Piece], head: Sequence[Argument] = (), first_key: Callable[[int], str] | None = None
) -> tuple[list[Call], list[list[int]]]:
    """Packs pieces into calls of one shard and a bounded size each. Pieces of one shard keep their order.

    A crash may come between any two calls, of one shard too: what must come last has to be the last piece.

    Args:
        pieces: In the order in which they shall happen.
        head: Arguments before those of the pieces, in every call.
        first_key: Shard -> a key before those of the pieces, in every call.

    Returns:
        The calls, and for each the positions of its pieces.
    """
    calls: list[tuple[list[Argument], list[Argument]]] = []
    positions: list[list[int]] = []
    open_calls: dict[int, int] = {}
    for position, (shard, name, arguments, beside) in enumerate(pieces):
        at = open_calls.get(shard)
        if at is None or len(calls[at][0]) + len(calls[at][1]) + len(arguments) >= _ARGUMENTS_PER_CALL:
            at = open_calls[shard] = len(calls)
            calls.append(([] if first_key is None else [first_key(shard)], list(head)))
            positions.append([])
        names, values = calls[at]
        names.append(name)
        if beside:
            names.append(beside)
        values.extend(arguments)
        positions[at].append(position)
    return list(calls), positions


async def run(client: redis.asyncio.Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """Runs a script once per call, in one round trip, and returns the answers in order.

    Calls that met a Redis without the script are run again; the others are not.

    Raises:
        StorageUnavailableError: A call failed; others may have had their effect.
        CommandRefusedError: Redis will never run a call; others may have had their effect.
    """
    return _all_of(await _run(client, script, calls))


async def run_some(client: redis.asyncio.Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """Runs a script once per call, as `run`; the answer is None where the shard's node of a cluster has none.

    Raises:
        StorageUnavailableError: No call was answered; some may have had their effect.
        CommandRefusedError: Redis will never run a call; others may have had their effect.
    """
    answers = await _run(client, script, calls)
    refusals = [answer for answer in answers if isinstance(answer, redis.RedisError)]
    if len(refusals) == len(answers) or not all(map(is_outage, refusals)):
        return _all_of(answers)
    return [None if isinstance(answer, redis.RedisError) else answer for answer in answers]


async def _run(client: redis.asyncio.Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """Returns an answer or a refusal per call."""
    keys = [names[0] for names, _ in calls]
    commands = [("EVALSHA", script.sha, len(names), *names, *arguments) for names, arguments in calls]
    return await _answers(client, keys, commands, script.body)


async def ask(client: redis.asyncio.Redis, commands: Sequence[Sequence[Argument]]) -> list[Any]:
    """Runs commands in one round trip, each of the one key behind its name, and returns the answers in order.

    Raises:
        StorageUnavailableError: A command failed; others may have had their effect.
        CommandRefusedError: Redis will never run a command; others may have had their effect.
    """
    return _all_of(await _answers(client, [command[1] for command in commands], commands))


def _all_of(answers: list[Any]) -> list[Any]:
    """Returns the answers if there are no refusals among them, else raises."""
    refusals = [answer for answer in answers if isinstance(answer, redis.RedisError)]
    if refusals:
        worst = next(filter(is_outage, refusals), refusals[0])  # after an outage nothing can be said of the others
        raise failed(worst) from worst
    return answers


async def _answers(
    client: redis.asyncio.Redis, keys: Sequence[Argument], commands: Sequence[Sequence[Argument]], script: bytes = b""
) -> list[Any]:
    """Returns an answer or a refusal per command, of which each key says where it belongs."""
    if not commands:
        return []
    answers: list[Any] = [None] * len(commands)

    async def send(node: redis.asyncio.Redis, places: Sequence[int]) -> None:
        try:
            found = await asked(client, node, partial(_scripted, node, [commands[at] for at in places], script))
        except redis.RedisError as error:
            found = [error] * len(places)
        for at, answer in zip(places, found, strict=True):
            answers[at] = answer

    try:
        groups = await by_node(client, keys)
    except redis.RedisError as error:
        note(client, [error])
        return [error] * len(commands)
    if len(groups) == 1:
        await send(*groups[0])
    else:
        await asyncio.gather(*[send(node, places) for node, places in groups])
    note(client, answers)
    return answers


async def _scripted(client: redis.asyncio.Redis, commands: Sequence[Sequence[Argument]], script: bytes) -> list[Any]:
    """Runs commands on one node; those that it does not have the script of once more, after it was told the script."""
    answers = await _send(client, commands)
    missing = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if missing:
        _, *again = await _send(client, [("SCRIPT", "LOAD", script), *(commands[at] for at in missing)])
        for at, answer in zip(missing, again, strict=True):
            answers[at] = answer
    return answers


async def _send(client: redis.asyncio.Redis, commands: Sequence[Sequence[Argument]]) -> list[Any]:
    """Returns an answer or a refusal per command; raises if the connection is lost."""
    pool: Any = client.connection_pool
    packed = [_PACK(tuple(command)) for command in commands]
    connection = await pool.get_connection()
    seconds, now = connection.socket_timeout, asyncio.get_running_loop().time
    connection.socket_timeout = None  # else the library has a timer, and a task, for every one of its steps
    try:
        async with asyncio.timeout(seconds) as patience:
            await connection.send_packed_command(packed)
            answers = []
            for _ in packed:
                if seconds is not None:
                    patience.reschedule(now() + seconds)
                try:
                    answers.append(await connection.read_response(disable_decoding=True))
                except ResponseError as refusal:
                    answers.append(refusal)
        return answers
    except BaseException as error:
        await connection.disconnect(nowait=True)  # what it still has to say belongs to these commands
        if isinstance(error, TimeoutError):
            raise redis.TimeoutError(f"No answer within {seconds} s") from error
        raise
    finally:
        connection.socket_timeout = seconds
        await pool.release(connection)
