"""Whether all that was accepted is recorded: sums from both sides, and where they differ, the events by name.

The one rule: done before a run reads events, so that what the log still holds is there again when they are read.
"""

from __future__ import annotations

import asyncio
from typing import Final

from tributary_attribution.cross_checks import Checked
from tributary_attribution.lost_events import MOST, LostEvents
from tributary_attribution.lost_refusals import LostRefusals
from tributary_attribution.verdict_sums import VerdictSums
from tributary_domain.findings import FindingState
from tributary_storage.clickhouse.reconciliation_staging import Scope

WAIT_SECONDS: Final = 30.0
"""How long the recorder may take for what was counted when a run began; a backlog is no finding."""
_LOOK_SECONDS: Final = 0.2


class RecordingChecks:
    """Checks it.

    Args:
        sums: Compares what was counted with rows.
        lost: Names events without a row, and writes them again.
        refusals: Likewise what was refused.
        wait_seconds: See `WAIT_SECONDS`.
    """

    def __init__(
        self, sums: VerdictSums, lost: LostEvents, refusals: LostRefusals, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._sums = sums
        self._lost = lost
        self._refusals = refusals
        self._wait_seconds = wait_seconds

    async def check(self, scope: Scope, now_micros: int, *, repairs: bool) -> Checked:
        """Checks all of a workspace, whatever the days of the run.

        Raises:
            StorageUnavailableError: A store does not answer.
        """
        before = await self._sums.counts(scope)
        loop = asyncio.get_running_loop()
        end = loop.time() + self._wait_seconds
        while (through := (await self._sums.counts(scope)).recorded_through_micros) < before.moment_micros:
            if loop.time() > end:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        counts, found = await self._sums.check(scope, before, now_micros)
        lost = await self._lost.find(scope, through, now_micros, looks_in_log=bool(found), repairs=repairs)
        refused = await self._refusals.find(scope, through, now_micros, repairs=repairs) if found else []
        if any(one.state is FindingState.RESOLVED for one in (*lost, *refused)):
            counts, found = await self._sums.check(scope, before, now_micros)
        counts |= {"lost_events": len(lost), "lost_refusals": len(refused)}
        if max(len(lost), len(refused)) >= MOST:
            counts["cut_losses"] = 1
        if through < before.moment_micros:
            counts["unrecorded"] = 1
        return counts, [*lost, *refused, *found]
