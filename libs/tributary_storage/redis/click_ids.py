"""Click ids: the text behind the 64-bit number by which a journey knows a click.

Content-addressed, so writing one again changes nothing and merging people moves nothing. Kept as long as a destination
may be sent one; whose text has expired is not sent. It goes with whoever is erased, unless somebody else came by it;
who does so later, writes it again. Fails closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import redis.asyncio

from tributary_domain.event_order import event_hash
from tributary_domain.shards import shard_of_key
from tributary_storage.redis import keys
from tributary_storage.redis.state_scripts import ask

LIFE_SECONDS: Final = 120 * 86_400
"""The longest send window of any destination, and the time an event may be late."""

_CACHED: Final = 20_000
"""A click is met again while its visit lasts; a process remembers no more of them than that takes."""

Click = tuple[str, str]
"""Family ("gclid") and value."""


def hash_of_click(family: str, value: str) -> int:
    """Returns the number that stands for a click id in a journey."""
    return event_hash(f"{family}:{value}")


class ClickIds:
    """The click ids in the state store, and what this process has seen of them.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
        loss_micros: Tells when the last confirmed loss of the store was; 0: there was none.
        erased: Tells how many identifiers were erased; another number: somebody was, since.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        shards: int,
        loss_micros: Callable[[], int] = lambda: 0,
        erased: Callable[[], int] = lambda: 0,
    ) -> None:
        self._client = client
        self._shards = shards
        self._loss_micros = loss_micros
        self._erased = erased
        self._gone = (0, 0)
        self._known: dict[tuple[str, int], Click] = {}
        self._written: set[tuple[str, int]] = set()

    async def write(self, clicks: Mapping[tuple[str, int], Click]) -> None:
        """Keeps click ids that this process has not written yet.

        What it has read alone may be about to be erased: crediting whoever is reads theirs once more.

        Args:
            clicks: (workspace, number) -> click id.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        self._make_room()
        new = {key: click for key, click in clicks.items() if key not in self._written}
        if not new:
            return
        commands = [
            ("SET", self._key(workspace, number), f"{family}:{value}", "EX", LIFE_SECONDS)
            for (workspace, number), (family, value) in new.items()
        ]
        await ask(self._client, commands)
        self._known.update(new)
        self._written.update(new)

    async def read(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Click]:
        """Reads click ids; asks only for those that this process does not know yet.

        Args:
            wanted: (workspace, number) of each.

        Returns:
            (workspace, number) -> click id, the caller's own, because others may make room at any time; without those
            that have expired.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        self._make_room()
        places = set(wanted)
        clicks = {place: click for place in places if (click := self._known.get(place)) is not None}
        missing = list(places - clicks.keys())
        if not missing:
            return clicks
        answers = await ask(self._client, [("GET", self._key(workspace, number)) for workspace, number in missing])
        for key, text in zip(missing, answers, strict=True):
            if text is not None:
                family, _, value = text.decode().partition(":")
                clicks[key] = self._known[key] = (family, value)
        return clicks

    def _key(self, workspace: str, number: int) -> str:
        name = f"{workspace}|{number:016x}"
        return keys.click(shard_of_key(name, self._shards), name)

    def _make_room(self) -> None:
        """Forgets all where there is too much, or where the store may have it no more: lost, or erased."""
        gone = self._loss_micros(), self._erased()
        if len(self._known) > _CACHED or gone != self._gone:
            self._known.clear()
            self._written.clear()
            self._gone = gone
