"""Data keys: what match keys are sealed under, one per identity token, wrapped by the workspace's own.

Destroying one is what erases a person's match keys everywhere. A key that nobody has sealed with for its life is gone,
and with it the possibility to read what it sealed. About 150 bytes per person. Fails closed.

Beside a key that an erasure destroyed stands until when: for what happened until then no key is made again, though the
same event be sent once more. Who comes by the same name afterwards is somebody new and gets a new key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import redis.asyncio

from tributary_domain.shards import shard_of_key
from tributary_storage.redis import keys
from tributary_storage.redis.replication import Replication
from tributary_storage.redis.scripts import Argument, Script
from tributary_storage.redis.state_scripts import Piece, failed, in_calls, run, run_some

_OBTAIN: Final = Script("obtain_data_keys")
_REWRAP: Final = Script("rewrap_data_keys")

Name = tuple[str, bytes]
"""Workspace id, and the data key's name (`sealing.key_name`)."""


class Candidate(NamedTuple):
    """A new data key, should there be none."""

    wrapped: bytes
    event_micros: int
    """When the newest event happened that it is for."""


class DataKeys:
    """The wrapped data keys in the state store.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
        replicas: How many must have a key before it is used; 0: none.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int, replicas: int = 0) -> None:
        self._client = client
        self.shards = shards
        """Of its epoch."""
        self._replication = Replication(client, "state", replicas)

    async def obtain(self, candidates: Mapping[Name, Candidate], life_seconds: int) -> dict[Name, bytes]:
        """Returns the stored key of each name; a candidate is stored where there is none. Renews their lives.

        Args:
            candidates: A new data key per name.
            life_seconds: How long they are kept from now on.

        Returns:
            Per name the wrapped key; empty where its person was erased since that happened, and nobody new has come.
            Names are missing whose node of a cluster did not answer: run the same again for them.

        Raises:
            StorageUnavailableError: The state store answered for none of them; run the same again.
        """
        names = list(candidates)
        pieces = [self._piece(name, *candidates[name], has_tombstone=True) for name in names]
        calls, positions = in_calls(pieces, head=[life_seconds])
        obtained: dict[int, bytes] = {}
        for of_call, answers in zip(positions, await run_some(self._client, _OBTAIN, calls), strict=True):
            obtained.update(zip(of_call, answers or (), strict=answers is not None))
        settled = await self._replication.settled([pieces[position].name for position in obtained])
        places = zip(obtained.items(), settled, strict=True)
        return {names[position]: wrapped for (position, wrapped), is_safe in places if is_safe}

    async def rewrap(self, changes: Mapping[Name, tuple[bytes, bytes]]) -> None:
        """Replaces wrapped keys by the same keys wrapped otherwise, where nobody changed them since they were read.

        Args:
            changes: Per name as it was read, and as it shall be stored.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        calls, _ = in_calls(self._piece(name, *change) for name, change in changes.items())
        await run(self._client, _REWRAP, calls)

    async def read(self, names: Sequence[Name]) -> dict[Name, bytes]:
        """Returns the stored keys of some names, without those that are gone. Renews nothing.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.get(self._piece(name).name)
        try:
            answers = await pipeline.execute() if names else []
        except redis.RedisError as error:
            raise failed(error) from error
        return {name: wrapped for name, wrapped in zip(names, answers, strict=True) if wrapped is not None}

    async def destroy(self, names: Sequence[Name], until_micros: int) -> int:
        """Destroys the keys of some names: what they sealed is unreadable from now on. Returns how many there were.

        Args:
            names: Of the keys.
            until_micros: For what happened until then, none is made any more.

        Raises:
            StorageUnavailableError: The state store did not answer; some may be gone.
        """
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            piece = self._piece(name, has_tombstone=True)
            pipeline.set(piece.beside, until_micros)  # first: whoever finds no key finds this
            pipeline.delete(piece.name)
        try:
            return sum((await pipeline.execute())[1::2]) if names else 0
        except redis.RedisError as error:
            raise failed(error) from error

    async def bury(self, tombstones: Mapping[Name, int]) -> int:
        """Puts tombstones where there are none, or older ones: after a loss, before a key is asked for again.

        Args:
            tombstones: Until when its person was erased, by the name of each key.

        Returns:
            How many there are now that were not.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        names = list(tombstones)
        places = [self._piece(name, has_tombstone=True).beside for name in names]
        pipeline = self._client.pipeline(transaction=False)
        for place in places:
            pipeline.get(place)
        try:
            held = await pipeline.execute() if names else []
            missing = [
                (place, tombstones[name])
                for name, place, before in zip(names, places, held, strict=True)
                if int(before or -1) < tombstones[name]
            ]
            pipeline = self._client.pipeline(transaction=False)
            for place, until_micros in missing:
                pipeline.set(place, until_micros)
            if missing:
                await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error
        return len(missing)

    def _piece(self, name: Name, *arguments: Argument, has_tombstone: bool = False) -> Piece:
        workspace, digest = name
        text = f"{workspace}|{digest.hex()}"
        shard = shard_of_key(text, self.shards)
        beside = keys.data_key_tombstone(shard, text) if has_tombstone else ""
        return Piece(shard, keys.data_key(shard, text), arguments, beside)
