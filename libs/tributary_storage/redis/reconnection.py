"""Asks the guards before a new connection carries work: a Redis that restarted may be another, or an older copy.

The one rule: nothing is written to a run of Redis that the guards have not passed. A connection never outlives the
server it was made to, so asking once per connection is enough, and a command costs nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import redis.asyncio

from tributary_runtime.errors import PartOutageError, StorageUnavailableError
from tributary_runtime.readiness import Guard
from tributary_storage.redis.client import read_answering_runs


class Reconnection:
    """Confirms new connections; its `confirm` is for `client.connect`.

    Args:
        client: The same Redis, on the connections that the guards use: those are not confirmed.
        guards: All must pass.
    """

    def __init__(self, client: redis.asyncio.Redis, guards: Sequence[Guard]) -> None:
        self._client = client
        self._guards = guards

    async def confirm(self, run: str) -> None:
        """Returns if the run of Redis that a connection was made to is one that may be written to.

        Args:
            run: What the connection itself says of its server; the guards must have asked the same.

        Raises:
            PreconditionError: A guard refuses.
            StorageUnavailableError: It cannot be told now; connect again.
        """
        await self._require(run)
        for guard in self._guards:
            with suppress(PartOutageError):  # another node's, for this one has answered
                await guard()
        await self._require(run)

    async def _require(self, run: str) -> None:
        try:
            runs, _ = await read_answering_runs(self._client)
        except redis.RedisError as error:
            raise StorageUnavailableError("Redis does not answer.") from error
        if run not in runs:
            raise StorageUnavailableError("Redis changed while it was checked; connect again.")
