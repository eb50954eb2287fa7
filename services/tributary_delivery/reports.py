"""Reads what destinations report back on what they took: a loop. One process at a time asks one destination.

The one rule: a request is asked about until its report is in the ledger and what it makes of the jobs is done, or for
45 days; each time after as long again as it is old, from half an hour on, up to a day. Never more often than the quota
says, which reads have to themselves.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary_delivery.admission import gate_of
from tributary_delivery.attempt import CONFIG_PAUSE_SECONDS
from tributary_delivery.destinations.destination import CONFIG, THROTTLED, Outcome
from tributary_delivery.destinations.reporting import RequestReport
from tributary_delivery.destinations.tokens import TokenError
from tributary_delivery.destinations.unanswered import UNANSWERED
from tributary_delivery.ledger import Ledger
from tributary_delivery.report_asker import ReportsRefusedError
from tributary_delivery.report_judgement import AGAIN_SECONDS, Judgement, judge
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import UnavailableError
from tributary_runtime.workspaces import Workspaces
from tributary_storage.redis.awaited_reports import Awaited, AwaitedReports
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.taken_back import NEVER_AGAIN, Refusal, TakingBack

log = structlog.get_logger(__name__)

FIRST_SECONDS: Final = 1_800.0
"""When a report is asked for first."""
_LAST_SECONDS: Final = 45 * 86_400.0
"""After how long nobody asks any more: Google keeps reports for about fifty days."""
_LONGEST_SECONDS: Final = 86_400.0
_LOOK_SECONDS: Final = 60.0
_MOST_PER_LOOK: Final = 1_000
_AT_ONCE: Final = 4
"""Reports asked for at once."""
_CALL_SECONDS: Final = 15.0
_LEASE_SECONDS: Final = 55.0
_LONGEST_WAIT_SECONDS: Final = 5.0
"""What the quota does not let be asked by then is asked with the next look."""
_THROTTLED_SECONDS: Final = 60.0
"""For how long nobody asks where a destination says that it is asked too often, and not for how long."""


class CurrentWorkspaces(Protocol):
    """The workspaces file."""

    @property
    def current(self) -> Workspaces:
        """Everything as it was read last. Never blocks."""
        ...


class Asker(Protocol):
    """Asks one destination for its reports."""

    async def ask(self, request_id: str) -> RequestReport | None:
        """Returns what became of a request; None: nothing yet.

        Raises:
            ReportsRefusedError: There is nothing to be had now, of no request.
            TokenError: There is no access token now.
            checked_http.UNANSWERED: There is no answer.
        """
        ...

    async def aclose(self) -> None:
        """Closes its connections."""
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

    async def write(
        self, lane: Lane, request: Awaited, status: str, conversions: int, causes: dict[str, int], now_micros: int
    ) -> None:
        """Stores of how many conversions a destination says what. May run twice."""
        ...


@dataclass(slots=True)
class _Door:
    """Where one destination is asked."""

    settings: DestinationSettings
    asker: Asker
    shut_until_seconds: float = 0.0
    """On the clock that only goes on: it let nobody in, or was asked too often."""


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
    ) -> None:
        self._workspaces = workspaces
        self._awaited = awaited
        self._make = make
        self._reports = reports
        self._ledger = ledger
        self._taking_back = taking_back
        self._states = states
        self._clock = clock
        self._doors: dict[Lane, _Door] = {}
        self._is_stopping: Callable[[], bool] = lambda: False

    async def run(self, stop: asyncio.Event) -> None:
        """Looks every minute until stopped; an outage is for the next time."""
        self._is_stopping = stop.is_set
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
            await self.aclose()

    async def aclose(self) -> None:
        """Closes its connections."""
        for lane in list(self._doors):
            await self._doors.pop(lane).asker.aclose()

    async def read(self) -> int:
        """Reads once what is due; returns how many reports there were.

        Raises:
            StorageUnavailableError: Some are read later.
        """
        found = 0
        for workspace in self._workspaces.current.workspaces:
            for settings in workspace.destinations:
                if settings.reports_later and not settings.paused:
                    found += await self._read_of(Lane(workspace.id, settings.id), settings)
        return found

    async def _read_of(self, lane: Lane, settings: DestinationSettings) -> int:
        door = await self._door(lane, settings)
        if self._clock.monotonic_seconds() < door.shut_until_seconds:
            return 0
        most = min(_MOST_PER_LOOK, settings.quota.requests_per_minute)
        due = deque(await self._awaited.due(lane, self._clock.unix_micros(), most))
        if not due or not await self._awaited.lease(lane, secrets.token_hex(8), _LEASE_SECONDS):
            return 0
        try:
            async with asyncio.timeout(_LEASE_SECONDS):  # then another process may ask
                async with asyncio.TaskGroup() as group:
                    asked = [group.create_task(self._ask_all(lane, door, due)) for _ in range(min(_AT_ONCE, len(due)))]
        except TimeoutError:
            log.info("reports_left_for_later", destination=lane.destination)
        found = [task.result() for task in asked if task.done() and not task.cancelled()]
        outages = [one for one in found if isinstance(one, UnavailableError)]
        if outages:
            raise outages[0]
        return sum(one for one in found if isinstance(one, int))

    async def _door(self, lane: Lane, settings: DestinationSettings) -> _Door:
        """Returns where a destination is asked: as long as its settings are the same, with the same token."""
        door = self._doors.get(lane)
        if door is None or door.settings != settings:
            if door is not None:
                await door.asker.aclose()
            door = self._doors[lane] = _Door(settings, self._make.asker(settings))
        return door

    async def _ask_all(self, lane: Lane, door: _Door, due: deque[Awaited]) -> int | UnavailableError:
        """Asks for what others do not ask for at the same time; returns how many reports there were, or the outage."""
        found, gate = 0, gate_of(lane, door.settings, "reports")
        try:
            while due and not self._is_stopping():
                granted, wait_seconds = await self._states.gates.admit(gate, 1, _CALL_SECONDS)
                if not granted and wait_seconds > _LONGEST_WAIT_SECONDS:
                    break
                if not granted or not due:
                    await asyncio.sleep(wait_seconds)
                    continue
                request = due.popleft()
                report = await door.asker.ask(request.request_id)
                if report is None:
                    await self._postpone(lane, request)
                else:
                    await self._take(lane, request, report)
                    found += 1
        except UnavailableError as outage:
            due.clear()
            return outage
        except (ReportsRefusedError, TokenError) as error:
            due.clear()
            self._shut(lane, door, error.outcome)
        except UNANSWERED as error:
            due.clear()
            log.warning("reports_not_read", destination=lane.destination, reason=type(error).__name__)
        return found

    def _shut(self, lane: Lane, door: _Door, outcome: Outcome) -> None:
        """Leaves a destination alone that lets nobody in, or is asked too often."""
        seconds = outcome.retry_after_seconds
        if outcome.outcome == CONFIG:
            seconds = CONFIG_PAUSE_SECONDS
            log.error("reports_refused", destination=lane.destination, reason=outcome.message)
        else:
            seconds = seconds or (_THROTTLED_SECONDS if outcome.outcome == THROTTLED else 0.0)
            log.warning("reports_not_read", destination=lane.destination, reason=outcome.message)
        door.shut_until_seconds = self._clock.monotonic_seconds() + seconds

    async def _postpone(self, lane: Lane, request: Awaited) -> None:
        now_micros = self._clock.unix_micros()
        age_seconds = (now_micros - request.accept_micros) / 1e6
        if age_seconds > _LAST_SECONDS:
            log.warning("report_given_up", destination=lane.destination, request_id=request.request_id)
            await self._awaited.done(lane, [request])
            return
        wait_seconds = min(_LONGEST_SECONDS, max(FIRST_SECONDS, age_seconds))
        await self._awaited.postpone(lane, request, now_micros + round(wait_seconds * 1e6))

    async def _take(self, lane: Lane, request: Awaited, report: RequestReport) -> None:
        """Does what a report asks for. May run twice: what is in the ledger already is not judged again."""
        now_micros = self._clock.unix_micros()
        lines = await self._reports.of_request(lane, request.request_id, request.accept_micros)
        judged = judge(report, lines, now_micros)
        await self._correct(lane, judged, now_micros)
        if judged.lines:
            await self._ledger.write([(lane.workspace, line) for line in judged.lines])
        await self._reports.write(lane, request, report.status, judged.conversions, judged.causes, now_micros)
        await self._awaited.done(lane, [request])
        about = {"status": report.status, "conversions": judged.conversions, **judged.causes}
        log.info("report_read", destination=lane.destination, request_id=request.request_id, **about)

    async def _correct(self, lane: Lane, judged: Judgement, now_micros: int) -> None:
        if judged.config:
            log.error("destination_paused", destination=lane.destination, reason=judged.config)
            until_millis = now_micros // 1000 + round(CONFIG_PAUSE_SECONDS * 1000)
            await self._states.pause(lane, until_millis, judged.config, is_config=True)
        plans: Sequence[tuple[list[Refusal], float]] = ((judged.again, AGAIN_SECONDS), (judged.dead, NEVER_AGAIN))
        for refusals, delay_seconds in plans:
            if refusals:
                await self._taking_back.take_back(lane, refusals, now_micros, delay_seconds)
