"""Reads what destinations report back on what they took: a loop. One process at a time asks one destination.

The one rule: a request is asked about until its report is stored, in the ledger too, and what it makes of the jobs is
done, or for 45 days; each time after as long again as it is old, from half an hour on, up to a day. Never more often
than the quota says, which reads have to themselves.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

import structlog

from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_SUPERSEDED, Delivery
from tributary_delivery.attempt import CONFIG_PAUSE_SECONDS
from tributary_delivery.destinations.reporting import RequestReport
from tributary_delivery.ledger import Ledger
from tributary_delivery.report_door import Asker, ReportDoor
from tributary_delivery.report_judgement import AGAIN_SECONDS, Judgement, judge
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import UnavailableError
from tributary_runtime.settings_digest import DigestOf
from tributary_runtime.workspaces import Workspaces
from tributary_storage.redis.awaited_reports import Awaited, AwaitedReports
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.taken_back import NEVER_AGAIN, Refusal, TakenBack, TakingBack

log = structlog.get_logger(__name__)

FIRST_SECONDS: Final = 1_800.0
"""When a report is asked for first."""
_LAST_SECONDS: Final = 45 * 86_400.0
"""After how long nobody asks any more: Google keeps reports for about fifty days."""
_LONGEST_SECONDS: Final = 86_400.0
_BUSY_SECONDS: Final = 60.0
"""After how long a report is read again of which a conversion was being sent something else."""
_LOOK_SECONDS: Final = 60.0
_MOST_PER_LOOK: Final = 1_000
_DESTINATIONS_AT_ONCE: Final = 16
_LEASE_SECONDS: Final = 55.0


class CurrentWorkspaces(Protocol):
    """The workspaces file."""

    @property
    def current(self) -> Workspaces:
        """Everything as it was read last. Never blocks."""
        ...


class MakeAsker(Protocol):
    """How one is made."""

    def asker(self, settings: DestinationSettings) -> Asker:
        """Makes one; nothing connects."""
        ...


class ReportLedger(Protocol):
    """What ClickHouse knows of requests. Raises `StorageUnavailableError` if it does not answer."""

    async def of_request(self, lane: Lane, request_id: str, accept_micros: int) -> list[Delivery]:
        """Returns what a destination took with a request and has not reported on yet."""
        ...

    async def conversions_of(self, lane: Lane, request: Awaited) -> int:
        """Returns how many conversions a request held, by what was stored of it already; 0: nothing was."""
        ...

    async def write(
        self, lane: Lane, request: Awaited, status: str, conversions: int, causes: dict[str, int], now_micros: int
    ) -> None:
        """Stores of how many conversions a destination says what. May run twice."""
        ...


class Reports:
    """The loop.

    Args:
        workspaces: Which destinations report.
        awaited: Which requests they are to report on.
        make: Makes what asks them.
        reports: Where reports are kept.
        ledger: Where it is written what they make of deliveries.
        taking_back: Corrects what jobs know.
        states: Where a pause is said.
        clock: Tells what is due.
        digest_of: Tells settings apart, for pauses that are for some.
    """

    name = "reports"

    def __init__(
        self,
        workspaces: CurrentWorkspaces,
        awaited: AwaitedReports,
        make: MakeAsker,
        reports: ReportLedger,
        ledger: Ledger,
        taking_back: TakingBack,
        states: DestinationStates,
        clock: Clock,
        digest_of: DigestOf,
    ) -> None:
        self._workspaces = workspaces
        self._awaited = awaited
        self._make = make
        self._reports = reports
        self._ledger = ledger
        self._taking_back = taking_back
        self._states = states
        self._clock = clock
        self._digest_of = digest_of
        self._doors: dict[Lane, ReportDoor] = {}
        self._since_micros: dict[Lane, int] = {}
        """Since when the settings of a destination are what they are; what was sent before says nothing of them."""
        self._is_stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every minute until stopped; an outage is for the next time."""
        ending = asyncio.create_task(self._end_when(stop))
        try:
            while not stop.is_set():
                try:
                    await self.read()
                except UnavailableError as outage:
                    log.warning("reports_not_read", reason=outage.message)
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await stop.wait()
                except TimeoutError:
                    continue
        finally:
            ending.cancel()
            await self.aclose()

    async def _end_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._is_stopping = True

    async def aclose(self) -> None:
        """Closes its connections."""
        for lane in list(self._doors):
            await self._doors.pop(lane).aclose()

    async def read(self) -> int:
        """Reads once what is due; returns how many reports there were.

        Raises:
            StorageUnavailableError: Some are read later.
        """
        reporting = {
            Lane(workspace.id, settings.id): settings
            for workspace in self._workspaces.current.workspaces
            for settings in workspace.destinations
            if settings.reports_later and not settings.paused
        }
        for lane in set(self._doors) - set(reporting):
            await self._doors.pop(lane).aclose()
        room = asyncio.Semaphore(_DESTINATIONS_AT_ONCE)
        reading = [self._read_of(lane, settings, room) for lane, settings in reporting.items()]
        found = await asyncio.gather(*reading, return_exceptions=True)  # each fails alone
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return sum(one for one in found if isinstance(one, int))

    async def _read_of(self, lane: Lane, settings: DestinationSettings, room: asyncio.Semaphore) -> int:
        async with room:
            door = await self._door(lane, settings)
            if door.is_shut:
                return 0
            most = min(_MOST_PER_LOOK, settings.quota.requests_per_minute)
            due = await self._awaited.due(lane, self._clock.unix_micros(), most)
            if not due or not await self._awaited.lease(lane, secrets.token_hex(8), _LEASE_SECONDS):
                return 0
            handle = partial(self._handle, lane, settings)
            return await door.read(due, handle, _LEASE_SECONDS)  # then another process may ask

    async def _door(self, lane: Lane, settings: DestinationSettings) -> ReportDoor:
        """Returns where a destination is asked: as long as its settings are the same, with the same token."""
        door = self._doors.get(lane)
        if door is None or door.settings != settings:
            if door is not None:
                self._since_micros[lane] = self._clock.unix_micros()
                await door.aclose()
            asker = self._make.asker(settings)
            door = ReportDoor(lane, settings, asker, self._states.gates, self._clock, lambda: self._is_stopping)
            self._doors[lane] = door
        return door

    async def _handle(
        self, lane: Lane, settings: DestinationSettings, request: Awaited, report: RequestReport | None
    ) -> None:
        if report is None:
            await self._postpone(lane, request)
        else:
            await self._take(lane, settings, request, report)

    async def _postpone(self, lane: Lane, request: Awaited) -> None:
        now_micros = self._clock.unix_micros()
        age_seconds = (now_micros - request.accept_micros) / 1e6
        if age_seconds > _LAST_SECONDS:
            log.warning("report_given_up", destination=lane.destination, request_id=request.request_id)
            await self._awaited.done(lane, [request])
            return
        wait_seconds = min(_LONGEST_SECONDS, max(FIRST_SECONDS, age_seconds))
        await self._awaited.postpone(lane, request, now_micros + round(wait_seconds * 1e6))

    async def _take(self, lane: Lane, settings: DestinationSettings, request: Awaited, report: RequestReport) -> None:
        """Does what a report asks for. May run twice: what is in the ledger already is not judged again.

        What is stored of the request comes first: once the ledger has it, no line says any more how many it held.
        """
        now_micros = self._clock.unix_micros()
        lines = await self._reports.of_request(lane, request.request_id, request.accept_micros)
        judged = judge(report, lines, now_micros, await self._reports.conversions_of(lane, request))
        if judged.config and request.accept_micros >= self._since_micros.get(lane, 0):
            await self._pause(lane, settings, judged.config, now_micros)
        are_known = await self._correct(lane, judged, now_micros)
        if not are_known:  # something of some is being sent: what comes of that counts
            await self._awaited.postpone(lane, request, now_micros + round(_BUSY_SECONDS * 1e6))
            return
        await self._reports.write(lane, request, report.status, judged.conversions, judged.causes, now_micros)
        if judged.lines:
            await self._ledger.write([(lane.workspace, line) for line in judged.lines])
        await self._awaited.done(lane, [request])
        about = {"status": report.status, "conversions": judged.conversions, **judged.causes}
        log.info("report_read", destination=lane.destination, request_id=request.request_id, **about)

    async def _pause(self, lane: Lane, settings: DestinationSettings, reason: str, now_micros: int) -> None:
        log.error("destination_paused", destination=lane.destination, reason=reason)
        until_millis = now_micros // 1000 + round(CONFIG_PAUSE_SECONDS * 1000)
        await self._states.pause(lane, until_millis, reason, settings=self._digest_of(lane.workspace, settings))

    async def _correct(self, lane: Lane, judged: Judgement, now_micros: int) -> bool:
        """Has the jobs know what was refused; returns whether all do. May run twice."""
        plans: Sequence[tuple[list[Refusal], float]] = ((judged.again, AGAIN_SECONDS), (judged.dead, NEVER_AGAIN))
        taken_back: dict[tuple[str, int], TakenBack] = {}
        for refusals, delay_seconds in plans:
            if refusals:
                answers = await self._taking_back.take_back(lane, refusals, now_micros, delay_seconds)
                names = [(one.conversion_id, one.revision) for one in refusals]
                taken_back.update(zip(names, answers, strict=True))
        for line in judged.lines:
            if taken_back.get((line.conversion_id, line.revision)) is TakenBack.OUTDATED:
                line.state = DELIVERY_STATE_SUPERSEDED  # a newer one was taken: nothing of it is to be sent again
        return TakenBack.BEING_SENT not in taken_back.values()
