"""Descriptors: the texts of where touches came from, kept once per workspace and named by their digest.

Content-addressed, so writing one again changes nothing, and a cache is never stale. Written before a journey refers to
them; fails closed: without its text a touch would have no channel. Each is a key of its own, spread over the shards,
and lives from its last use as long as a conversion may still need it; a use renews it, once a day per process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import redis.asyncio

from tributary_domain.shards import shard_of_key
from tributary_runtime.clock import Clock
from tributary_storage.redis import keys
from tributary_storage.redis.state_scripts import ask

RENEWED_SECONDS: Final = 86_400
"""How long a process counts on a life that it renewed: so much longer than asked for does a text live."""

_CACHED: Final = 100_000
"""Descriptors a process remembers at most."""

Place = tuple[str, int]
"""Workspace and descriptor."""


class _Known(NamedTuple):
    """A text that this process has seen."""

    text: bytes
    renew_at: float
    """By the monotonic clock: from then on its next use renews its life."""


def digest_of(text: bytes) -> int:
    """Returns the 64-bit number that stands for a descriptor; never 0, which stands for a direct touch."""
    return int.from_bytes(blake2b(text, digest_size=8, person=b"trb source").digest()) or 1


class Descriptors:
    """The descriptors in the state store, and what this process has seen of them.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
        clock: Tells when a life is to be renewed.
        loss_micros: Tells when the last confirmed loss of the store was; 0: there was none.
    """

    def __init__(
        self, client: redis.asyncio.Redis, shards: int, clock: Clock, loss_micros: Callable[[], int] = lambda: 0
    ) -> None:
        self._client = client
        self._shards = shards
        self._clock = clock
        self._loss_micros = loss_micros
        self._lost_micros = 0
        self._known: dict[Place, _Known] = {}

    async def write(self, texts: Mapping[Place, bytes], life_seconds: int) -> None:
        """Keeps descriptors, and renews the life of those that are kept already.

        Args:
            texts: (workspace, descriptor) -> text.
            life_seconds: How long they must be readable from now on.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        self._make_room()
        now = self._clock.monotonic_seconds()
        new = {place: text for place, text in texts.items() if self._fresh(place, now) is None}
        if not new:
            return
        seconds = life_seconds + RENEWED_SECONDS
        await ask(self._client, [("SET", self._key(place), text, "EX", seconds) for place, text in new.items()])
        self._remember(new, now)

    async def read(self, wanted: Iterable[Place], life_seconds: int) -> dict[Place, bytes]:
        """Reads descriptors and renews their life; asks only for those whose life this process did not renew lately.

        Args:
            wanted: (workspace, descriptor) of each; 0, a direct touch, has no text.
            life_seconds: How long they must be readable from now on.

        Returns:
            (workspace, descriptor) -> text, the caller's own, because others may make room at any time; without those
            that nobody used for longer than their life, and those that the store has lost.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        self._make_room()
        now = self._clock.monotonic_seconds()
        places = {place for place in wanted if place[1]}
        texts = {place: text for place in places if (text := self._fresh(place, now)) is not None}
        missing = list(places - texts.keys())
        if not missing:
            return texts
        seconds = life_seconds + RENEWED_SECONDS
        answers = await ask(self._client, [("GETEX", self._key(place), "EX", seconds) for place in missing])
        found = zip(missing, answers, strict=True)
        read = {place: text for place, text in found if text is not None}
        self._remember(read, now)
        return texts | read

    def _key(self, place: Place) -> str:
        workspace, descriptor = place
        name = f"{workspace}|{descriptor:016x}"
        return keys.descriptor(shard_of_key(name, self._shards), name)

    def _fresh(self, place: Place, now: float) -> bytes | None:
        known = self._known.get(place)
        return None if known is None or known.renew_at <= now else known.text

    def _remember(self, texts: Mapping[Place, bytes], now: float) -> None:
        self._known.update({place: _Known(text, now + RENEWED_SECONDS) for place, text in texts.items()})

    def _make_room(self) -> None:
        """Forgets all where there is too much, or where the store may have lost it."""
        loss_micros = self._loss_micros()
        if len(self._known) > _CACHED or loss_micros != self._lost_micros:
            self._known.clear()
            self._lost_micros = loss_micros
