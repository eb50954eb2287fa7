"""Where one destination is asked for its reports: within its quota, and not while it lets nobody in.

The one rule: a refusal shuts the door for all requests; what came of each that was asked for is dealt with at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog

from tributary_delivery.admission import gate_of
from tributary_delivery.attempt import CONFIG_PAUSE_SECONDS
from tributary_delivery.destinations.destination import CONFIG, THROTTLED, Outcome
from tributary_delivery.destinations.reporting import RequestReport
from tributary_delivery.destinations.tokens import TokenError
from tributary_delivery.destinations.unanswered import UNANSWERED
from tributary_delivery.report_asker import ReportsRefusedError
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import UnavailableError
from tributary_storage.redis.awaited_reports import Awaited
from tributary_storage.redis.credential_gates import CredentialGates
from tributary_storage.redis.delivery_job import Lane

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 4
"""Reports asked for at once."""
_CALL_SECONDS: Final = 15.0
_LONGEST_WAIT_SECONDS: Final = 5.0
"""What the quota does not let be asked by then is asked with the next look."""
_THROTTLED_SECONDS: Final = 60.0
"""For how long nobody asks where a destination says that it is asked too often, and not for how long."""

Handle = Callable[[Awaited, RequestReport | None], Awaitable[None]]
"""Deals with what a destination says of a request; None: nothing yet."""


class Asker(Protocol):
    """Asks one destination for its reports."""

    async def ask(self, request_id: str, admit_again: Callable[[], Awaitable[None]]) -> RequestReport | None:
        """Returns what became of a request; None: nothing yet.

        Args:
            request_id: The destination's own.
            admit_again: Called before it is asked once more, with another token; raises `ReportsRefusedError`.

        Raises:
            ReportsRefusedError: There is nothing to be had now, of no request.
            TokenError: There is no access token now.
            checked_http.UNANSWERED: There is no answer.
        """
        ...

    async def aclose(self) -> None:
        """Closes its connections."""
        ...


class ReportDoor:
    """Asks one destination.

    Args:
        lane: Which.
        settings: Of the destination.
        asker: Asks.
        gates: Where the quota is.
        clock: Tells for how long it is shut.
        is_stopping: Tells whether no more is to be asked.
    """

    def __init__(
        self,
        lane: Lane,
        settings: DestinationSettings,
        asker: Asker,
        gates: CredentialGates,
        clock: Clock,
        is_stopping: Callable[[], bool],
    ) -> None:
        self.settings = settings
        self._lane = lane
        self._asker = asker
        self._gates = gates
        self._gate = gate_of(lane, settings, "reports")
        self._clock = clock
        self._is_stopping = is_stopping
        self._shut_until_seconds = 0.0

    @property
    def is_shut(self) -> bool:
        """Whether nobody asks now: it let nobody in, or was asked too often."""
        return self._clock.monotonic_seconds() < self._shut_until_seconds

    async def read(self, requests: Sequence[Awaited], handle: Handle, seconds: float) -> int:
        """Asks about requests, for so long; returns how many reports there were.

        Raises:
            StorageUnavailableError: Some were not asked for, or not dealt with.
        """
        due = deque(requests)
        try:
            async with asyncio.timeout(seconds):
                async with asyncio.TaskGroup() as group:
                    asked = [group.create_task(self._ask_all(due, handle)) for _ in range(min(_AT_ONCE, len(due)))]
        except TimeoutError:
            log.info("reports_left_for_later", destination=self._lane.destination)
        found = [task.result() for task in asked if not task.cancelled()]
        for one in found:
            if isinstance(one, UnavailableError):
                raise one
        return sum(one for one in found if isinstance(one, int))

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._asker.aclose()

    async def _ask_all(self, due: deque[Awaited], handle: Handle) -> int | UnavailableError:
        """Asks for what others do not ask for at the same time; returns how many reports there were, or the outage."""
        found = 0
        try:
            while due and not self._is_stopping():
                granted, wait_seconds = await self._gates.admit(self._gate, 1, _CALL_SECONDS)
                if not granted and wait_seconds > _LONGEST_WAIT_SECONDS:
                    break
                if not granted or not due:
                    await asyncio.sleep(wait_seconds)
                    continue
                request = due.popleft()
                report = await self._asker.ask(request.request_id, self._admit_again)
                await handle(request, report)
                found += report is not None
        except UnavailableError as outage:
            due.clear()
            return outage
        except (ReportsRefusedError, TokenError) as error:
            due.clear()
            self._shut(error.outcome)
        except UNANSWERED as error:
            due.clear()
            log.warning("reports_not_read", destination=self._lane.destination, reason=type(error).__name__)
        return found

    async def _admit_again(self) -> None:
        granted, wait_seconds = await self._gates.admit(self._gate, 1, _CALL_SECONDS)
        if not granted:
            why = "The quota lets nothing more be asked now."
            raise ReportsRefusedError(Outcome(THROTTLED, message=why, retry_after_seconds=wait_seconds))

    def _shut(self, outcome: Outcome) -> None:
        if outcome.outcome == CONFIG:
            seconds = CONFIG_PAUSE_SECONDS
            log.error("reports_refused", destination=self._lane.destination, reason=outcome.message)
        else:
            seconds = outcome.retry_after_seconds or (_THROTTLED_SECONDS if outcome.outcome == THROTTLED else 0.0)
            log.warning("reports_not_read", destination=self._lane.destination, reason=outcome.message)
        self._shut_until_seconds = self._clock.monotonic_seconds() + seconds
