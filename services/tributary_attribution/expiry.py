"""Deletes what tells of people when it is older than the workspace keeps it: once a day, by whoever comes first.

Step by step; each may run twice, and a crash between any two is gone on with by the next run:

1. Since when the workspace has events is stored, and told to everybody: nothing of before is let in, or looked for.
2. Month by month: what people are made of is kept as sightings, which name identifiers and a time, and nothing else;
   how many rows go is stored, so that counters agree; they are deleted.
3. Likewise what was refused, by the time of the refusal.

Conversions and adjustments stay, with what they are credited to: no total changes. What was accepted in the last two
days waits for the next run: the event log may still hand it out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final, NamedTuple

import structlog

from tributary_attribution.directory import EveryWorkspace
from tributary_attribution.run_lease import RunLease
from tributary_domain.retention import SETTLED_MICROS, retained_since
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import TributaryError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.retained_since import REFRESH_SECONDS
from tributary_storage.clickhouse.retention import MonthOfRows, RetainedTable, RetentionRecords, RetentionState
from tributary_storage.redis.run_leases import RETENTION, RunLeases

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 600.0
_EVERY_MICROS: Final = 86_400 * 1_000_000
_TABLES: Final = {
    RetainedTable.EVENTS: metrics.Table.EVENTS,
    RetainedTable.REFUSALS: metrics.Table.REFUSALS,
}


class _Run(NamedTuple):
    """What is leased."""

    workspace: str
    reconciliation_id: str = RETENTION


class Expiry:
    """Deletes what is too old: a loop. Every method may run twice.

    Args:
        records: Deletes.
        leases: Know who is at it.
        directory: Knows the workspaces.
        clock: Says when.
        told_seconds: After how long everybody knows since when there are events.
    """

    name = "expiry"

    def __init__(
        self,
        records: RetentionRecords,
        leases: RunLeases,
        directory: EveryWorkspace,
        clock: Clock,
        *,
        told_seconds: float = 2 * REFRESH_SECONDS,
    ) -> None:
        self._records = records
        self._leases = leases
        self._directory = directory
        self._clock = clock
        self._told_seconds = told_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Looks until stopped what is due; an outage is for the next time."""
        while not stop.is_set():
            work = asyncio.ensure_future(self.delete_due())
            stopped = asyncio.ensure_future(stop.wait())
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            work.cancel()
            stopped.cancel()
            [failure, _] = await asyncio.gather(work, stopped, return_exceptions=True)
            if isinstance(failure, TributaryError):
                log.warning("retention_not_read", reason=failure.message)
            elif isinstance(failure, Exception):
                raise failure
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def delete_due(self) -> None:
        """Deletes what is too old of each workspace of which nobody did so within a day.

        Raises:
            StorageUnavailableError: Nobody can tell of which.
        """
        states = await self._records.states()
        for workspace in self._directory.current.workspaces:
            state = states.get(workspace.id, RetentionState())
            if self._clock.unix_micros() - state.finish_micros < _EVERY_MICROS:
                continue
            lease = RunLease(self._leases, _Run(workspace.id), self._clock)
            try:
                if await lease.take():  # else somebody is at it
                    async with lease:
                        await self.delete(workspace)
            except TributaryError as failure:
                log.warning("retention_not_finished", workspace=workspace.id, reason=failure.message)

    async def delete(self, workspace: Workspace) -> dict[str, int]:
        """Deletes what is too old of a workspace; the caller sees to it that nobody else does.

        Returns:
            How many rows, by table.

        Raises:
            StorageUnavailableError: A store did not answer; what is left is for the next run.
        """
        begin = self._clock.unix_micros()
        months = workspace.retention.person_event_months
        before = retained_since(begin, months) if months is not None else 0  # only what a run had begun is finished
        state = (await self._records.states()).get(workspace.id, RetentionState())
        deleted: Counter[str] = Counter()
        for month in await self._records.undeleted(workspace.id):
            await self._delete(month, deleted)
        until = begin - SETTLED_MICROS
        events = await self._records.months(workspace.id, RetainedTable.EVENTS, before, until)
        if events and before > state.since_micros:
            state = state._replace(since_micros=before)
            await self._records.write(workspace.id, state, begin, self._clock.unix_micros())
            log.info("retention_begun", workspace=workspace.id, retained_since=before, months=len(events))
            await asyncio.sleep(self._told_seconds)
        limits = workspace.identity
        for month in events:
            await self._records.keep_sightings(month, limits.shared_device_customers, limits.shared_device_days)
            await self._delete(await self._records.count(month, self._clock.unix_micros()), deleted)
        for month in await self._records.months(workspace.id, RetainedTable.REFUSALS, before, until):
            await self._delete(await self._records.count(month, self._clock.unix_micros()), deleted)
        now = self._clock.unix_micros()
        await self._records.write(workspace.id, state._replace(finish_micros=now), begin, now)
        log.info("retention_finished", workspace=workspace.id, rows=dict(deleted))
        return dict(deleted)

    async def _delete(self, month: MonthOfRows, deleted: Counter[str]) -> None:
        await self._records.delete(month, self._clock.unix_micros())
        rows = sum(month.rows.values())
        deleted[month.table.value] += rows
        metrics.EXPIRED_ROWS.add(rows, table=_TABLES[month.table])
        log.info("rows_expired", workspace=month.workspace, table=month.table.value, month=str(month.month), rows=rows)
