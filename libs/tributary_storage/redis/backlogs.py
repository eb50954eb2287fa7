"""What waits before each consumer group of the event log and the conversion log.

The one rule: when in doubt, it waits. What is delivered or finished while we look may still be counted; what is not
finished is never left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from redis.exceptions import ResponseError

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys

COUNTED_AT_MOST: Final = 100
"""Unread entries counted per stream where Redis (before 7) does not tell the lag."""


@dataclass(frozen=True, slots=True)
class GroupBacklog:
    """How far a group is behind, over all streams of its log."""

    group: str
    entries: int
    """Entries that are not acknowledged; before Redis 7 at most 100 unread ones are counted per stream."""
    oldest_micros: int | None
    """When the oldest of them was appended, microseconds since 1970; None: nothing waits."""
    dead_letters: int
    now_micros: int
    """The log's own time when it was asked."""

    @property
    def age_micros(self) -> int:
        """The age of the oldest entry that waits; 0 if none does."""
        return 0 if self.oldest_micros is None else max(0, self.now_micros - self.oldest_micros)


async def event_log_backlogs(client: redis.asyncio.Redis, shards: int) -> list[GroupBacklog]:
    """Returns the backlog of each group of the event log.

    Args:
        client: Of the role *log*.
        shards: Of the epoch.

    Raises:
        StorageUnavailableError: Redis did not answer.
    """
    streams = [keys.event_log(shard, lane) for lane in keys.LANES for shard in range(shards)]
    dead = {
        group: [keys.event_dead_letters(shard, group) for shard in range(shards)] for group in keys.EVENT_LOG_GROUPS
    }
    return await _backlogs(client, "log", streams, dead)


async def oldest_event_micros(client: redis.asyncio.Redis, shards: int) -> int | None:
    """Returns when the oldest event was accepted that any group of the event log has not finished; None: there is none.

    Raises:
        StorageUnavailableError: The event log did not answer.
    """
    backlogs = await event_log_backlogs(client, shards)
    return min((one.oldest_micros for one in backlogs if one.oldest_micros is not None), default=None)


async def conversion_log_backlogs(client: redis.asyncio.Redis, shards: int) -> list[GroupBacklog]:
    """Returns the backlog of each group of the conversion log.

    Args:
        client: Of the role *state*.
        shards: Of the epoch.

    Raises:
        StorageUnavailableError: Redis did not answer.
    """
    streams = [keys.conversion_log(shard) for shard in range(shards)]
    dead = {
        group: [keys.conversion_dead_letters(shard, group) for shard in range(shards)]
        for group in keys.CONVERSION_LOG_GROUPS
    }
    return await _backlogs(client, "state", streams, dead)


async def oldest_unfinished_micros(client: redis.asyncio.Redis, shards: int, lane: keys.Lane) -> int | None:
    """Returns when the oldest entry of a lane was appended that some group has not finished; None: nothing waits.

    Reads no more than one entry per stream and group, and none where Redis tells that nothing is unread.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    streams = [keys.event_log(shard, lane) for shard in range(shards)]
    answers = await _send(client, [("XINFO GROUPS", stream) for stream in streams])
    commands: list[tuple[Any, ...]] = []
    for stream, answer in zip(streams, answers, strict=True):
        groups = _by_name(answer)
        for group in keys.EVENT_LOG_GROUPS:
            found = groups.get(group)
            if found is None:
                commands.append(("XRANGE", stream, "-", "+", "COUNT", 1))
                continue
            if found["pending"]:
                commands.append(("XPENDING", stream, group))
            if found.get("lag") != 0:
                commands.append(("XRANGE", stream, f"({found['last-delivered-id'].decode()}", "+", "COUNT", 1))
    oldest: list[int] = []
    for answer in await _send(client, commands) if commands else []:
        _raise_if_error(answer)
        if isinstance(answer, dict):
            oldest += [_micros(answer["min"])] if answer["pending"] else []
        else:
            oldest += [_micros(answer[0][0])] if answer else []
    return min(oldest, default=None)


async def _backlogs(
    client: redis.asyncio.Redis, role: str, streams: Sequence[str], dead: dict[str, list[str]]
) -> list[GroupBacklog]:
    letters = [(group, stream) for group, streams_of in dead.items() for stream in streams_of]
    try:
        time, *answers = await _send(
            client,
            [("TIME",), *(("XINFO GROUPS", stream) for stream in streams), *(("XLEN", key) for _, key in letters)],
        )
        _raise_if_error(time)
        now_micros = int(time[0]) * 1_000_000 + int(time[1])
        groups = [_by_name(answer) for answer in answers[: len(streams)]]
        dead_letters = dict.fromkeys(dead, 0)
        for (group, _), length in zip(letters, answers[len(streams) :], strict=True):
            _raise_if_error(length)
            dead_letters[group] += int(length)
        return [
            await _backlog(client, group, list(zip(streams, groups, strict=True)), dead_letters[group], now_micros)
            for group in dead
        ]
    except redis.RedisError as error:
        raise StorageUnavailableError("Redis did not answer.", metadata={"store": role}) from error


async def _backlog(
    client: redis.asyncio.Redis,
    group: str,
    streams: Sequence[tuple[str, dict[str, dict[str, Any]]]],
    dead_letters: int,
    now_micros: int,
) -> GroupBacklog:
    commands: list[tuple[Any, ...]] = []
    lags: list[int | None] = []
    for stream, groups in streams:
        found = groups.get(group)
        after = "-" if found is None else f"({found['last-delivered-id'].decode()}"
        lag = None if found is None else found.get("lag")
        lags.append(None if lag is None else int(lag))
        commands.append(("XPENDING", stream, group))
        commands.append(("XRANGE", stream, after, "+", "COUNT", COUNTED_AT_MOST if lag is None else 1))
    answers = await _send(client, commands) if commands else []
    entries, oldest = 0, []
    for index, lag in enumerate(lags):
        pending, unread = answers[2 * index], answers[2 * index + 1]
        if not isinstance(pending, ResponseError):  # no such group yet: nothing was delivered to it
            _raise_if_error(pending)
            entries += int(pending["pending"])
            oldest += [_micros(pending["min"])] if pending["pending"] else []
        _raise_if_error(unread)
        entries += max(lag or 0, len(unread))
        oldest += [_micros(unread[0][0])] if unread else []
    return GroupBacklog(group, entries, min(oldest, default=None), dead_letters, now_micros)


async def _send(client: redis.asyncio.Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers


def _by_name(answer: Any) -> dict[str, dict[str, Any]]:
    """Returns the groups of a stream; none where there is no such stream yet."""
    if isinstance(answer, ResponseError):
        return {}
    _raise_if_error(answer)
    return {group["name"].decode(): group for group in answer}


def _raise_if_error(answer: Any) -> None:
    if isinstance(answer, redis.RedisError):
        raise answer


def _micros(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0]) * 1000
