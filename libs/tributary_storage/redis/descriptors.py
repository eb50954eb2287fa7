"""Descriptors: the texts of where touches came from, kept once per workspace and named by their digest.

Content-addressed, so writing one again changes nothing, and a cache is never stale. Written before a journey refers to
them; fails closed: without its text a touch would have no channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

import redis.asyncio

from tributary_storage.redis import keys
from tributary_storage.redis.state_scripts import failed

_CACHED: Final = 100_000
"""Descriptors a process remembers at most."""


def digest_of(text: bytes) -> int:
    """Returns the 64-bit number that stands for a descriptor; never 0, which stands for a direct touch."""
    return int.from_bytes(blake2b(text, digest_size=8, person=b"trb source").digest()) or 1


class Descriptors:
    """The descriptors in the state store, and what this process has seen of them."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role state."""
        self._client = client
        self._known: dict[tuple[str, int], bytes] = {}

    async def write(self, texts: Mapping[tuple[str, int], bytes]) -> None:
        """Keeps descriptors that this process does not know yet.

        Args:
            texts: (workspace, descriptor) -> text.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        self._make_room()
        new: dict[str, dict[bytes, bytes]] = {}
        for (workspace, descriptor), text in texts.items():
            if (workspace, descriptor) not in self._known:
                new.setdefault(workspace, {})[descriptor.to_bytes(8)] = text
        if not new:
            return
        try:
            pipeline = self._client.pipeline(transaction=False)
            for workspace, mapping in new.items():
                pipeline.hset(keys.descriptors(workspace), mapping=mapping)  # type: ignore[arg-type]  # bytes are fine
            await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        self._known.update(texts)

    async def read(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
        """Reads descriptors; asks only for those that this process does not know yet.

        Args:
            wanted: (workspace, descriptor) of each; 0, a direct touch, has no text.

        Returns:
            (workspace, descriptor) -> text, the caller's own, because others may make room at any time; without those
            that the store has lost.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        self._make_room()
        texts: dict[tuple[str, int], bytes] = {}
        missing: dict[str, list[int]] = {}
        for place in {place for place in wanted if place[1]}:
            text = self._known.get(place)
            if text is None:
                missing.setdefault(place[0], []).append(place[1])
            else:
                texts[place] = text
        if not missing:
            return texts
        try:
            pipeline = self._client.pipeline(transaction=False)
            for workspace, descriptors in missing.items():
                pipeline.hmget(keys.descriptors(workspace), [descriptor.to_bytes(8) for descriptor in descriptors])
            answers = await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        for (workspace, descriptors), answer in zip(missing.items(), answers, strict=True):
            found = zip(descriptors, answer, strict=True)
            read = {(workspace, descriptor): text for descriptor, text in found if text is not None}
            texts |= read
            self._known |= read
        return texts

    def _make_room(self) -> None:
        """Forgets all where there is too much."""
        if len(self._known) > _CACHED:
            self._known.clear()
