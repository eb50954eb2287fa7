"""One attempt at a run of reconciliation: nobody else is at the run while it goes on.

The one rule: who is told that another took the run over stops before its next step; what it has read is its own, so
neither sees half of what the other reads.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from types import TracebackType
from typing import Final, Protocol, Self

from tributary_runtime.clock import Clock
from tributary_runtime.errors import TributaryError, UnavailableError
from tributary_storage.redis.run_leases import RunLeases

_SECONDS: Final = 60
_RENEW_SECONDS: Final = 15.0


class Leased(Protocol):
    """What one process at a time is at: a run of reconciliation, the retention of a workspace."""

    @property
    def workspace(self) -> str:
        """Whose it is."""
        ...

    @property
    def reconciliation_id(self) -> str:
        """What tells it from others of the workspace."""
        ...


class RunLease:
    """A lease on a run: taken once, renewed until it is left; a context in which the run goes on.

    Args:
        leases: Where it is kept.
        run: Of which run.
        clock: Measures.
        renew_seconds: How often it is renewed.
    """

    def __init__(self, leases: RunLeases, run: Leased, clock: Clock, *, renew_seconds: float = _RENEW_SECONDS) -> None:
        self._leases = leases
        self._clock = clock
        self._renew_seconds = renew_seconds
        self._of = run.workspace, run.reconciliation_id
        self._holder = secrets.token_hex(8)
        self._renewing: asyncio.Task[None] | None = None
        self._at_work: asyncio.Task[object] | None = None
        self._is_lost = False

    async def take(self) -> bool:
        """Takes it, and keeps it from then on; tells whether nobody else has it.

        Raises:
            StorageUnavailableError: It cannot be told now.
        """
        if not await self._leases.hold(*self._of, self._holder, _SECONDS):
            return False
        self._renewing = asyncio.create_task(self._renew())
        return True

    async def leave(self) -> None:
        """Lets others go on; whether they can be told or not."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None
        with suppress(TributaryError):  # then it runs out
            await self._leases.release(*self._of, self._holder)

    async def __aenter__(self) -> Self:
        """Begins the work that ends should the lease be lost; takes it if that was not done.

        Raises:
            UnavailableError: Another process is at the run.
            StorageUnavailableError: It cannot be told now.
        """
        if self._is_lost or (self._renewing is None and not await self.take()):
            raise _taken(self._of[1])
        self._at_work = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""
        at_work, self._at_work = self._at_work, None
        await self.leave()
        if self._is_lost and kind is asyncio.CancelledError:
            if at_work is not None:
                at_work.uncancel()  # the task goes on with what it has to do else
            raise _taken(self._of[1]) from error

    async def _renew(self) -> None:
        until = self._clock.monotonic_seconds() + _SECONDS
        while True:
            await asyncio.sleep(self._renew_seconds)
            begun = self._clock.monotonic_seconds()
            try:
                holds = await self._leases.hold(*self._of, self._holder, _SECONDS)
                until = begun + _SECONDS if holds else 0.0
            except TributaryError:  # it is ours until it runs out
                pass
            if self._clock.monotonic_seconds() >= until:
                self._is_lost = True
                if self._at_work is not None:
                    self._at_work.cancel()
                return


def _taken(reconciliation_id: str) -> UnavailableError:
    message = "Another process is at this run; ask how far it is, and go on with it if it stops."
    return UnavailableError(
        message, reason="RUN_TAKEN", metadata={"reconciliation_id": reconciliation_id}, retry_delay_seconds=60
    )
