"""The conversion log: revisions of conversions, one stream per shard, for delivery's group `deliver`.

The one rule: a revision is appended once ClickHouse has it (`Conversions.emit`), and stays until every known group has
finished it. A consumer may meet one twice, and ignores a (conversion, revision) it knows. Implements the worker's
`Source`; fails closed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import redis.asyncio
from google.protobuf.message import DecodeError

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_runtime.errors import PoisonEvent
from tributary_storage.redis import keys
from tributary_storage.redis.keys import CONVERSION_LOG_GROUPS, DELIVER_GROUP
from tributary_storage.redis.state_scripts import failed
from tributary_storage.redis.stream_entries import Portion, StreamEntry, is_put_back
from tributary_storage.redis.stream_keeping import StreamKeeping
from tributary_storage.redis.streams import DEAD_LETTER_LIFE_MILLIS, GroupReader

_TAKEN_OVER: Final = 64
_STREAM = re.compile(r"trb:\{c(\d+)\}:conversions")


@dataclass(frozen=True, slots=True)
class RevisionEntry:
    """One revision in the log."""

    at: StreamEntry

    @property
    def shard(self) -> int:
        """The shard of the conversion."""
        place = _STREAM.fullmatch(self.at.stream)
        return int(place[1]) if place else 0

    @property
    def entry_id(self) -> str:
        """Of the stream: milliseconds-sequence."""
        return self.at.entry_id

    @property
    def deliveries(self) -> int:
        """How often it was handed to a worker, this time included."""
        return self.at.deliveries

    @property
    def accept_micros(self) -> int:
        """When it was appended, microseconds since 1970."""
        return self.at.append_micros

    @property
    def is_put_back(self) -> bool:
        """Whether it was a dead letter."""
        return is_put_back(self.at.fields)

    @property
    def content(self) -> bytes:
        """Serialised `ConversionRevised`."""
        return self.at.fields.get(b"revised", b"")

    def revised(self) -> ConversionRevised:
        """Reads the revision.

        Raises:
            PoisonEvent: The entry holds none.
        """
        try:
            revised = ConversionRevised.FromString(self.content)
        except DecodeError as error:
            raise PoisonEvent("REVISION_UNREADABLE", "The entry is no ConversionRevised.") from error
        if not revised.state.conversion_id:
            raise PoisonEvent("REVISION_UNREADABLE", "The entry names no conversion.")
        return revised


class ConversionLogSource:
    """One consumer of group `deliver`.

    Args:
        client: Of the role *state*; its timeout must exceed a second, for which `read` blocks.
        consumer: A name that this process alone has now and has again after a restart.
        shards: Of the epoch.
        entries: How many revisions to read at once.
        linger_seconds: How long fewer of them wait for more.
        idle_seconds: After how long what another consumer read and never acknowledged is taken over.
        group: The consumer group.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        consumer: str,
        shards: int,
        *,
        entries: int = 500,
        linger_seconds: float = 0.0,
        idle_seconds: float = 60.0,
        group: str = DELIVER_GROUP,
    ) -> None:
        self._group = group
        portion = Portion(
            size=entries,
            per_stream=max(1, entries // shards),
            taken_over=_TAKEN_OVER,
            linger_seconds=linger_seconds,
            idle_seconds=idle_seconds,
        )
        self._reader = GroupReader(client, _streams(shards), group, consumer, portion, failed)

    async def read(self) -> Sequence[RevisionEntry]:
        """Returns the next revisions, oldest first within a shard; waits up to a second, then returns none."""
        return [RevisionEntry(entry) for entry in await self._reader.read()]

    async def take_over(self) -> Sequence[RevisionEntry]:
        """Returns revisions that were read and never acknowledged."""
        return [RevisionEntry(entry) for entry in await self._reader.take_over()]

    async def ack(self, entries: Sequence[RevisionEntry]) -> None:
        """Marks revisions as done."""
        await self._reader.ack((entry.at.stream, entry.entry_id) for entry in entries)

    async def postpone(self, entries: Sequence[RevisionEntry]) -> None:
        """Leaves revisions to be taken over in some seconds."""
        await self._reader.postpone((entry.at.stream, entry.entry_id, entry.deliveries) for entry in entries)

    async def create_groups(self) -> None:
        """Creates the group on every stream that has it not, from the very beginning. May run twice."""
        await self._reader.create_groups()

    async def read_again(self) -> None:
        """Lets the group read all that the log still holds once more; what is pending stays so. May run twice."""
        await self._reader.read_again()

    async def hand_back(self) -> None:
        """Leaves all that this consumer read and never acknowledged to whoever looks first. May run twice."""
        await self._reader.hand_back()

    async def dead_letter(
        self, entry: RevisionEntry, single: ConversionRevised | None, reason: str, message: str
    ) -> None:
        """Keeps a revision for 30 days beside the log."""
        fields = {
            "entry": entry.entry_id,
            "workspace": "" if single is None else single.workspace,
            "conversion_id": "" if single is None else single.state.conversion_id,
            "revision": 0 if single is None else single.revision,
            "payload": entry.content,
        }
        await self._reader.dead_letter(keys.conversion_dead_letters(entry.shard, self._group), fields, reason, message)


class ConversionLogKeeping:
    """What is done to the conversion log from outside of its readers.

    Args:
        client: Of the role *state*.
        shards: Of the epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._dead_letters = [
            keys.conversion_dead_letters(shard, group) for group in CONVERSION_LOG_GROUPS for shard in range(shards)
        ]
        self._keeping = StreamKeeping(client, _streams(shards), failed)

    async def trim(self, horizon_seconds: float, groups: Sequence[str] = CONVERSION_LOG_GROUPS) -> int:
        """Removes what every group has finished and is older than the horizon; returns how many revisions.

        Dead letters past their life go too.
        """
        await self._keeping.trim_older(self._dead_letters, DEAD_LETTER_LIFE_MILLIS / 1000)
        return await self._keeping.trim(horizon_seconds, groups)


def _streams(shards: int) -> list[str]:
    return [keys.conversion_log(shard) for shard in range(shards)]
