"""Drops what waits for destinations that are no more: a loop."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from tributary_runtime.clock import Clock
from tributary_runtime.errors import UnavailableError
from tributary_runtime.workspaces import Workspaces
from tributary_storage.redis.abandoned_jobs import AbandonedJobs
from tributary_storage.redis.delivery_job import Lane

log = structlog.get_logger(__name__)

KEEP_SECONDS: Final = 30 * 86_400
"""How long jobs wait for their destination to come back; ten times what they would be tried for."""
_LOOK_SECONDS: Final = 3600.0


class CurrentWorkspaces(Protocol):
    """The workspaces file."""

    @property
    def current(self) -> Workspaces:
        """Everything as it was read last. Never blocks."""
        ...


class Leftovers:
    """The loop.

    Args:
        jobs: Of all lanes.
        workspaces: Which destinations there are; paused ones too.
        clock: Tells how old a job is.
    """

    name = "leftovers"

    def __init__(self, jobs: AbandonedJobs, workspaces: CurrentWorkspaces, clock: Clock) -> None:
        self._jobs = jobs
        self._workspaces = workspaces
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every hour until stopped; an outage is for the next time."""
        while not stop.is_set():
            try:
                await self.drop()
            except UnavailableError as outage:
                log.warning("leftovers_not_dropped", reason=outage.message)
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def drop(self) -> int:
        """Drops once; returns how many jobs.

        Raises:
            StorageUnavailableError: Some may be left.
        """
        there = {
            Lane(workspace.id, destination.id)
            for workspace in self._workspaces.current.workspaces
            for destination in workspace.destinations
        }
        before_micros = self._clock.unix_micros() - KEEP_SECONDS * 1_000_000
        dropped = 0
        for lane in await self._jobs.lanes():
            if lane not in there:
                found = await self._jobs.drop(lane, before_micros)
                if found:
                    log.warning("leftovers_dropped", destination=lane.destination, workspace=lane.workspace, jobs=found)
                dropped += found
        return dropped
