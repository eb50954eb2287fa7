"""Notes in every part of a cluster that its data were compared with what ClickHouse knows: what lacks one was emptied.

The one rule: every part has a note from before any is said to be compared, and for ever. So where one part says so and
another has no note, that one lost all that it held: its node came back without its data, or was emptied while it ran,
or its slots were given to a node that never had them. A slot that moves takes its note along. A single Redis has no
parts: it is emptied as a whole.

A note holds which loss was the last to be confirmed when it was written. One that was confirmed since is the answer to
what was found empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any, Final

import redis.asyncio

from tributary_storage.redis import keys
from tributary_storage.redis.cluster import ClusterRedis
from tributary_storage.redis.cluster_slots import SLOTS, slot_of
from tributary_storage.redis.epoch import Role

PARTS: Final = 64
"""Of one size. Never changed: a part that never had a note would look emptied. A node whose slots are fewer than two
parts may have none of theirs."""
_SIZE: Final = SLOTS // PARTS
_BEGUN: Final = b"begun"
"""What is noted of all parts before any is said to be compared."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What the parts say whose nodes answer."""

    parts: int
    """How many there are."""
    notes: Mapping[int, bytes | None]

    def emptied(self, loss_micros: int) -> list[str]:
        """Returns the slots that lost what they held; none where a loss was confirmed since it was there.

        Args:
            loss_micros: When the last confirmed loss was, microseconds since 1970; 0: there was none.
        """
        compared = [int(note) for note in self.notes.values() if note not in (None, _BEGUN)]
        if not compared or loss_micros > max(compared):
            return []
        return _ranges(part for part, note in self.notes.items() if note is None)

    def is_whole(self, loss_micros: int) -> bool:
        """Tells whether every part was compared since the last loss was confirmed."""
        return len(self.notes) == self.parts and {*self.notes.values()} <= {str(loss_micros).encode()}


class PassedNotes:
    """The notes of one role. Every method raises `redis.RedisError` if Redis does not answer.

    Args:
        client: Of the role.
        role: Which.
    """

    def __init__(self, client: redis.asyncio.Redis, role: Role) -> None:
        self._client: Any = client
        self._keys = part_keys(role) if isinstance(client, ClusterRedis) else []

    async def read(self) -> Noted:
        """Returns what the parts say; a node that does not answer says nothing of its own."""
        if not self._keys:
            return Noted(0, {})
        pipeline = self._client.pipeline(transaction=False)
        for key in self._keys:
            pipeline.get(key)
        answers = await pipeline.execute(raise_on_error=False)
        said = {part: note for part, note in enumerate(answers) if not isinstance(note, Exception)}
        if not said:
            raise answers[0]
        return Noted(len(self._keys), said)

    async def write(self, loss_micros: int) -> None:
        """Notes that every part was compared. May run twice.

        Args:
            loss_micros: As for `Noted.emptied`.
        """
        if not self._keys:
            return
        for arguments in ((_BEGUN, "NX"), (loss_micros,)):  # one after the other: see the rule
            pipeline = self._client.pipeline(transaction=False)
            for key in self._keys:
                pipeline.execute_command("SET", key, *arguments)
            await pipeline.execute()


def part_keys(role: Role) -> list[str]:
    """Returns the key of each part's note: the first by number that lies in it."""
    return [keys.part_passed(number, role) for number in _numbers()]


@cache
def _numbers() -> tuple[int, ...]:
    found: dict[int, int] = {}
    for number in count():
        found.setdefault(slot_of(keys.part_passed(number, "")) // _SIZE, number)
        if len(found) == PARTS:
            return tuple(found[part] for part in range(PARTS))
    raise AssertionError  # unreachable: numbers do not end


def _ranges(parts: Iterable[int]) -> list[str]:
    """Returns the slots of parts, of neighbours together.

    >>> _ranges([0, 1, 5])
    ['slots 0-511', 'slots 1280-1535']
    """
    found: list[tuple[int, int]] = []
    for part in sorted(parts):
        if found and found[-1][1] == part:
            found[-1] = found[-1][0], part + 1
        else:
            found.append((part, part + 1))
    return [f"slots {first * _SIZE}-{end * _SIZE - 1}" for first, end in found]
