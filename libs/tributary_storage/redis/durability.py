"""The durability guard: refuses to acknowledge work through a Redis that may forget it.

The one rule: an acknowledgement is only as good as what Redis is told to do with it, so the settings are read from the
server itself, again and again, and never assumed. Whose operator declares another mode answers for it (SEMANTICS
section 3): `fsync` (default), `replicated` (writes wait for replicas, in every role: `replication`), `attested` (a
managed Redis that refuses CONFIG), `none` (laptops).
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

import redis.asyncio
from redis.exceptions import ResponseError

from tributary_runtime.errors import PartOutageError, PreconditionError, StorageUnavailableError
from tributary_runtime.settings import DurabilityMode
from tributary_storage.redis.cluster_nodes import ask_each
from tributary_storage.redis.epoch import Epoch, Role, read_epoch

_FSYNC: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
_REPLICATED: Final = {"maxmemory-policy": "noeviction"}
_WANTED: Final = {DurabilityMode.FSYNC: _FSYNC, DurabilityMode.REPLICATED: _REPLICATED}


class Durability:
    """A guard of one Redis that acknowledges work; call it, or ask for its `problems`.

    Args:
        client: Of the role.
        role: What it is used for.
        mode: What makes acknowledged work safe.
        epoch: The data this process knew at its start; another one is another Redis. None: any will do.
        replicas: In mode `replicated`: how many must be connected.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        role: Role,
        mode: DurabilityMode,
        *,
        epoch: Epoch | None = None,
        replicas: int = 1,
    ) -> None:
        self.name = f"redis:{role}"
        self._client: Any = client
        self._role = role
        self._mode = mode
        self._epoch = epoch
        self._replicas = replicas

    async def __call__(self) -> None:
        """Returns if this Redis keeps what it acknowledges.

        Raises:
            PreconditionError: It may not; the message says what to do.
            PartOutageError: Some nodes of a cluster do not answer.
            StorageUnavailableError: It does not answer.
        """
        problems = await self.problems()
        if problems:
            raise PreconditionError(" ".join(problems), subject=self.name, reason="NOT_DURABLE")

    async def problems(self) -> list[str]:
        """Returns a sentence per problem that says what to do; none if this Redis keeps what it acknowledges.

        Raises:
            PartOutageError: Some nodes of a cluster do not answer; those that do have no problem.
            StorageUnavailableError: It does not answer.
        """
        message = f"The Redis of role {self._role} does not answer; see that it runs and that its URL is right."
        try:
            told = await ask_each(self._client, self._node_problems)
        except redis.RedisError as error:
            raise StorageUnavailableError(message, metadata={"store": self._role}) from error
        silent = [one for one in told if isinstance(one, redis.RedisError)]
        if len(silent) == len(told):
            raise StorageUnavailableError(message, metadata={"store": self._role}) from silent[0]
        # The nodes of a cluster mostly lack the same.
        found = list(dict.fromkeys(chain.from_iterable(one for one in told if not isinstance(one, redis.RedisError))))
        try:
            found += await self._epoch_problems()
        except StorageUnavailableError:
            if not silent:
                raise
        if silent and not found:
            message = f"{len(silent)} of {len(told)} nodes of the Redis of role {self._role} do not answer."
            raise PartOutageError(message, metadata={"store": self._role}) from silent[0]
        return found

    async def _node_problems(self, node: Any) -> list[str]:
        found = await self._settings_problems(node)
        if self._mode is DurabilityMode.REPLICATED:
            found += await self._replica_problems(node)
        return found

    async def _settings_problems(self, node: Any) -> list[str]:
        wanted = _WANTED.get(self._mode)
        if wanted is None:
            return []
        pipeline = node.pipeline(transaction=False)  # of several names at once only Redis 7 tells
        for name in wanted:
            pipeline.config_get(name)
        problems = []
        for (name, value), told in zip(wanted.items(), await pipeline.execute(raise_on_error=False), strict=True):
            if isinstance(told, ResponseError):
                return [
                    f"The Redis of role {self._role} does not tell its settings (CONFIG): see that it keeps what it "
                    "acknowledges, then set TRIBUTARY_DURABILITY=attested."
                ]
            is_ = _text(told)
            if is_ != value:
                problems.append(
                    f"The Redis of role {self._role} has {name} {is_ or 'unset'}: set `{name} {value}` in its "
                    "configuration, or declare another TRIBUTARY_DURABILITY."
                )
        return problems

    async def _replica_problems(self, node: Any) -> list[str]:
        told = await node.info("replication")
        connected = int(told.get("connected_slaves", 0))
        if connected >= self._replicas:
            return []
        return [f"The Redis of role {self._role} has {connected} replicas: connect at least {self._replicas}."]

    async def _epoch_problems(self) -> list[str]:
        found = await read_epoch(self._client)
        if found is None:
            return [f"The Redis of role {self._role} has no epoch: run `tributary migrate`, or correct its URL."]
        if self._epoch is not None and found != self._epoch:
            return [
                f"The Redis of role {self._role} holds other data (epoch {found.epoch_id}) than at the start (epoch "
                f"{self._epoch.epoch_id}): correct its URL, or restart every service if that is meant."
            ]
        return []


def _text(told: Any) -> str:
    """Returns the value of a CONFIG GET of one name."""
    for value in told.values():
        return value.decode() if isinstance(value, bytes) else str(value)
    return ""
