"""The store of data keys, found when first asked for, and looked at again and again: may it forget, has it lost any?

The one rule: what is sealed under a key that Redis forgets is lost, and nobody would notice; so a store that may forget
makes no keys. A look takes several questions, each of which waits for what Redis writes to disk meanwhile: while keys
are wanted, looks are taken before anybody would have to wait for one, and never two at once.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import redis.asyncio
import structlog
from redis.exceptions import ResponseError

from tributary_runtime.clock import Clock
from tributary_runtime.errors import PartOutageError, PreconditionError, StorageUnavailableError, TributaryError
from tributary_runtime.settings import DurabilityMode
from tributary_storage.redis.client import read_answering_runs
from tributary_storage.redis.data_keys import DataKeys
from tributary_storage.redis.durability import Durability
from tributary_storage.redis.epoch import Epoch, require_epoch
from tributary_storage.redis.state_scripts import SILENT, failed

log = structlog.get_logger(__name__)

GUARD_SECONDS: Final = 1.0
"""For how long a Redis that became forgetful is trusted, as in `readiness`."""
_AHEAD_SECONDS: Final = GUARD_SECONDS / 2
"""How old the last look is when the next one is taken ahead of who would wait for it."""
_WANTED_SECONDS: Final = 60.0
"""For how long after keys were wanted that goes on."""

_RETRY_DELAY_SECONDS: Final = 5.0


class LazyDataKeys:
    """The store of data keys, found when first asked for: who seals nothing needs no state store.

    A node of a cluster that does not answer costs its own keys alone.

    Keys that were obtained are as good as the store they are from. Where its loss was confirmed, or it runs anew and
    may have less than before, the store that is returned is another object: what came from the one before is forgotten.

    Args:
        client: The Redis of role state.
        clock: Ages what the guard said.
        mode: What makes acknowledged work safe.
        replicas: In mode `replicated`: how many must have a key before it is used.
    """

    name = "data_keys"

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
        self._wanted_seconds = -_WANTED_SECONDS
        self._loss_micros = 0
        self._runs: set[str] = set()
        self._looking = asyncio.Lock()
        self._looks = 0
        """That ended."""
        self._found: DataKeys | TributaryError = StorageUnavailableError("Nobody looked yet.")
        """By the last of them."""

    async def open(self) -> DataKeys:
        """Returns the store.

        Raises:
            StorageUnavailableError: The state store does not answer, or may forget; send the same again.
            PreconditionError: It was never migrated.
        """
        self._wanted_seconds = self._clock.monotonic_seconds()
        if self._opened is not None and self._age_seconds() < GUARD_SECONDS:
            return self._opened
        return await self._look()

    async def run(self, stop: asyncio.Event) -> None:
        """Looks at the store, while keys are wanted, before anybody would have to wait for it."""
        while not stop.is_set():
            is_wanted = self._clock.monotonic_seconds() - self._wanted_seconds < _WANTED_SECONDS
            if is_wanted and self._age_seconds() >= _AHEAD_SECONDS:
                with suppress(TributaryError):  # told to who wants a key then
                    await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(_AHEAD_SECONDS / 4):
                    await stop.wait()

    def _age_seconds(self) -> float:
        return self._clock.monotonic_seconds() - self._checked_seconds

    async def _look(self) -> DataKeys:
        """Looks at the store; who comes while somebody does is told what that one is told.

        Unless that look found the store good and took longer than it may be trusted, counted from its begin: then one
        who came meanwhile looks again, for all who did.
        """
        before, came_seconds = self._looks, self._clock.monotonic_seconds()
        async with self._looking:
            is_good = isinstance(self._found, DataKeys)
            is_old = is_good and self._checked_seconds < came_seconds and self._age_seconds() >= GUARD_SECONDS
            if self._looks == before or is_old:
                try:
                    self._found = self._opened = await self._checked()
                except TributaryError as refusal:
                    self._found = refusal
                self._looks += 1
            if isinstance(self._found, TributaryError):
                raise self._found.with_traceback(None)
            return self._found

    async def _checked(self) -> DataKeys:
        """Returns the store once it was looked at."""
        if self._opened is None or self._guard is None:
            epoch = await require_epoch(self._client, "state")
            self._guard = Durability(self._client, "state", self._mode, epoch=epoch, replicas=self._replicas)
            opened = DataKeys(self._client, epoch.shards, self._replicas)
            self._loss_micros, self._runs = epoch.loss_time_micros, await self._read_runs()
        else:
            opened = self._opened
        now = self._clock.monotonic_seconds()
        try:
            runs = await self._read_runs()
            seen = await self._see(self._guard)
        except PreconditionError as refused:
            log.error("data_keys_refused", reason=refused.message)
            message = "The state store cannot keep what it takes now; send the events again, with the same ids."
            raise StorageUnavailableError(
                message, metadata={"store": "state"}, retry_delay_seconds=_RETRY_DELAY_SECONDS
            ) from refused
        except StorageUnavailableError as error:  # what a guard says is for who runs the store
            raise StorageUnavailableError(SILENT, metadata={"store": "state"}) from error
        self._checked_seconds = now
        loss_micros = self._loss_micros if seen is None else seen.loss_time_micros
        if loss_micros != self._loss_micros or not runs <= self._runs:
            opened = DataKeys(self._client, opened.shards, self._replicas)
            self._loss_micros = loss_micros
        self._runs |= runs  # of nodes that do not answer now, too
        return opened

    async def _see(self, guard: Durability) -> Epoch | None:
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
