"""Keeps the event log as long as it must be kept and no longer; says how far behind its readers are.

The one rule: what a known group of the event log has not finished stays (`StreamKeeping`); a group that nobody knows
holds nothing back, and is alarmed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import redis.asyncio

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.client import runs_of_name
from tributary_storage.redis.epoch import read_epoch
from tributary_storage.redis.event_log import places
from tributary_storage.redis.keys import EVENT_LOG_GROUPS, Lane, event_dead_letters
from tributary_storage.redis.stream_keeping import Position, StreamKeeping
from tributary_storage.redis.streams import DEAD_LETTER_LIFE_MILLIS

_BEGIN_LIFE_SECONDS: Final = 400 * 86_400
"""Longer than a run of Redis is ever not compared with ClickHouse."""

_BEGUN: Final = "begun"
"""Noted of a shard before any is said to be compared."""

DEAD_LETTER_LIFE_SECONDS: Final = DEAD_LETTER_LIFE_MILLIS / 1000


class LogKeeping:
    """What is done to the event log from outside of its readers.

    Args:
        client: Of the role *log*.
        shards: Of the epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._client: Any = client
        self._passed = [keys.log_passed(shard) for shard in range(shards)]
        self._places = places(shards)
        self._dead_letters = [event_dead_letters(shard, group) for group in EVENT_LOG_GROUPS for shard in range(shards)]
        self._keeping = StreamKeeping(client, list(self._places), _unavailable, known_groups=EVENT_LOG_GROUPS)

    async def trim(self, horizon_seconds: float, groups: Sequence[str] = EVENT_LOG_GROUPS) -> int:
        """Removes what every group has finished and is older than the horizon; returns how many entries.

        Dead letters past their life go too. May run twice, and in several processes.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        await self._keeping.trim_older(self._dead_letters, DEAD_LETTER_LIFE_SECONDS)
        return await self._keeping.trim(horizon_seconds, groups)

    async def last_positions(self) -> dict[tuple[int, Lane], Position]:
        """Returns the last id each stream has given out; trimmed entries count.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        return {self._places[stream]: last for stream, last in (await self._keeping.last_positions()).items()}

    async def runs(self) -> tuple[set[str], bool]:
        """Returns what names this run of each node that answers, another after each restart, and whether all do.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        return await self._keeping.runs()

    async def positions_at_begin(self, run: str) -> dict[tuple[int, Lane], Position]:
        """Returns the last ids when this run of Redis was first met, which whoever asks first notes in it.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        key = keys.begin(run)
        noted = await self._run("GET", key)
        if noted is None:
            now = [[*place, *position] for place, position in (await self.last_positions()).items()]
            await self._run("SET", key, json.dumps(now), "NX", "EX", _BEGIN_LIFE_SECONDS)
            noted = await self._run("GET", key)
        return {(shard, lane): (millis, sequence) for shard, lane, millis, sequence in json.loads(noted)}

    async def passed_run(self) -> str:
        """Returns the run of Redis that was compared with ClickHouse; empty: none was.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        return (await self._run("GET", keys.passed("log")) or b"").decode()

    async def note_passed(self, run: str) -> None:
        """Notes that a run of Redis was compared with ClickHouse, of each shard first.

        Every shard has a note before one names the run: who has none then was emptied.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        for arguments in ((_BEGUN, "NX"), (run,)):
            pipeline = self._client.pipeline(transaction=False)
            for key in self._passed:
                pipeline.execute_command("SET", key, *arguments)
            try:
                await pipeline.execute()
            except redis.RedisError as error:
                raise _unavailable(error) from error
        await self._run("SET", keys.passed("log"), run)

    async def noted_runs(self) -> dict[int, str]:
        """Returns the run that each shard that answers says was compared; empty: it says of none.

        Raises:
            StorageUnavailableError: No shard answered.
        """
        return {shard: note.decode() for shard, note in (await self._notes()).items()}

    async def passed_nodes(self) -> set[str]:
        """Returns the runs of nodes that every shard that answers was compared in; of what one lacks nobody vouches.

        Raises:
            StorageUnavailableError: No shard answered.
        """
        return set.intersection(*[runs_of_name(note.decode()) for note in (await self._notes()).values()])

    async def _notes(self) -> dict[int, bytes]:
        """Returns what the shards say that answer."""
        pipeline = self._client.pipeline(transaction=False)
        for key in self._passed:
            pipeline.get(key)
        answers = await pipeline.execute(raise_on_error=False)
        said = {shard: one or b"" for shard, one in enumerate(answers) if not isinstance(one, redis.RedisError)}
        if not said:
            raise _unavailable(answers[0])
        return said

    async def loss_micros(self) -> int:
        """Returns when the last confirmed loss was, microseconds since 1970; 0: there was none.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        epoch = await read_epoch(self._client)
        return 0 if epoch is None else epoch.loss_time_micros

    async def _run(self, *command: Any) -> Any:
        try:
            return await self._client.execute_command(*command)
        except redis.RedisError as error:
            raise _unavailable(error) from error


def _unavailable(_: redis.RedisError) -> StorageUnavailableError:
    """Takes every failure for an outage: no event can be at fault."""
    return StorageUnavailableError("The event log did not answer.", metadata={"store": "log"})
