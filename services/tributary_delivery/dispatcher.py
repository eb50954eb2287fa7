"""Runs a lane per destination, as `workspaces.yaml` says now.

New ones start, changed ones start anew, removed ones end; each fails alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from tributary_delivery.lane import LaneRunner
from tributary_runtime.destination_settings import WebhookDestination
from tributary_runtime.workspaces import Workspaces
from tributary_storage.redis.delivery_jobs import Lane

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0

MakeLane = Callable[[Lane, WebhookDestination], LaneRunner]
"""How a lane is made."""


class CurrentWorkspaces(Protocol):
    """The workspaces file."""

    @property
    def current(self) -> Workspaces:
        """Everything as it was read last. Never blocks."""
        ...


@dataclass(frozen=True, slots=True)
class _Running:
    runner: LaneRunner
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

    def wake(self, lane: Lane) -> None:
        """Tells a lane, if this process runs it, that there are new jobs."""
        if lane in self._running:
            self._running[lane].runner.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until stopped; then every lane finishes its calls."""
        try:
            while not stop.is_set():
                await self._adjust()
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await stop.wait()
                except TimeoutError:
                    pass
        finally:
            await self._end(list(self._running))

    async def _adjust(self) -> None:
        wanted = {
            Lane(workspace.id, destination.id): destination
            for workspace in self._workspaces.current.workspaces
            for destination in workspace.destinations
            if not destination.paused
        }
        await self._end([lane for lane, one in self._running.items() if wanted.get(lane) != one.runner.settings])
        for lane, one in list(self._running.items()):
            if one.task.done():  # a bug of ours: said once, and the lane starts anew
                log.error("lane_failed", destination=lane.destination, exc_info=one.task.exception())
                del self._running[lane]
        for lane, settings in wanted.items():
            if lane not in self._running:
                ended, runner = asyncio.Event(), self._make_lane(lane, settings)
                self._running[lane] = _Running(runner, ended, asyncio.create_task(runner.run(ended)))

    async def _end(self, lanes: Iterable[Lane]) -> None:
        ending = [self._running.pop(lane) for lane in lanes]
        for one in ending:
            one.stop.set()
        await asyncio.gather(*(one.task for one in ending), return_exceptions=True)
