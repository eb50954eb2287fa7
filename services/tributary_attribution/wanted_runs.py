"""Which runs the command line of reconciliation asks for: over the newest days, and over days of the past in turns.

The one rule: what was stopped is gone on with, not begun again, by who asks for the same within a day: the next attempt
of a Job.
"""

from __future__ import annotations

import argparse
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from tributary_attribution.past_days import Compared, next_of, parts_of
from tributary_attribution.runs import begun
from tributary_domain.compared_deals import begin_of_day
from tributary_runtime.clock import Clock
from tributary_runtime.errors import NotFoundError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.reconciliation_runs import ReconciliationRuns, Run

_RESUMED_MICROS: Final = 86_400_000_000
"""How old a run may be that was stopped, to be gone on with."""

_MADE_UP_MICROS: Final = 14 * 86_400_000_000
"""How many days of nights that failed a run makes up for at most; the turns of the past come to what was before."""


class WantedRuns:
    """Says which runs are wanted. Raises `StorageUnavailableError` if ClickHouse does not answer.

    Args:
        runs: Keeps runs.
        options: What the command line says.
        clock: Says when.
    """

    def __init__(self, runs: ReconciliationRuns, options: argparse.Namespace, clock: Clock) -> None:
        self._runs = runs
        self._options = options
        self._clock = clock

    async def recent(self, workspace: Workspace) -> Run | None:
        """Returns the run over the days that the command line names, or the one that it goes on with.

        Raises:
            NotFoundError: It is to go on with one that the workspace has not.
        """
        if self._options.resume:
            found = await self._runs.find(workspace.id, self._options.resume)
            if found is None:
                message = f"There is no such run of {workspace.id} to go on with: {self._options.resume}."
                raise NotFoundError(message, resource_type="reconciliation", resource_name=self._options.resume)
            return found
        begin, end = days_asked(self._options, self._clock.now(), workspace.reporting.zone)
        begin = await self._with_missed(workspace, begin)
        return await self._of(workspace, (begin, end), with_changes=self._options.with_changes)

    async def _with_missed(self, workspace: Workspace, begin_micros: int) -> int:
        """Returns the first moment of the newest days, the nights before it that failed included."""
        if not self._options.with_changes or self._options.since or self._options.until:
            return begin_micros
        last = await self._runs.last_with_changes(workspace.id, repairs=self._options.repair)
        if last is None:
            return begin_micros
        zone, longest = workspace.reporting.zone, self._clock.unix_micros() - _MADE_UP_MICROS
        day = datetime.fromtimestamp(max(last, longest) // 1_000_000, zone).date()
        return min(begin_micros, _micros(day, zone))

    async def past(self, workspace: Workspace) -> Run | None:
        """Returns the run over the days of the past whose turn it is; None if there are none, or none are wanted."""
        if not self._options.past_days or self._options.resume:
            return None
        zone = workspace.reporting.zone
        recent, _ = days_asked(self._options, self._clock.now(), zone)
        until = datetime.fromtimestamp(recent // 1_000_000, zone).date()
        parts = [
            (_micros(part.first, zone), _micros(part.after, zone))
            for part in parts_of(until, self._options.past_days, self._options.past_runs)
        ]
        if not parts:
            return None
        about = (workspace.id, parts[0][0], parts[-1][1])
        compared = await self._runs.looked_at(*about, repairs=self._options.repair)
        tried = await self._runs.looked_at(*about, repairs=self._options.repair, is_complete=False)
        turn = next_of(parts, [Compared(*one) for one in compared], [Compared(*one) for one in tried])
        return None if turn is None else await self._of(workspace, turn, with_changes=False)

    async def _of(self, workspace: Workspace, days: tuple[int, int], *, with_changes: bool) -> Run:
        now, repairs, slices = self._clock.unix_micros(), self._options.repair, self._options.slices
        run = begun(workspace.id, *days, now, repairs=repairs, slices=slices, with_changes=with_changes)
        return await self._runs.unfinished(run, now - _RESUMED_MICROS) or run


def days_asked(options: argparse.Namespace, now: datetime, zone: tzinfo) -> tuple[int, int]:
    """Returns the first moment of the days, and the first after them, in microseconds; days are those of the zone."""
    end = options.until or now.astimezone(zone).date() + timedelta(days=1)
    begin = options.since or end - timedelta(days=options.days)
    return _micros(begin, zone), _micros(end, zone)


def _micros(day: date, zone: tzinfo) -> int:
    return begin_of_day((day - date(1970, 1, 1)).days, zone)
