"""Deletes what tells of people when it is older than the workspace keeps it: once a day, by whoever comes first.

Step by step; each may run twice, and a crash between any two is gone on with by the next run:

1. Where nobody said for how long events are kept, it is told for 30 days first what will be deleted.
2. Since when each workspace has events is stored, and told to everybody: nothing of before is let in, or looked for.
3. By which ids the events go that are to be deleted is forgotten.
4. Month by month: what data_driven learned is kept, added up (`ended_paths`); what people are made of, and how they
   began, is kept as sightings, which name identifiers, a time, and where somebody came from first; how many rows go is
   stored, so that counters agree; they are deleted, those of all workspaces at once.
5. Likewise what was refused, by the time of the refusal.

Conversions and adjustments stay, with what they are credited to: no total changes. What was accepted in the last two
days waits for the next run: the event log may still hand it out. Who is erased waits for the sightings of a month that
are being kept, which name people as they were read (`erasure_waits`), and for nothing else of a run.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import date
from typing import Final, NamedTuple

import structlog

from tributary_attribution.directory import EveryWorkspace
from tributary_attribution.ended_paths import EndedPaths
from tributary_attribution.run_lease import RunLease
from tributary_domain.retention import SETTLED_MICROS, TOLD_MICROS, retained_since
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import TributaryError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.retained_since import REFRESH_SECONDS
from tributary_storage.clickhouse.retention import MonthOfRows, RetainedTable, RetentionRecords, RetentionState
from tributary_storage.redis.run_leases import RETENTION, SIGHTINGS, RunLeases

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 600.0
_EVERY_MICROS: Final = 86_400 * 1_000_000
_TABLES: Final = {
    RetainedTable.EVENTS: metrics.Table.EVENTS,
    RetainedTable.REFUSALS: metrics.Table.REFUSALS,
}


class _Step(NamedTuple):
    """What is leased."""

    workspace: str
    reconciliation_id: str


class Expiry:
    """Deletes what is too old: a loop. Every method may run twice.

    Args:
        records: Deletes.
        paths: Keeps what data_driven learned of what is deleted.
        leases: Know who is at it.
        directory: Knows the workspaces.
        clock: Says when.
        told_seconds: After how long everybody knows since when there are events.
    """

    name = "expiry"

    def __init__(
        self,
        records: RetentionRecords,
        paths: EndedPaths,
        leases: RunLeases,
        directory: EveryWorkspace,
        clock: Clock,
        *,
        told_seconds: float = 2 * REFRESH_SECONDS,
    ) -> None:
        self._records = records
        self._paths = paths
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
                log.warning("retention_not_finished", reason=failure.message)
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
            StorageUnavailableError: A store did not answer; what is left is for the next run.
        """
        states = await self._records.states()
        async with AsyncExitStack() as leased:
            due = []
            for workspace in self._directory.current.workspaces:
                state = states.get(workspace.id, RetentionState())
                if self._clock.unix_micros() - state.finish_micros < _EVERY_MICROS:
                    continue
                lease = RunLease(self._leases, _Step(workspace.id, RETENTION), self._clock)
                if await lease.take():  # else somebody is at it
                    await leased.enter_async_context(lease)
                    due.append(workspace)
            await self.delete(*due)

    async def delete(self, *workspaces: Workspace) -> dict[str, int]:
        """Deletes what is too old of some workspaces; the caller sees to it that nobody else does.

        Of one whose sightings cannot be kept nothing is deleted, and the others do not wait for it.

        Returns:
            How many rows, by table.

        Raises:
            StorageUnavailableError: A store did not answer; what is left is for the next run.
        """
        begin = self._clock.unix_micros()
        states, deleted = await self._records.states(), Counter[str]()
        counted = [month for own in workspaces for month in await self._records.undeleted(own.id)]
        for months in _together(counted):
            await self._delete(months, deleted)
        until = begin - SETTLED_MICROS
        for own in workspaces:
            states[own.id] = await self._announced(own, states.get(own.id, RetentionState()), begin)
        before = {own.id: _before(own, states[own.id], begin) for own in workspaces}
        by_id = {own.id: own for own in workspaces}
        events = await self._months(before, RetainedTable.EVENTS, until)
        for name in dict.fromkeys(month.workspace for month in events):
            if before[name] > states[name].since_micros:
                states[name] = states[name]._replace(since_micros=before[name])
                await self._records.write(name, states[name], begin, self._clock.unix_micros())
                log.info("retention_begun", workspace=name, retained_since=before[name])
        if events:  # whoever stored it, and when: it may not be known everywhere
            await asyncio.sleep(self._told_seconds)
            await self._records.forget_ids({month.workspace: before[month.workspace] for month in events}, until)
        failed: set[str] = set()
        for months in _together(await self._paths.resumed(events)):
            kept = []
            for month in months:
                if month.workspace not in failed and await self._keep(month, by_id[month.workspace]):
                    kept.append(await self._records.count(month, self._clock.unix_micros()))
                else:
                    failed.add(month.workspace)
            if kept:
                await self._delete(kept, deleted)
        for months in _together(await self._months(before, RetainedTable.REFUSALS, until)):
            await self._delete(
                [await self._records.count(month, self._clock.unix_micros()) for month in months], deleted
            )
        now = self._clock.unix_micros()
        finished = [name for name in before if name not in failed]
        for name in finished:
            await self._records.write(name, states[name]._replace(finish_micros=now), begin, now)
        if finished:
            log.info("retention_finished", workspaces=len(finished), rows=dict(deleted))
        return dict(deleted)

    async def _announced(self, workspace: Workspace, state: RetentionState, now_micros: int) -> RetentionState:
        """Tells what will be deleted where nobody said for how long it is kept; returns since when that is told."""
        months = workspace.person_event_months
        if workspace.retention.says_months or months is None:
            return state._replace(announce_micros=0)
        state = state._replace(announce_micros=state.announce_micros or now_micros)
        until = state.announce_micros + TOLD_MICROS
        if now_micros < until:
            since = retained_since(now_micros, months)
            overdue = (await self._records.overdue({workspace.id: since}, now_micros)).get(workspace.id)
            if overdue is not None:
                log.warning(
                    "retention_announced",
                    workspace=workspace.id,
                    person_event_months=months,
                    rows=overdue.rows,
                    deleted_from=until,
                )
        return state

    async def _months(self, before: Mapping[str, int], table: RetainedTable, until_micros: int) -> list[MonthOfRows]:
        """Returns the months of what is too old, of all workspaces."""
        return [
            month
            for name, moment in before.items()
            for month in await self._records.months(name, table, moment, until_micros)
        ]

    async def _keep(self, month: MonthOfRows, workspace: Workspace) -> bool:
        """Keeps what stays of a month; tells whether that could be done."""
        limits = workspace.identity
        try:
            await self._paths.keep(workspace, month)
            # Who is erased waits for this: sightings name people as they were read.
            async with RunLease(self._leases, _Step(month.workspace, SIGHTINGS), self._clock):
                await self._records.keep_sightings(month, limits.shared_device_customers, limits.shared_device_days)
        except TributaryError as failure:
            log.warning("retention_not_finished", workspace=month.workspace, reason=failure.message)
            return False
        return True

    async def _delete(self, months: Sequence[MonthOfRows], deleted: Counter[str]) -> None:
        if months[0].table is RetainedTable.EVENTS:
            await self._paths.forget_pages(months)
        await self._records.delete(months, self._clock.unix_micros())
        for month in months:
            rows, table = sum(month.rows.values()), month.table
            deleted[table.value] += rows
            metrics.EXPIRED_ROWS.add(rows, table=_TABLES[table])
            log.info("rows_expired", workspace=month.workspace, table=table.value, month=str(month.month), rows=rows)


def _before(workspace: Workspace, state: RetentionState, now_micros: int) -> int:
    """Returns since when events are kept; 0: all are, and only what a run had begun is finished."""
    months = workspace.person_event_months
    is_told = state.announce_micros and now_micros < state.announce_micros + TOLD_MICROS
    return retained_since(now_micros, months) if months is not None and not is_told else 0


def _together(months: Iterable[MonthOfRows]) -> list[list[MonthOfRows]]:
    """Returns what is deleted at once, the oldest first: of all workspaces the same month of the same table."""
    groups: dict[tuple[str, date, int], list[MonthOfRows]] = defaultdict(list)
    for month in months:
        groups[month.table.value, month.month, month.accepted_until_micros].append(month)
    return [groups[place] for place in sorted(groups)]
