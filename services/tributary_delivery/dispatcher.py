"""Runs a lane per destination, as `workspaces.yaml` says now.

New ones start, changed ones start anew once their old life has ended, removed ones end; each fails alone, and none
waits for another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.workspaces import Workspaces
from tributary_storage.redis.delivery_job import Lane

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0


class Runner(Protocol):
    """What works for one destination: a lane of calls, or the export to a warehouse."""

    @property
    def settings(self) -> DestinationSettings:
        """Under which it works."""
        ...

    def wake(self) -> None:
        """Tells it that there is something new."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Works until stopped."""
        ...


MakeLane = Callable[[Lane, DestinationSettings], Runner]
"""How a lane is made."""


class CurrentWorkspaces(Protocol):
    """The workspaces file."""

    @property
    def current(self) -> Workspaces:
        """Everything as it was read last. Never blocks."""
        ...


@dataclass(frozen=True, slots=True)
class _Running:
    runner: Runner
    stop: asyncio.Event
    task: asyncio.Task[None]


class Dispatcher:
    """The loop that keeps lanes as they should be.

    Args:
        workspaces: What should be.
        make_lane: Makes one.
    """

    name = "dispatcher"

    def __init__(self, workspaces: CurrentWorkspaces, make_lane: MakeLane) -> None:
        self._workspaces = workspaces
        self._make_lane = make_lane
        self._running: dict[Lane, _Running] = {}
        self._seen: Workspaces | None = None

    def wake(self, lane: Lane) -> None:
        """Tells a lane, if this process runs it, that there are new jobs."""
        if lane in self._running:
            self._running[lane].runner.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until stopped; then every lane finishes its calls."""
        try:
            while not stop.is_set():
                self._adjust()
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await stop.wait()
                except TimeoutError:
                    pass
        finally:
            await self._end()

    def _adjust(self) -> None:
        current = self._workspaces.current
        if current is self._seen and not any(one.task.done() for one in self._running.values()):
            return
        wanted = {
            Lane(workspace.id, destination.id): destination
            for workspace in current.workspaces
            for destination in workspace.destinations
            if not destination.paused
        }
        for lane, one in list(self._running.items()):
            if one.task.done():
                self._look_back(lane, one)
                del self._running[lane]
            elif wanted.get(lane) != one.runner.settings:
                one.stop.set()  # its calls end first; two lives of one lane would each have its own leases
        for lane, settings in wanted.items():
            if lane not in self._running and (runner := self._made(lane, settings)) is not None:
                ended = asyncio.Event()
                task = asyncio.create_task(runner.run(ended))
                self._running[lane] = _Running(runner, ended, task)
        self._seen = current

    def _made(self, lane: Lane, settings: DestinationSettings) -> Runner | None:
        """Makes a lane; None: it cannot be made, which is nobody else's matter."""
        try:
            return self._make_lane(lane, settings)
        except Exception as error:  # what the file's checks let through; its text may hold what nobody is to read
            about = {"destination": lane.destination, "workspace": lane.workspace}
            log.error("lane_not_made", **about, kind=type(error).__name__)
            return None

    async def _end(self) -> None:
        for one in self._running.values():
            one.stop.set()
        await asyncio.gather(*(one.task for one in self._running.values()), return_exceptions=True)
        for lane, one in self._running.items():
            self._look_back(lane, one)

    @staticmethod
    def _look_back(lane: Lane, one: _Running) -> None:
        """Says it if a lane failed: a bug of ours, or a row that ClickHouse refuses."""
        if not one.task.cancelled() and (failure := one.task.exception()) is not None:
            log.error("lane_failed", destination=lane.destination, exc_info=failure)
