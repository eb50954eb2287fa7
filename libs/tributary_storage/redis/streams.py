"""Streams as logs: one consumer of one group over several streams.

The one rule: nothing leaves the pending list but by an acknowledgement, so whatever a dead worker had read is found
again. Fails closed: an outage is `StorageUnavailableError`, then the call is made again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import redis.asyncio
import structlog

from tributary_runtime.errors import StorageUnavailableError, TributaryError
from tributary_storage.redis.cluster_silence import AWAY
from tributary_storage.redis.stream_entries import Portion, StreamEntry

log = structlog.get_logger(__name__)

DEAD_LETTER_LIFE_MILLIS: Final = 30 * 86_400_000
_MOST_ENTRIES: Final = 256
_MOST_PORTIONS: Final = 2
"""How many times as much as it should a batch may hold."""
_POSTPONED_MILLIS: Final = 5_000


class GroupReader:
    """One consumer of one group over several streams.

    Args:
        client: Its timeout must exceed `Portion.wait_seconds`, for which `read` blocks.
        streams: All of them.
        group: The consumer group; created where it is missing, from the very beginning.
        consumer: A name that this process alone has now and has again after a restart, such as the host's: what it
            left is then found at once instead of after `Portion.idle_seconds`.
        portion: How much to read at once.
        failed: Says what is raised instead of an error of Redis.
        first: Those of the streams that are read alone while they hold anything; none: all are equal.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        streams: Sequence[str],
        group: str,
        consumer: str,
        portion: Portion,
        failed: Callable[[redis.RedisError], TributaryError],
        *,
        first: Sequence[str] = (),
    ) -> None:
        self._client: Any = client
        self._streams = [stream.encode() for stream in streams]
        self._first = [stream.encode() for stream in first]
        self._group = group
        self._consumer = consumer
        self._portion = portion
        self._failed = failed
        # What is remembered between calls; losing it loses nothing.
        self._per_stream = portion.per_stream
        self._history = self._all_history()
        self._searched: dict[bytes, bytes] = {}
        self._ahead: list[StreamEntry] = []
        self._read_seconds = -math.inf
        """When a batch was read last, by the loop's clock."""

    async def read(self) -> list[StreamEntry]:
        """Returns the next entries, oldest first within a stream; after `Portion.wait_seconds` none.

        A call that fails may have read entries nobody saw, which are this consumer's from then on: the next call looks
        for them first.
        """
        return await self._own_or(self._next)

    async def take_over(self) -> list[StreamEntry]:
        """Returns what was read and never acknowledged: by this consumer's past life, or long ago by others."""
        return await self._own_or(self._abandoned)

    async def ack(self, places: Iterable[tuple[str, str]]) -> None:
        """Marks entries as done, each named by its stream and id. May run twice.

        Where some nodes of a cluster do not answer, theirs stay as they are: they are taken over, and done once more.
        """
        by_stream: dict[str, list[str]] = {}
        for stream, entry_id in places:
            by_stream.setdefault(stream, []).append(entry_id)
        pipeline = self._client.pipeline(transaction=False)
        for stream, ids in by_stream.items():
            pipeline.execute_command("XACK", stream, self._group, *ids)
        answers = await self._answer(pipeline.execute(raise_on_error=False))
        failed = [answer for answer in answers if isinstance(answer, redis.RedisError)]
        if failed and (len(failed) == len(answers) or not all(isinstance(one, AWAY) for one in failed)):
            raise self._failed(failed[0]) from failed[0]

    async def postpone(self, entries: Iterable[tuple[str, str, int]]) -> None:
        """Leaves entries as if they were read long ago: whoever comes first takes them over in 5 seconds.

        The delivery that ends with it does not count: nothing is wrong with the entry. May run twice.

        Args:
            entries: Stream, id, and how often it was delivered, this time included.
        """
        await self._age(entries, max(0, int(self._portion.idle_seconds * 1000) - _POSTPONED_MILLIS))

    async def hand_back(self) -> None:
        """Leaves all that this consumer read and never acknowledged as if that was long ago: others need not wait.

        For who leaves in order and may never come back under its name. As `postpone`, it counts no delivery.
        """
        self._ahead, self._history = [], self._all_history()
        idle_millis = int(self._portion.idle_seconds * 1000)
        for stream in self._streams:
            start = "-"
            while start:
                command = ("XPENDING", stream, self._group, start, "+", _MOST_ENTRIES, self._consumer)
                pending = await self._with_group(*command, parse_detail=True)
                left = [(stream.decode(), one["message_id"].decode(), int(one["times_delivered"])) for one in pending]
                await self._age(left, idle_millis)
                start = f"({left[-1][1]}" if len(left) == _MOST_ENTRIES else ""

    async def _age(self, entries: Iterable[tuple[str, str, int]], idle_millis: int) -> None:
        """Lets entries of this consumer have been read so long ago; the delivery that ends with it does not count."""
        pipeline = self._client.pipeline(transaction=False)
        for stream, entry_id, deliveries in entries:
            command = ("XCLAIM", stream, self._group, self._consumer, 0, entry_id, "IDLE", idle_millis)
            counted = ("RETRYCOUNT", max(0, deliveries - 1), "JUSTID")
            pipeline.execute_command(*command, *counted, parse_justid=True)
        await self._answer(pipeline.execute())

    async def dead_letter(self, stream: str, fields: Mapping[str, Any], reason: str, message: str) -> None:
        """Keeps for 30 days what no worker could handle.

        Args:
            stream: Of the dead letters; what is older than 30 days goes.
            fields: What it was and where it stood.
            reason: Why, as a stable name.
            message: Why, for people.
        """
        whole = {**fields, "reason": reason, "message": message, "version": version("tributary")}
        flat = [text for pair in whole.items() for text in pair]
        dead_id = await self._run("XADD", stream, "*", *flat)
        oldest = int(dead_id.partition(b"-")[0]) - DEAD_LETTER_LIFE_MILLIS
        await self._run("XTRIM", stream, "MINID", "~", max(0, oldest))

    async def create_groups(self) -> None:
        """Creates the group on every stream that has it not, from the very beginning. May run twice."""
        for stream in self._streams:
            try:
                await self._client.execute_command("XGROUP", "CREATE", stream, self._group, "0", "MKSTREAM")
            except redis.RedisError as error:
                if "BUSYGROUP" not in str(error):
                    raise self._failed(error) from error

    async def read_again(self) -> None:
        """Lets the group read all that its streams hold once more; what is pending stays so. May run twice."""
        await self.create_groups()
        for stream in self._streams:
            await self._run("XGROUP", "SETID", stream, self._group, "0")

    async def _own_or(self, others: Callable[[], Awaitable[list[StreamEntry]]]) -> list[StreamEntry]:
        """Returns what is this consumer's and was not seen in this life; if there is none, what `others` finds."""
        if self._ahead:
            return self._cut(self._ahead)
        try:
            entries = await self._own_past()
            return self._cut(entries or await others())
        except StorageUnavailableError:
            self._history = self._all_history()
            raise

    async def _own_past(self) -> list[StreamEntry]:
        """Returns what this consumer read in its past life; of a node that does not answer, later: others go on."""
        try:
            while self._history:
                entries = await self._past()
                if entries:
                    return entries
        except StorageUnavailableError:  # nobody may have seen what was read
            self._history = dict.fromkeys(self._history, b"0")
        return []

    def _cut(self, entries: list[StreamEntry]) -> list[StreamEntry]:
        """Returns no more entries than can be handled at once, and keeps the others for the next call.

        How heavy entries are is known only once they are here; to work on them takes many times their memory.
        """
        most, weight, taken = _MOST_PORTIONS * self._portion.size, 0, 0
        for entry in entries:
            weight += self._portion.weigh(entry)
            if taken and weight > most:
                break
            taken += 1
        self._ahead = entries[taken:]
        return entries[:taken]

    def _all_history(self) -> dict[bytes, bytes]:
        """Returns the last id seen of each stream whose entries of this consumer are to be read again: all, none."""
        return dict.fromkeys(self._streams, b"0")

    async def _next(self) -> list[StreamEntry]:
        entries = await self._new(self._first, block=False) if self._first else []
        if not entries:
            entries = await self._new(self._streams, block=True)
        if entries and self._portion.linger_seconds and self._weight(entries) < self._portion.size:
            now = asyncio.get_running_loop().time
            left = self._read_seconds + self._portion.linger_seconds - now()
            if left > 0:
                await asyncio.sleep(left)
                entries += await self._new(self._streams, block=False)
            self._read_seconds = now()
        self._learn(entries)
        return entries

    async def _new(self, streams: Sequence[bytes], *, block: bool) -> list[StreamEntry]:
        blocking = ("BLOCK", max(1, round(self._portion.wait_seconds * 1000))) if block else ()  # 0 would be for ever
        found = await self._read(self._per_stream, *blocking, "STREAMS", *streams, *([">"] * len(streams)))
        return [
            StreamEntry(stream.decode(), entry_id.decode(), fields, deliveries=1)
            for stream, entries in found
            for entry_id, fields in entries
        ]

    async def _past(self) -> list[StreamEntry]:
        """Reads on in what this consumer's past life left, and forgets the streams where nothing is left."""
        found = await self._read(self._again(), "STREAMS", *self._history, *self._history.values())
        entries: list[StreamEntry] = []
        for stream, again in found:
            if not again:
                self._history.pop(stream, None)
                continue
            self._history[stream] = again[-1][0]
            entries += await self._counted(stream, again)
        self._learn(entries)
        return entries

    async def _abandoned(self) -> list[StreamEntry]:
        idle_millis = int(self._portion.idle_seconds * 1000)
        entries: list[StreamEntry] = []
        outage: StorageUnavailableError | None = None
        answered = 0
        for stream in self._streams:
            start = self._searched.get(stream, b"0-0")
            command = ("XAUTOCLAIM", stream, self._group, self._consumer, idle_millis, start)
            try:
                answer = await self._with_group(*command, "COUNT", self._again())
            except StorageUnavailableError as error:  # of a cluster maybe one node: what others hold is not to wait
                outage = error
                continue
            answered += 1
            self._searched[stream] = answer[0]
            if len(answer) > 2 and answer[2]:
                _alarm(stream, answer[2])
            entries += await self._counted(stream, answer[1])
        if outage is not None and not answered:
            raise outage
        self._learn(entries)
        return entries

    async def _counted(self, stream: bytes, found: Sequence[tuple[bytes | None, Any]]) -> list[StreamEntry]:
        """Returns entries with how often they were delivered; alarms where one is gone from the stream."""
        whole = [(entry_id, fields) for entry_id, fields in found if entry_id and fields]
        if len(whole) < len(found):  # Redis before 7 answers nil
            lost = [entry_id for entry_id, fields in found if not (entry_id and fields)]
            _alarm(stream, lost)
            gone = [entry_id for entry_id in lost if entry_id]
            if gone:
                await self._run("XACK", stream, self._group, *gone)
        if not whole:
            return []
        command = ("XPENDING", stream, self._group, whole[0][0], whole[-1][0], _MOST_ENTRIES, self._consumer)
        pending = await self._answer(self._client.execute_command(*command, parse_detail=True))
        deliveries = {one["message_id"]: int(one["times_delivered"]) for one in pending}
        return [
            StreamEntry(stream.decode(), entry_id.decode(), fields, deliveries.get(entry_id, 1))
            for entry_id, fields in whole
        ]

    async def _read(self, count: int, *where: Any) -> list[tuple[bytes, list[tuple[bytes, Any]]]]:
        """Returns (stream, entries) of an XREADGROUP, whichever protocol gave it."""
        answer = await self._with_group("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count, *where)
        if isinstance(answer, Mapping):
            return [(stream, found[0] if found else []) for stream, found in answer.items()]
        return [(stream, found) for stream, found in answer or ()]

    async def _with_group(self, *command: Any, **options: Any) -> Any:
        """Runs a command that needs the group, after making it if there is none."""
        try:
            return await self._client.execute_command(*command, **options)
        except redis.RedisError as error:
            if "NOGROUP" not in str(error):
                raise self._failed(error) from error
        await self.create_groups()
        return await self._run(*command, **options)

    async def _run(self, *command: Any, **options: Any) -> Any:
        return await self._answer(self._client.execute_command(*command, **options))

    async def _answer(self, waiting: Awaitable[Any]) -> Any:
        try:
            return await waiting
        except redis.RedisError as error:
            raise self._failed(error) from error

    def _again(self) -> int:
        """Returns how many entries of each stream to read again at once: no more than new ones."""
        return min(self._portion.taken_over, self._per_stream)

    def _weight(self, entries: Sequence[StreamEntry]) -> int:
        return sum(self._portion.weigh(entry) for entry in entries)

    def _learn(self, entries: Sequence[StreamEntry]) -> None:
        """Adapts how many entries to ask for to how much one weighs."""
        if entries:
            each = max(1, self._weight(entries) // len(entries))
            wanted = self._portion.size // (each * len(self._first or self._streams))
            self._per_stream = max(1, min(max(_MOST_ENTRIES, self._portion.per_stream), wanted))


def _alarm(stream: bytes, lost: Sequence[bytes | None]) -> None:
    """Tells that entries left the stream before they were finished."""
    first = next((entry_id.decode() for entry_id in lost if entry_id), "")
    log.error("log_entries_lost", stream=stream.decode(), entries=len(lost), first=first)
