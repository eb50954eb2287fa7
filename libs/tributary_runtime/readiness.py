"""Whether a process may work: its guards, its health, its drain.

The one rule: a process that must not acknowledge says so to the probe *and* to the caller, and stops its loops. A guard
that refuses (a Redis that may forget) closes the gate, and it stays closed until all guards pass; a guard that cannot
tell (a Redis that does not answer) takes the process out of the load balancer after a few tries, while calls and loops
that were not refused before go on to find out for themselves. Where only some nodes of a Redis Cluster do not answer,
the process stays: the shards of the others go on. Who can serve those alone may begin so; who was refused, and who
needs all of them, must know of all.

What loops do while the gate is closed: nothing. The clients of the stores run no command for them, so nothing is read,
written or acknowledged; a loop sees an outage, pauses, and goes on by itself when the gate opens. What a worker had
read by then is kept, and done once more before it is acknowledged (`gate`).

The bound: guards are asked every `CHECK_SECONDS`, and before each new connection that carries work. So what is
acknowledged between a change of the settings of a running Redis and the next check, about a second, is only as safe as
the new settings make it. A Redis that restarted or was exchanged is met with new connections: there is no such second.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import grpc
import structlog
from grpc_health.v1 import health_pb2

from tributary_runtime import metrics
from tributary_runtime.errors import PartOutageError, PreconditionError, TributaryError, UnavailableError
from tributary_runtime.gate import Gate, refusal

log = structlog.get_logger(__name__)

READINESS = "tributary.ready"
"""Name, in health, of the readiness of a process whatever it serves; our own channels watch it."""

CHECK_SECONDS = 1.0
"""Between checks while everything is fine: for how long a Redis that became forgetful is trusted."""

RECHECK_SECONDS = 0.5
"""Between checks while something is not."""

GUARD_TIMEOUT_SECONDS = 5.0
"""How long one guard may take."""

TRIES = 3
"""Checks in a row that may fail to tell before the process leaves the load balancer."""


class Guard(Protocol):
    """One condition that must hold while the process works. Runs again and again, may run twice at once."""

    @property
    def name(self) -> str:
        """For logs: `redis:log`."""
        ...

    async def __call__(self) -> None:
        """Returns if the condition holds.

        Raises:
            PreconditionError: It does not hold; the message says what to do. Closes the process at once.
            PartOutageError: It holds of those nodes of a cluster that answer.
            TributaryError: Cannot tell now.
        """
        ...


class Health:
    """The standard health service. `""` is liveness and stays SERVING; the services' names are readiness."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = frozenset((*services, READINESS))
        self._is_ready = False
        self._is_closed = False
        self._changed = asyncio.Condition()

    async def set_ready(self, is_ready: bool) -> None:
        """Says whether work is welcome."""
        async with self._changed:
            self._is_ready = is_ready
            self._changed.notify_all()

    async def close(self) -> None:
        """Ends all watches, so that they do not hold up the server's stop."""
        async with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _status(self, service: str) -> health_pb2.HealthCheckResponse:
        statuses = health_pb2.HealthCheckResponse
        if service and service not in self._services:
            return statuses(status=statuses.SERVICE_UNKNOWN)
        is_serving = self._is_ready or not service
        return statuses(status=statuses.SERVING if is_serving else statuses.NOT_SERVING)

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:
        """Answers a probe."""
        found = self._status(request.service)
        if found.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "This process serves no such service.")
        return found

    async def List(self, _request: Any, _context: Any) -> health_pb2.HealthListResponse:
        """Answers for all services at once."""
        return health_pb2.HealthListResponse(
            statuses={service: self._status(service) for service in ("", *sorted(self._services))}
        )

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Answers now and at each change."""
        told = None
        while True:
            found = self._status(request.service)
            if found.status != told:
                told = found.status
                yield found
                continue
            if self._is_closed:
                return
            async with self._changed:
                if not self._is_closed and self._status(request.service).status == told:
                    await self._changed.wait()


class Readiness:
    """Checks the guards and tells health, the gate and the log.

    Args:
        guards: All must pass.
        health: Is told.
        gate: Is opened and closed.
    """

    def __init__(self, guards: Sequence[Guard], health: Health, gate: Gate) -> None:
        self._guards = guards
        self._health = health
        self._gate = gate
        self._failures = 0
        self._is_refused = False  # since a guard refused, until all pass
        self._is_draining = False
        self._told: str | None = "not checked"  # the reason last logged; None: that it is ready
        self.leaving: TributaryError | None = None
        """Why calls are refused for good; None until then."""
        self.opened = asyncio.Event()
        """Set when all guards have passed for the first time."""

    @property
    def closed(self) -> TributaryError | None:
        """Why calls are refused; None while they are not."""
        return self._gate.closed

    async def run(self, stop: asyncio.Event) -> None:
        """Checks until stopped."""
        while not stop.is_set():
            is_fine = await self.check()
            try:
                async with asyncio.timeout(CHECK_SECONDS if is_fine else RECHECK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def drain(self) -> None:
        """Takes the process out of the load balancer for good; calls are still answered."""
        self._is_draining = True
        await self._health.set_ready(is_ready=False)

    def leave(self) -> None:
        """Refuses calls from now on: somebody else must answer them."""
        self.leaving = UnavailableError(
            "This process is leaving; send the same again, it reaches another.",
            reason="LEAVING",
            retry_delay_seconds=1,
        )

    async def check(self) -> bool:
        """Checks all guards once; tells whether all passed."""
        part: tuple[str, PartOutageError] | None = None
        for guard in self._guards:
            try:
                async with asyncio.timeout(GUARD_TIMEOUT_SECONDS):
                    await guard()
            except PartOutageError as outage:
                part = guard.name, outage
            except PreconditionError as refused:
                self._is_refused = True
                await self._close(guard.name, refused.reason, refused.message, refuses_calls=True)
                return False
            except (TributaryError, TimeoutError) as failure:
                self._failures += 1
                if self._failures >= TRIES or not self.opened.is_set():
                    cause = failure.reason if isinstance(failure, TributaryError) else "NO_ANSWER"
                    why = str(failure) or "The guard did not answer in time."
                    # What was refused stays refused: that nobody can tell now is no proof that it was mended.
                    await self._close(guard.name, cause, why, refuses_calls=self.closed is not None)
                return False
        if part is None:
            await self._open()
        elif (self.opened.is_set() or self._gate.opens_in_part) and not self._is_refused:
            await self._go_on_without(*part)
        else:
            name, away = part
            await self._close(name, away.reason, away.message, refuses_calls=self.closed is not None)
        return part is None

    async def _go_on_without(self, guard: str, outage: PartOutageError) -> None:
        self._failures = 0
        self._gate.open()
        self.opened.set()
        if self._told != outage.message:
            log.warning("part_of_store_away", guard=guard, reason=outage.message)
            self._told = outage.message
        await self._tell(is_ready=True)

    async def _open(self) -> None:
        self._failures = 0
        self._is_refused = False
        self._gate.open()
        self.opened.set()
        if self._told is not None:
            log.info("became_ready")
            self._told = None
        await self._tell(is_ready=True)

    async def _close(self, guard: str, cause: str, why: str, *, refuses_calls: bool) -> None:
        if refuses_calls:
            self._gate.close(why, refusal(guard, cause))
        if self._told != why:
            log.warning("became_not_ready", guard=guard, reason=why, refuses_calls=refuses_calls)
            self._told = why
        await self._tell(is_ready=False)

    async def _tell(self, *, is_ready: bool) -> None:
        metrics.READY.set(int(is_ready))
        if not self._is_draining:
            await self._health.set_ready(is_ready)
