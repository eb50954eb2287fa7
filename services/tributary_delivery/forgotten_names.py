"""Forgets by what destinations know the leads and orders of people who are erased: a loop.

The one rule: it says that a name is gone when it is gone from every lane that there ever was, in every form in which it
was ever kept. An earlier version kept claims of leads in plain text, where no family id leads to them. Those of leads
that were recorded are kept as they are now; the others, of people who were erased before or of accounts that are no
more, are dropped: should one be needed all the same, the ledger knows the name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from tributary_domain.families import lead_names
from tributary_domain.lead_claims import ObjectKind
from tributary_runtime.clock import Clock
from tributary_runtime.crm_destinations import CrmDestination
from tributary_runtime.errors import UnavailableError
from tributary_runtime.workspaces import Workspaces
from tributary_storage.clickhouse.recorded_leads import NO_LEAD, RecordedLead
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.erased_names import ErasedNames
from tributary_storage.redis.names_in_jobs import NamesInJobs

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0
_OUTAGE_FACTOR: Final = 10
_CONVERT_SECONDS: Final = 3600.0
"""How often it is looked for claims in the old form: a replica of an earlier version may still be there."""
_PAGE: Final = 10_000


class CurrentWorkspaces(Protocol):
    """The workspaces file."""

    @property
    def current(self) -> Workspaces:
        """Everything as it was read last. Never blocks."""
        ...


class Leads(Protocol):
    """What is recorded of leads. Raises `StorageUnavailableError` if ClickHouse does not answer."""

    async def page(self, workspace: str, after: RecordedLead, limit: int) -> list[RecordedLead]:
        """Returns by what leads are known, in order."""
        ...


class ForgottenNames:
    """The loop.

    Args:
        asked: By whom it is asked to forget.
        names: Where they are.
        leads: Which there are.
        workspaces: Which destinations there are.
        clock: Tells how long a conversion took.
        settle: Returns when replicas have what was forgotten.
        look_seconds: How often to look whether it is asked.
    """

    name = "forgotten_names"

    def __init__(
        self,
        asked: ErasedNames,
        names: NamesInJobs,
        leads: Leads,
        workspaces: CurrentWorkspaces,
        clock: Clock,
        settle: Callable[[], Awaitable[None]],
        *,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._asked = asked
        self._names = names
        self._leads = leads
        self._workspaces = workspaces
        self._clock = clock
        self._settle = settle
        self._look_seconds = look_seconds
        self._lanes: set[Lane] = set()
        self._next_seconds = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every second until stopped; an outage is for the next time."""
        while not stop.is_set():
            wait_seconds = self._look_seconds
            try:
                await self.forget()
            except UnavailableError as outage:
                log.warning("names_not_forgotten", reason=outage.message)
                wait_seconds *= _OUTAGE_FACTOR
            try:
                async with asyncio.timeout(wait_seconds):
                    await stop.wait()
            except TimeoutError:
                continue

    async def forget(self) -> int:
        """Forgets what it is asked to; returns how many erasures asked.

        Raises:
            StorageUnavailableError: Not all is forgotten, and whoever asked is not told that it is.
        """
        await self._convert()
        self._lanes |= {
            Lane(workspace.id, destination.id)
            for workspace in self._workspaces.current.workspaces
            for destination in workspace.destinations
        }
        asked = await self._asked.asked()
        for one in asked:
            lanes = [lane for lane in self._lanes if lane.workspace == one.workspace]
            await self._names.forget(lanes, one.families, one.conversion_ids)
            await self._settle()
            await self._asked.confirm(one)
        return len(asked)

    async def _convert(self) -> None:
        """Sees which lanes there are, and that none has anything in the old form; seldom."""
        began = self._clock.monotonic_seconds()
        if began < self._next_seconds:
            return
        if not self._lanes:
            self._lanes = await self._names.lanes()
        for lane in await self._names.old_lanes():
            self._lanes.add(lane)
            converted = await self._convert_lane(lane)
            took_seconds = self._clock.monotonic_seconds() - began
            dropped = await self._names.drop_old(lane, unless_told_seconds=took_seconds)
            about = {"destination": lane.destination, "workspace": lane.workspace}
            log.info("lead_claims_converted", converted=converted, dropped=dropped, **about)
        self._next_seconds = began + _CONVERT_SECONDS

    async def _convert_lane(self, lane: Lane) -> int:
        kinds, converted = self._kinds(lane), 0
        page = [NO_LEAD] if kinds else []
        while page:
            page = await self._leads.page(lane.workspace, page[-1], _PAGE)
            names = {name for one in page for name in lead_names(one.lead_id, one.store, one.root_order_id)}
            converted += await self._names.convert(lane, kinds, sorted(names))
        return converted

    def _kinds(self, lane: Lane) -> set[ObjectKind]:
        """Returns which objects leads are at a destination; none: it is no CRM, or not there any more."""
        return {
            ObjectKind(destination.account, kind)
            for workspace in self._workspaces.current.workspaces
            for destination in workspace.destinations
            if Lane(workspace.id, destination.id) == lane and isinstance(destination, CrmDestination)
            for kind in {"", *(destination.object_of(name, is_stage=True) for name in destination.conversions)}
        }
