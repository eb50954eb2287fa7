"""Deletes what tells of people when it is older than the workspace keeps it: once a day, by whoever comes first.

Step by step; each may run twice, and a crash between any two is gone on with by the next run:

1. What is more than ever before at once is told first: for 30 days where nobody said for how long events are kept, for
   3 where somebody did, perhaps by mistake. Nothing is deleted meanwhile.
2. Since when each workspace has events is stored, and told to everybody: nothing of before is let in, or looked for.
3. By which ids the events go that are to be deleted is forgotten.
4. Month by month: what data_driven learned is kept, added up (`ended_paths`); what people are made of, and how they
   began, is kept as sightings, which name identifiers, a time, and where somebody came from first; how many rows go is
   stored, so that counters agree; they are deleted, those of all workspaces at once.
5. Likewise what was refused, by the time of the refusal.

Conversions and adjustments stay, with what they are credited to: no total changes. What was accepted in the last two
days waits for the next run: the event log may still hand it out. Who is erased waits for the sightings of a month that
are being kept, which name people as they were read (`erasure_waits`), and for nothing else of a run.

The one rule: what is deleted never comes back, so a setting must stand for days before it is believed; and what fails
of one workspace keeps nobody else's.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import date
from typing import Final, NamedTuple

import structlog

from tributary_attribution.directory import EveryWorkspace
from tributary_attribution.ended_paths import EndedPaths
from tributary_attribution.run_lease import RunLease
from tributary_domain.retention import SETTLED_MICROS, Announced, announced, retained_since
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import PreconditionError, TributaryError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.retained_since import REFRESH_SECONDS
from tributary_storage.clickhouse.retention import MonthOfRows, RetainedTable, RetentionRecords, RetentionState
from tributary_storage.redis.run_leases import RETENTION, SIGHTINGS, RunLeases

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 600.0
_EVERY_MICROS: Final = 86_400 * 1_000_000
_CLOCKS_APART_MICROS: Final = 3_600 * 1_000_000
"""How far our clock may be from that of ClickHouse."""
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
            PreconditionError: By the clock of this machine nobody can tell what is old.
        """
        if abs(await self._records.now_micros() - self._clock.unix_micros()) > _CLOCKS_APART_MICROS:
            message = "The clock of this machine is not ClickHouse's: set both right; until then nothing is deleted."
            raise PreconditionError(message, subject="clock", reason="CLOCKS_DIFFER")
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

        What fails of one workspace is for its next run, and the others do not wait for it.

        Returns:
            How many rows, by table.

        Raises:
            StorageUnavailableError: A store did not answer; what is left is for the next run.
        """
        begin = self._clock.unix_micros()
        states, failed, deleted = await self._records.states(), set[str](), Counter[str]()
        before: dict[str, int] = {}
        begun: list[MonthOfRows] = []
        for own in workspaces:
            with _apart(failed, own.id):
                begun += await self._records.undeleted(own.id)
                state = states.get(own.id, RetentionState())
                states[own.id] = state._replace(announced=await self._announced(own, state, begin))
                before[own.id] = _before(own, states[own.id], begin)
        for months in _together(begun):
            await self._delete(months, deleted, failed)
        until = begin - SETTLED_MICROS
        events = await self._events(before, until, states, failed, begin)
        by_id = {own.id: own for own in workspaces}
        for months in _together(events):
            kept = []
            for month in months:
                if month.workspace not in failed:
                    with _apart(failed, month.workspace):
                        await self._keep(month, by_id[month.workspace])
                        kept.append(month)
            await self._delete(await self._counted(kept, failed), deleted, failed)
        refused: list[MonthOfRows] = []
        for name, moment in before.items():
            with _apart(failed, name):
                refused += await self._records.months(name, RetainedTable.REFUSALS, moment, until)
        for months in _together(refused):
            await self._delete(await self._counted(months, failed), deleted, failed)
        now = self._clock.unix_micros()
        finished = [name for name in before if name not in failed]
        for name in finished:
            await self._records.write(name, states[name]._replace(finish_micros=now), begin, now)
        if finished:
            log.info("retention_finished", workspaces=len(finished), rows=dict(deleted))
        return dict(deleted)

    async def _announced(self, workspace: Workspace, state: RetentionState, now_micros: int) -> Announced:
        """Tells what will be deleted where that is more than ever before at once; returns what is told."""
        months, says_months = workspace.person_event_months, workspace.retention.says_months
        told, overdue = Announced(), None
        if months is not None:
            since = retained_since(now_micros, months)
            overdue = (await self._records.overdue({workspace.id: since}, now_micros)).get(workspace.id)
            if overdue is not None:  # else there is nothing to tell of, and who imports history later is told then
                told = announced(state.announced, state.since_micros, since, now_micros)
        if told != state.announced:
            await self._records.write(workspace.id, state._replace(announced=told), now_micros, now_micros)
        if overdue is not None and not told.is_over(now_micros, says_months=says_months):
            log.warning(
                "retention_announced",
                workspace=workspace.id,
                person_event_months=months,
                rows=overdue.rows,
                deleted_from=told.until_micros(says_months=says_months),
            )
        return told

    async def _events(
        self,
        before: Mapping[str, int],
        until_micros: int,
        states: dict[str, RetentionState],
        failed: set[str],
        begin_micros: int,
    ) -> list[MonthOfRows]:
        """Returns the months of events that are too old, once everybody knows since when there are any."""
        events: list[MonthOfRows] = []
        for name, moment in before.items():
            if name in failed:
                continue
            with _apart(failed, name):
                months = await self._records.months(name, RetainedTable.EVENTS, moment, until_micros)
                if months and moment > states[name].since_micros:
                    states[name] = states[name]._replace(since_micros=moment)
                    await self._records.write(name, states[name], begin_micros, self._clock.unix_micros())
                    log.info("retention_begun", workspace=name, retained_since=moment)
                events += await self._paths.resumed(months)
        names = list(dict.fromkeys(month.workspace for month in events))
        if names:  # whoever stored it, and when: it may not be known everywhere
            await asyncio.sleep(self._told_seconds)
            with _apart(failed, *names):
                await self._records.forget_ids({name: before[name] for name in names}, until_micros)
        return events

    async def _keep(self, month: MonthOfRows, workspace: Workspace) -> None:
        """Keeps what stays of a month."""
        limits = workspace.identity
        await self._paths.keep(workspace, month)
        # Who is erased waits for this: sightings name people as they were read.
        async with RunLease(self._leases, _Step(month.workspace, SIGHTINGS), self._clock):
            await self._records.keep_sightings(month, limits.shared_device_customers, limits.shared_device_days)

    async def _counted(self, months: Sequence[MonthOfRows], failed: set[str]) -> list[MonthOfRows]:
        """Returns months with how many rows go; of those only that could be counted."""
        counted = []
        for month in months:
            with _apart(failed, month.workspace):
                counted.append(await self._records.count(month, self._clock.unix_micros()))
        return counted

    async def _delete(self, months: Sequence[MonthOfRows], deleted: Counter[str], failed: set[str]) -> None:
        """Deletes the same month of some workspaces, if of any."""
        if not months:
            return
        with _apart(failed, *[month.workspace for month in months]):
            if months[0].table is RetainedTable.EVENTS:
                await self._paths.forget_pages(months)
            await self._records.delete(months, self._clock.unix_micros())
            for month in months:
                rows, table = sum(month.rows.values()), month.table
                deleted[table.value] += rows
                metrics.EXPIRED_ROWS.add(rows, table=_TABLES[table])
                log.info(
                    "rows_expired", workspace=month.workspace, table=table.value, month=str(month.month), rows=rows
                )


@contextmanager
def _apart(failed: set[str], *workspaces: str) -> Iterator[None]:
    """Lets others go on where something fails of some workspaces; `tributary doctor` sees that these did not finish."""
    try:
        yield
    except TributaryError as failure:
        failed.update(workspaces)
        for name in workspaces:
            log.warning("retention_not_finished", workspace=name, reason=failure.message)
    except Exception as failure:  # a bug of ours: never what the error says, it may hold what names somebody
        failed.update(workspaces)
        for name in workspaces:
            log.error("retention_not_finished", workspace=name, kind=type(failure).__name__)


def _before(workspace: Workspace, state: RetentionState, now_micros: int) -> int:
    """Returns since when events are kept; 0: all are, and only what a run had begun is finished."""
    months = workspace.person_event_months
    is_told = state.announced.is_over(now_micros, says_months=workspace.retention.says_months)
    return retained_since(now_micros, months) if months is not None and is_told else 0


def _together(months: Iterable[MonthOfRows]) -> list[list[MonthOfRows]]:
    """Returns what is deleted at once, the oldest first: of all workspaces the same month of the same table."""
    groups: dict[tuple[str, date, int], list[MonthOfRows]] = defaultdict(list)
    for month in months:
        groups[month.table.value, month.month, month.accepted_until_micros].append(month)
    return [groups[place] for place in sorted(groups)]
