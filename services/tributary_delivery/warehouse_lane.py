"""A lane of a warehouse: exports what is new every so often, and says how far it is. One replica does it for all.

The one rule: nothing depends on a clock being right. Clocks decide when a batch is made, what is in it is held against
what others have; a clock that was set back has all looked through once more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from tributary.delivery.v1.delivery_pb2 import (
    OUTCOME_CLASS_CONFIG,
    OUTCOME_CLASS_OK,
    OUTCOME_CLASS_RETRY,
    OUTCOME_CLASS_THROTTLED,
    OutcomeClass,
)
from tributary_delivery.attempt import CONFIG_PAUSE_SECONDS
from tributary_delivery.warehouse_export import WarehouseExport
from tributary_domain.backoff import Backoff
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import UnavailableError
from tributary_runtime.settings_digest import DigestOf
from tributary_runtime.warehouse_destinations import WarehouseDestination
from tributary_storage.clickhouse.warehouse_batches import Waiting, WarehouseBatches
from tributary_storage.clickhouse.warehouse_files import FileError, FileFault, WarehouseFiles
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.warehouse_progress import WarehousePlace, WarehouseProgress

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 15.0
_LEASE_SECONDS: Final = 60
_RENEW_SECONDS: Final = 15.0
_SWEEP_MICROS: Final = 86_400 * 1_000_000
_BACKOFF: Final = Backoff(2.0, 300.0)
_OUTCOMES: Final = {
    FileFault.AGAIN: OUTCOME_CLASS_RETRY,
    FileFault.THROTTLED: OUTCOME_CLASS_THROTTLED,
    FileFault.CONFIG: OUTCOME_CLASS_CONFIG,
}


@dataclass(frozen=True, slots=True)
class WarehouseLanes:
    """What all lanes of warehouses share."""

    batches: WarehouseBatches
    files: WarehouseFiles
    states: DestinationStates
    progress: WarehouseProgress
    holder: str
    """Names this process among the replicas, the same after a restart."""
    clock: Clock
    digest_of: DigestOf
    """Tells settings apart, for pauses that are for some."""

    def make(self, lane: Lane, settings: WarehouseDestination) -> WarehouseLane:
        """Makes one; nothing connects."""
        export = WarehouseExport(lane.workspace, settings, self.batches, self.files, self.clock)
        return WarehouseLane(lane, settings, export, self)


class WarehouseLane:
    """Runs one lane until it is stopped.

    Args:
        lane: Which.
        settings: Of the destination.
        export: What is done.
        shared: Where it is said, and by whom.
    """

    def __init__(
        self,
        lane: Lane,
        settings: WarehouseDestination,
        export: WarehouseExport,
        shared: WarehouseLanes,
    ) -> None:
        self.settings = settings
        self._lane = lane
        self._export = export
        self._states, self._progress = shared.states, shared.progress
        self._holder, self._clock = shared.holder, shared.clock
        self._digest = shared.digest_of(lane.workspace, settings)
        self._chance = random.Random()  # noqa: S311 - jitter
        self._failures = 0
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Has the lane look now."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until stopped; what is under way then is done again by whoever comes next."""
        await self._unless_out(self._states.mend(self._lane, self._digest))
        async with asyncio.TaskGroup() as group:
            work = group.create_task(self._work())
            await stop.wait()
            work.cancel()
        await self._unless_out(self._progress.release(self._lane, self._holder))

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            seconds = min(_LOOK_SECONDS, float(self.settings.interval_seconds))
            try:
                seconds = await self.step() or seconds
            except UnavailableError as outage:
                log.warning("lane_paused", destination=self._lane.destination, reason=str(outage))
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def step(self) -> float:
        """Looks once, and exports what is due; returns how long to wait after a failure, 0 after none.

        Raises:
            UnavailableError: A store does not answer.
        """
        state = await self._states.read(self._lane)
        if state.is_paused(self._clock.unix_micros() // 1000, self._digest):
            return 0.0
        if not await self._progress.hold(self._lane, self._holder, _LEASE_SECONDS):
            return 0.0
        renewing = asyncio.create_task(self._renew())
        try:
            return await self._try()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            await self._unless_out(self._progress.hold(self._lane, self._holder, _LEASE_SECONDS))

    async def _try(self) -> float:
        """Exports what is due, and says what came of it."""
        place = await self._progress.read(self._lane)
        waiting = await self._export.waiting(place.through_micros)
        is_set_back = waiting.now_micros < place.through_micros
        if is_set_back:
            waiting = await self._export.waiting(waiting.now_micros)
        place = _seen(place, waiting)
        await self._progress.note(self._lane, place)
        metrics.WAREHOUSE_LAG.set(max(0, waiting.now_micros - place.oldest_micros) / 1e6 if place.waiting else 0)
        began = self._clock.monotonic_seconds()
        try:
            last = await self._export.finish()
            if is_set_back or self._must_sweep(place, waiting):
                last = await self._export.sweep(waiting.exported) or last
                place = replace(place, sweep_micros=waiting.now_micros, erasures=waiting.erasures)
            if self._is_due(place, waiting):
                last = await self._export.export_new(place.erasures) or last
                waiting = await self._export.waiting(place.through_micros)
                place = replace(_seen(place, waiting), try_micros=waiting.now_micros if waiting.revisions else 0)
            is_whole = not waiting.revisions
        except FileError as error:
            await self._fail(error)
            return _BACKOFF.delay_seconds(self._failures, self._chance)
        if not is_whole and place.try_micros:  # all but what waits for the revision that it replaces
            place = replace(place, through_micros=max(place.through_micros, waiting.oldest_micros))
        if is_whole:
            place = replace(place, through_micros=waiting.now_micros, waiting=0, oldest_micros=0)
            metrics.WAREHOUSE_LAG.set(0)
        await self._progress.note(self._lane, replace(place, batch_id=last or place.batch_id))
        if last:
            metrics.DELIVERY_DURATION.record(
                self._clock.monotonic_seconds() - began, destination=metrics.DestinationType.WAREHOUSE
            )
            await self._note(OUTCOME_CLASS_OK)
        self._failures = 0
        return 0.0

    def _must_sweep(self, place: WarehousePlace, waiting: Waiting) -> bool:
        """Tells whether all is to be looked through: once a day, and after a run of an erasure, not during it."""
        if not waiting.exported or waiting.is_erasing:
            return False
        return waiting.erasures != place.erasures or abs(waiting.now_micros - place.sweep_micros) >= _SWEEP_MICROS

    def _is_due(self, place: WarehousePlace, waiting: Waiting) -> bool:
        if not waiting.revisions:
            return False
        age_micros = waiting.now_micros - max(place.through_micros, place.try_micros)
        return (
            waiting.revisions >= self.settings.batch_rows or not 0 <= age_micros < self.settings.interval_seconds * 1e6
        )

    async def _fail(self, error: FileError) -> None:
        self._failures += 1
        about = {"destination": self._lane.destination, "workspace": self._lane.workspace, "reason": error.said}
        await self._note(_OUTCOMES[error.fault])
        if error.fault is not FileFault.CONFIG:
            log.warning("warehouse_file_not_written", **about)
            return
        log.error("destination_paused", **about)
        until_millis = self._clock.unix_micros() // 1000 + round(CONFIG_PAUSE_SECONDS * 1000)
        why = (
            f"The bucket refuses: {error.said} Mend bucket or credentials in workspaces.yaml, which ends the pause; or "
            f"its permissions, then `tributary deliveries resume {self._lane.destination}`."
        )
        await self._states.pause(self._lane, until_millis, why, settings=self._digest)

    async def _note(self, outcome: OutcomeClass.ValueType) -> None:
        said = metrics.Outcome(OutcomeClass.Name(outcome).removeprefix("OUTCOME_CLASS_"))
        metrics.DELIVERY_ATTEMPTS.add(1, destination=metrics.DestinationType.WAREHOUSE, outcome=said)
        await self._states.note(self._lane, outcome, self._clock.unix_micros())

    async def _unless_out(self, work: Awaitable[object]) -> None:
        try:
            await work
        except UnavailableError as outage:
            log.warning("lane_state_not_kept", destination=self._lane.destination, reason=str(outage))


def _seen(place: WarehousePlace, waiting: Waiting) -> WarehousePlace:
    """Returns the place with what was found now; a destination that has nothing yet needs no looking through."""
    if not waiting.exported:
        place = replace(place, sweep_micros=waiting.now_micros, erasures=waiting.erasures)
    return replace(
        place, waiting=waiting.revisions, oldest_micros=waiting.oldest_micros, look_micros=waiting.now_micros
    )
