"""Asks the guards before a new connection carries commits: a Redis that restarted may be another, or an older copy.

The one rule: nothing is committed to a run of Redis that the guards have not passed. A connection never outlives the
server it was made to, so asking once per connection is enough, and a commit costs nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tributary_runtime.errors import StorageUnavailableError
from tributary_runtime.readiness import Guard


class Log(Protocol):
    """The event log, as the guards see it."""

    async def run_id(self) -> str:
        """Returns what names this run of the Redis server.

        Raises:
            StorageUnavailableError: It does not answer.
        """
        ...


class Reconnection:
    """Confirms new connections.

    Args:
        event_log: On the connections that the guards use.
        guards: All must pass.
    """

    def __init__(self, event_log: Log, guards: Sequence[Guard]) -> None:
        self._event_log = event_log
        self._guards = guards

    async def confirm(self, run: str) -> None:
        """Returns if the run of Redis that a connection was made to is one that may be committed to.

        Args:
            run: What the connection itself says of its server; the guards must have asked the same.

        Raises:
            PreconditionError: A guard refuses.
            StorageUnavailableError: It cannot be told now; connect again.
        """
        await self._require(run)
        for guard in self._guards:
            await guard()
        await self._require(run)

    async def _require(self, run: str) -> None:
        if not run or await self._event_log.run_id() != run:
            message = "The Redis of the event log changed while it was checked; send the batch again."
            raise StorageUnavailableError(message, metadata={"store": "log"})
