"""Which erasures are under way: in the state store, and, sealed, in ClickHouse, for that may be lost.

The one rule: what an erasure has decided is in both before it does anything by it. So after a loss it goes on where it
was, in its own mode, and makes the same random ids: what it copied and had not deleted yet is copied onto itself. In
the state store alone is what nobody has begun yet, and who is only looked for again (`erasure_plans.again`) as long as
nothing of theirs is there: events of before bring these back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from tributary_attribution.erasure_plans import is_again
from tributary_domain.erasures import Erasure
from tributary_runtime.clock import Clock
from tributary_storage.clickhouse.unfinished_erasures import UnfinishedErasures
from tributary_storage.redis.erasures import Erasures

log = structlog.get_logger(__name__)


class OpenErasures:
    """Keeps them. Every method may run twice, and raises `StorageUnavailableError` if a store does not answer.

    Args:
        erasures: The state store's part.
        records: ClickHouse's part.
        refresh: Reads back what a loss of the state store took, if there was one (`Tombstones.refresh`).
        clock: Tells when.
    """

    def __init__(
        self, erasures: Erasures, records: UnfinishedErasures, refresh: Callable[[], Awaitable[None]], clock: Clock
    ) -> None:
        self._erasures = erasures
        self._records = records
        self._refresh = refresh
        self._clock = clock

    async def keep(self, erasure: Erasure) -> None:
        """Keeps all that is needed to go on with an erasure; durable on return, also against a loss of one store."""
        if erasure.conversion_ids or not is_again(erasure):
            await self._records.keep(erasure, self._clock.unix_micros())
        await self._erasures.keep(erasure)

    async def opened(self) -> list[Erasure]:
        """Returns the erasures that are not finished."""
        await self._refresh()
        return await self._erasures.opened()

    async def close(self, erasure: Erasure) -> bool:
        """Forgets an erasure, its tokens and its secret, unless something came back since; returns whether."""
        await self._records.drop(erasure)
        return await self._erasures.close(erasure)


async def reopen(erasures: Erasures, records: UnfinishedErasures) -> None:
    """Opens the erasures again that a loss of the state store took, wholly or in part.

    Before anything is read back that they are about.

    Raises:
        StorageUnavailableError: A store did not answer; do the same again.
    """
    found = await records.all()
    for one in found:
        await erasures.reopen(replace(one, is_asked_last=False))  # what delivery was asked is lost, too
    if found:
        log.warning("erasures_opened_again", erasures=len(found))
