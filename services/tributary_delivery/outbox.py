"""Outcomes on their way: into the ledger first, then the jobs are settled.

The one rule: a job is held from its attempt until it is settled. While the ledger is out the lease is renewed, so that
nobody, this process included, tries again what has only not been written down. A line that the ledger refuses is said
in brief; if that is refused too, the job is settled without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import structlog

from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_TEST, DELIVERY_STATE_ACCEPTED, Delivery
from tributary_delivery.ledger import Ledger
from tributary_delivery.reports import FIRST_SECONDS
from tributary_runtime.errors import TributaryError, UnavailableError
from tributary_storage.redis.awaited_reports import Awaited, AwaitedReports
from tributary_storage.redis.delivery_job import Lane, Settled
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.destination_states import DestinationStates

log = structlog.get_logger(__name__)

_OUTAGE_PAUSE_SECONDS: Final = 1.0
_REFUSED: Final = "The ledger refused what there was to say; the log of delivery says why."


class Outbox:
    """The outcomes of one lane of one process.

    Args:
        lane: Which.
        token: Of its leases.
        lease_seconds: How long a renewed lease lasts.
        jobs: What is settled.
        states: Where the last outcome is shown.
        ledger: What is written first.
        reports: Where requests are noted that the destination reports on later; None: it never does.
        most: How many outcomes may wait before nothing more should be sent.
        wake: Told when jobs were settled: some may be due again.
    """

    def __init__(
        self,
        lane: Lane,
        token: str,
        lease_seconds: float,
        jobs: DeliveryJobs,
        states: DestinationStates,
        ledger: Ledger,
        reports: AwaitedReports | None = None,
        *,
        most: int,
        wake: Callable[[], None],
    ) -> None:
        self._lane = lane
        self._token = token
        self._lease_seconds = lease_seconds
        self._jobs = jobs
        self._states = states
        self._ledger = ledger
        self._most = most
        self._wake = wake
        self._reports = reports
        self._held: set[str] = set()
        self._waiting: list[tuple[Settled, list[Delivery]]] = []
        self._filled = asyncio.Event()
        self._is_finishing = False

    @property
    def held(self) -> Collection[str]:
        """The conversions that are being sent, or whose outcome is not settled yet."""
        return self._held

    @property
    def is_stuck(self) -> bool:
        """Whether the ledger does not take outcomes: sending more would only make more of them."""
        return len(self._waiting) >= self._most

    def hold(self, conversion_id: str) -> None:
        """Notes that an attempt begins."""
        self._held.add(conversion_id)

    def release(self, conversion_id: str) -> None:
        """Notes that none was made, or that its job is no longer ours."""
        self._held.discard(conversion_id)

    def add(self, settled: Settled, line: Delivery | None, newer: Delivery | None = None) -> None:
        """Takes an outcome, and the ledger's line for it; and that for what is newer and is settled with it."""
        self._held.add(settled.conversion_id)
        self._waiting.append((settled, [one for one in (line, newer) if one is not None]))
        self._filled.set()

    def finish(self) -> None:
        """Says that nothing more will come."""
        self._is_finishing = True
        self._filled.set()

    async def run(self) -> None:
        """Writes and settles until finished; through outages, but when finishing leaves the rest to whoever comes."""
        while self._waiting or not self._is_finishing:
            if not self._waiting:
                self._filled.clear()
                await self._filled.wait()
                continue
            batch = list(self._waiting)
            try:
                await self._flush(batch)
            except UnavailableError as outage:
                log.warning("ledger_waits", destination=self._lane.destination, reason=str(outage), waiting=len(batch))
                if self._is_finishing:
                    return  # the lease ends and somebody tries again, under the same message ids
                await self._renew(batch)
                await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)
                continue
            del self._waiting[: len(batch)]
            self._held.difference_update(settled.conversion_id for settled, _ in batch)
            self._wake()

    async def _flush(self, batch: list[tuple[Settled, list[Delivery]]]) -> None:
        lines = [line for _, own in batch for line in own]
        await self._write(lines)
        await self._await_reports(lines)
        await self._jobs.settle(self._lane, self._token, [settled for settled, _ in batch])
        tried = [line for line in lines if line.attempts or line.unsent]
        if tried:
            newest = max(tried, key=lambda line: line.attempt_time.ToMicroseconds())
            await self._states.note(self._lane, newest.outcome, newest.attempt_time.ToMicroseconds())

    async def _write(self, lines: list[Delivery]) -> None:
        """Writes lines. One that the ledger refuses must not have its conversion sent again for ever, so less is said.

        Raises:
            UnavailableError: Some are not written.
        """
        if not lines:
            return
        try:
            await self._ledger.write([(self._lane.workspace, line) for line in lines])
        except UnavailableError:
            raise
        except TributaryError as refused:
            if len(lines) > 1:
                for line in lines:
                    await self._write([line])
                return
            [line] = lines
            about = {"destination": self._lane.destination, "conversion_id": line.conversion_id}
            log.error("ledger_line_refused", **about, revision=line.revision, exc_info=refused)
            if (brief := _brief(line)) != line:
                await self._write([brief])

    async def _await_reports(self, lines: list[Delivery]) -> None:
        """Notes, before their jobs are forgotten, which requests the destination is to report on."""
        if self._reports is None:
            return
        queued = {
            line.destination_request_id: line.attempt_time.ToMicroseconds()
            for line in lines
            if line.state == DELIVERY_STATE_ACCEPTED and line.destination_request_id and not _is_test(line)
        }
        if queued:
            requests = [Awaited(request_id, micros) for request_id, micros in queued.items()]
            due_micros = max(queued.values()) + round(FIRST_SECONDS * 1e6)
            await self._reports.expect(self._lane, requests, due_micros)

    async def _renew(self, batch: list[tuple[Settled, list[Delivery]]]) -> None:
        waiting = [settled.conversion_id for settled, _ in batch]
        try:
            await self._jobs.renew(self._lane, self._token, self._lease_seconds, waiting)
        except UnavailableError as outage:
            log.warning("leases_not_renewed", destination=self._lane.destination, reason=str(outage))


def _is_test(line: Delivery) -> bool:
    return line.operation == DELIVERY_OPERATION_TEST  # was only validated: there is nothing to report on


def _brief(line: Delivery) -> Delivery:
    """Returns what must be known of a delivery, without what a destination or a caller has put into words."""
    brief = Delivery(
        destination_id=line.destination_id,
        conversion_id=line.conversion_id,
        revision=line.revision,
        operation=line.operation,
        state=line.state,
        outcome=line.outcome,
        attempts=line.attempts,
        unsent=line.unsent,
        status_code=line.status_code,
        ineligible_reason=line.ineligible_reason,
        message=_REFUSED,
        visible_id=line.visible_id,
        sent_name=line.sent_name,
        sent_account=line.sent_account,
        sent_value=line.sent_value,
    )
    brief.residual_conversions = line.residual_conversions
    for name in ("plan_time", "attempt_time", "due_time", "value", "residual"):
        if line.HasField(name):
            getattr(brief, name).CopyFrom(getattr(line, name))
    return brief
