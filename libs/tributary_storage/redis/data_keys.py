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
import structlog
from redis.exceptions import ResponseError

from tributary_domain.shards import shard_of_key
from tributary_runtime.clock import Clock
from tributary_runtime.errors import PartOutageError, PreconditionError, StorageUnavailableError
from tributary_runtime.settings import DurabilityMode
from tributary_storage.redis import keys
from tributary_storage.redis.client import read_answering_runs
from tributary_storage.redis.durability import Durability
from tributary_storage.redis.epoch import Epoch, require_epoch
from tributary_storage.redis.replication import Replication
from tributary_storage.redis.scripts import Argument, Script
from tributary_storage.redis.state_scripts import Piece, failed, in_calls, run, run_some

log = structlog.get_logger(__name__)

GUARD_SECONDS: Final = 1.0
"""For how long a Redis that became forgetful is trusted, as in `readiness`."""

_RETRY_DELAY_SECONDS: Final = 5.0
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


class LazyDataKeys:
    """The store of data keys, found when first asked for: who seals nothing needs no state store.

    What is sealed under a key that Redis forgets is lost, and nobody would notice: so a store that may forget makes no
    keys. It is asked when keys are asked for, at most once in `GUARD_SECONDS`. A node of a cluster that does not answer
    costs its own keys alone.

    Keys that were obtained are as good as the store they are from. Where its loss was confirmed, or it runs anew and
    may have less than before, the store that is returned is another object: what came from the one before is forgotten.

    Args:
        client: The Redis of role state.
        clock: Ages what the guard said.
        mode: What makes acknowledged work safe.
        replicas: In mode `replicated`: how many must have a key before it is used.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        clock: Clock,
        mode: DurabilityMode = DurabilityMode.FSYNC,
        replicas: int = 1,
    ) -> None:
        self._client = client
        self._clock = clock
        self._mode = mode
        self._replicas = replicas if mode is DurabilityMode.REPLICATED else 0
        self._opened: DataKeys | None = None
        self._guard: Durability | None = None
        self._checked_seconds = -GUARD_SECONDS
        self._loss_micros = 0
        self._runs: set[str] = set()

    async def open(self) -> DataKeys:
        """Returns the store.

        Raises:
            StorageUnavailableError: The state store does not answer, or may forget; send the same again.
            PreconditionError: It was never migrated.
        """
        if self._opened is None or self._guard is None:
            epoch = await require_epoch(self._client, "state")
            self._guard = Durability(self._client, "state", self._mode, epoch=epoch, replicas=self._replicas)
            self._opened = DataKeys(self._client, epoch.shards, self._replicas)
            self._loss_micros, self._runs = epoch.loss_time_micros, await self._read_runs()
        now = self._clock.monotonic_seconds()
        if now - self._checked_seconds >= GUARD_SECONDS:
            try:
                runs = await self._read_runs()
                seen = await self._look(self._guard)
            except PreconditionError as refused:
                log.error("data_keys_refused", reason=refused.message)
                message = "The state store cannot keep what it takes now; send the events again, with the same ids."
                raise StorageUnavailableError(
                    message, metadata={"store": "state"}, retry_delay_seconds=_RETRY_DELAY_SECONDS
                ) from refused
            self._checked_seconds = now
            loss_micros = self._loss_micros if seen is None else seen.loss_time_micros
            if loss_micros != self._loss_micros or not runs <= self._runs:
                self._opened = DataKeys(self._client, self._opened.shards, self._replicas)
                self._loss_micros = loss_micros
            self._runs |= runs  # of nodes that do not answer now, too
        return self._opened

    async def _look(self, guard: Durability) -> Epoch | None:
        """Returns the epoch, if the store keeps what it takes; None: its node of a cluster does not answer.

        Raises:
            StorageUnavailableError: The state store does not answer.
            PreconditionError: It may forget, or was never migrated.
        """
        try:
            await guard()
        except PartOutageError:  # of those that answer, nothing speaks against going on
            try:
                return await require_epoch(self._client, "state")
            except StorageUnavailableError:
                return None
        return await require_epoch(self._client, "state")

    async def _read_runs(self) -> set[str]:
        """Returns what names the runs of the nodes that answer; nothing where Redis does not tell."""
        try:
            return (await read_answering_runs(self._client))[0]
        except ResponseError:
            return set()
        except redis.RedisError as error:
            raise failed(error) from error
