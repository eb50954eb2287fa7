"""What may bring somebody back who is being erased: what of before an erasure is on its way still.

The one rule: an erasure is over only once nobody is at anything that began before it. Events of before wait in the
event log; retention keeps sightings of what it read of a month, and may write them after they were stripped (`expiry`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tributary_domain.erasures import Erasure
from tributary_storage.redis.run_leases import SIGHTINGS, RunLeases


class ErasureWaits:
    """Tells whether anything of before an erasure is on its way.

    Args:
        oldest_waiting: Tells when the oldest event was accepted that somebody has not finished; None: there is none.
        leases: Know who keeps sightings of a workspace.
    """

    def __init__(self, oldest_waiting: Callable[[], Awaitable[int | None]], leases: RunLeases) -> None:
        self._oldest_waiting = oldest_waiting
        self._leases = leases

    async def is_behind(self, erasure: Erasure) -> bool:
        """Tells whether events wait for attribution or the recorder, or somebody keeps sightings of the workspace.

        Raises:
            StorageUnavailableError: A store did not answer.
        """
        oldest = await self._oldest_waiting()
        if oldest is not None and oldest <= erasure.request_micros:
            return True
        return await self._leases.is_held(erasure.workspace, SIGHTINGS)
