"""A service: from settings to the last answered call.

The one rule: whoever was let in gets an answer. SIGTERM: health says NOT_SERVING, calls are served for
`drain_delay_seconds` more; then streams are told to end, once what they have begun is answered, and calls are served
until no new ones come. Who goes on calling is told UNAVAILABLE, with a delay, until that is heard; then those in flight
have `GRACE_SECONDS` to finish; only then do the loops stop, finish what they read, and acknowledge it. `kill -9` is as
safe, only slower.

A loop that fails brings the whole process down, with a line that says which: half a process is worse than none. It
says NOT_SERVING at once, takes no more calls, tells all loops to stop, and waits for nobody longer than
`FAILURE_GRACE_SECONDS`: libraries swallow cancellations, so a task may go on for ever, and then the process ends
without it (`last_resort`).
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol, TypeVar, runtime_checkable

import grpc
import structlog
import uvloop
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tributary_runtime.authentication import Authenticator, InternalDoor
from tributary_runtime.channels import MAX_MESSAGE_BYTES
from tributary_runtime.clock import Clock, SystemClock
from tributary_runtime.errors import TributaryError
from tributary_runtime.gate import Gate
from tributary_runtime.interceptors import Access, CallInterceptor, Door
from tributary_runtime.last_resort import LastResort, end_within
from tributary_runtime.loops import CANCEL_SECONDS, Loop, failure_of, finish, run_loop
from tributary_runtime.readiness import Guard, Health, Readiness
from tributary_runtime.settings import ServiceSettings, Settings
from tributary_runtime.telemetry import configure_telemetry, flush_telemetry
from tributary_runtime.tls import Tls

log = structlog.get_logger(__name__)

GRACE_SECONDS = 25.0
"""How long calls in flight may take once no new ones are taken."""

QUIET_SECONDS = 0.1
"""Without a new call for so long, none is on its way: gRPC would cancel what has arrived but is not begun."""

LONGEST_QUIET_WAIT_SECONDS = 2.0
"""How long to wait for that where callers do not care about health, and again once they are refused."""

LOOP_GRACE_SECONDS = 20.0
"""How long a loop may take to finish what it has read."""

FAILURE_GRACE_SECONDS = 10.0
"""How long the others may take to finish once a loop has failed."""

SWITCH_SECONDS = 0.0005
"""How long each step of each call waits for a thread that computes, as the ClickHouse driver does; Python says 5 ms."""
CLOSING_SECONDS = 10.0
"""How long clients and telemetry may take to close; then the process ends all the same."""

HEALTH_SERVICE = "grpc.health.v1.Health"


class Servicer(Protocol):
    """One gRPC service as its process offers it."""

    @property
    def service_name(self) -> str:
        """Full name: `tributary.dedup.v1.DedupService`; also its name in health. A class attribute will do."""
        ...

    @property
    def rules(self) -> Mapping[str, Access]:
        """Method name (`AdmitEvents`) to what it asks of its caller. A method without a rule is closed."""
        ...

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers with the server: `add_DedupServiceServicer_to_server(self, server)`."""
        ...


@runtime_checkable
class Drains(Protocol):
    """A servicer with streams that do not end by themselves."""

    def drain(self) -> None:
        """Ends them soon, and those that still come; called when load balancers have had their time, maybe twice."""
        ...


async def serve(
    settings: ServiceSettings,
    *servicers: Servicer,
    loops: Sequence[Loop] = (),
    guards: Sequence[Guard] = (),
    authenticator: Authenticator | None = None,
    clock: Clock | None = None,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    gate: Gate | None = None,
    started: Callable[[int], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns.

    Args:
        settings: Of the process.
        servicers: What it offers.
        loops: What it does beside.
        guards: What must hold before it does either.
        authenticator: Knows API keys; needed where a rule asks for a scope.
        clock: For tests; the system's unless given.
        max_message_bytes: Of one request, after decompression.
        gate: What the clients of the stores and the workers ask: the guards open and close it.
        started: Is told the port once it listens.

    Raises:
        ExceptionGroup: Loops failed.
        OSError: The address is taken.
    """
    health = Health([servicer.service_name for servicer in servicers])
    readiness = Readiness(guards, health, gate or Gate())
    interceptor = CallInterceptor(
        _rules_of(servicers, settings),
        authenticator,
        InternalDoor(settings.internal_token),
        clock or SystemClock(),
        gate=lambda: readiness.leaving or readiness.closed,
        max_concurrent_calls=settings.max_concurrent_calls,
    )
    most_calls = 2 * settings.max_concurrent_calls + 64  # the interceptor's limit leaves room for probes
    server = grpc.aio.server(
        interceptors=[interceptor],
        options=_options(max_message_bytes, most_calls),
        maximum_concurrent_rpcs=most_calls,
    )
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    for servicer in servicers:
        servicer.add_to(server)
    if settings.reflection:
        reflection.enable_server_reflection(
            [*(servicer.service_name for servicer in servicers), HEALTH_SERVICE, reflection.SERVICE_NAME], server
        )
    port = _bind(server, settings.listen, Tls.of(settings).server_credentials())
    probed = _health_server(health, settings.health_listen)
    with _signals() as signals:  # before the first caller can be let in
        await server.start()
        if probed is not None:
            await probed.start()
        log.info("server_started", listen=settings.listen, port=port, services=[one.service_name for one in servicers])
        if started is not None:
            started(port)
        try:
            await _live(settings, server, servicers, readiness, health, loops, interceptor, signals)
        finally:
            if probed is not None:
                await probed.stop(1.0)


async def _live(
    settings: ServiceSettings,
    server: grpc.aio.Server,
    servicers: Sequence[Servicer],
    readiness: Readiness,
    health: Health,
    loops: Sequence[Loop],
    interceptor: CallInterceptor,
    signals: "_Signals",
) -> None:
    stop_checking, stop_loops = asyncio.Event(), asyncio.Event()
    checking = asyncio.create_task(readiness.run(stop_checking), name="readiness")
    running = [asyncio.create_task(run_loop(loop, readiness.opened, stop_loops), name=loop.name) for loop in loops]
    watched = [checking, *running]
    life = asyncio.create_task(_drain_when_asked(settings, server, servicers, readiness, health, interceptor, signals))
    try:
        # the drain is over, or a loop has ended, which none does by itself
        await asyncio.wait([life, *watched], return_when=asyncio.FIRST_COMPLETED)
        if life.done() and not life.cancelled() and life.exception() is None:
            end_within(LOOP_GRACE_SECONDS + CANCEL_SECONDS + CLOSING_SECONDS)
            stop_loops.set()
            await finish(running, LOOP_GRACE_SECONDS)
    finally:
        end_within(FAILURE_GRACE_SECONDS + 2 * CANCEL_SECONDS + 1.0 + CLOSING_SECONDS)
        readiness.leave()
        await readiness.drain()
        stop_loops.set()
        stop_checking.set()
        life.cancel()
        await _stop(server, servicers, health, 1.0)  # nothing is left to stop unless a loop failed
        await finish([*watched, life], FAILURE_GRACE_SECONDS)
        log.info("server_stopped")
    failures = [failure for task in (*watched, life) if (failure := failure_of(task)) is not None]
    if failures:
        raise ExceptionGroup("Loops failed.", failures)


async def _drain_when_asked(
    settings: ServiceSettings,
    server: grpc.aio.Server,
    servicers: Sequence[Servicer],
    readiness: Readiness,
    health: Health,
    interceptor: CallInterceptor,
    signals: "_Signals",
) -> None:
    """Waits for the first signal; returns when nobody is served any more."""
    await signals.first.wait()
    log.info("server_draining", delay_seconds=settings.drain_delay_seconds)
    await readiness.drain()
    await _wait(signals.second, settings.drain_delay_seconds)
    _drain(servicers)  # whose callers come back elsewhere, while calls are still answered
    if not await _is_quiet(interceptor, signals.second):
        readiness.leave()  # who does not care about health is told in words, and comes back elsewhere
        await _is_quiet(interceptor, signals.second)
    await _stop(server, servicers, health, 0.0 if signals.second.is_set() else GRACE_SECONDS)


async def _stop(server: grpc.aio.Server, servicers: Sequence[Servicer], health: Health, grace: float) -> None:
    await health.close()
    _drain(servicers)
    await server.stop(grace)


def _drain(servicers: Sequence[Servicer]) -> None:
    for servicer in servicers:
        if isinstance(servicer, Drains):
            servicer.drain()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def _is_quiet(interceptor: CallInterceptor, hurry: asyncio.Event) -> bool:
    """Waits until no new calls come; tells whether that was so before `LONGEST_QUIET_WAIT_SECONDS`."""
    clock = SystemClock()
    begin = clock.monotonic_seconds()
    while not hurry.is_set():
        now = clock.monotonic_seconds()
        if now - max(begin, interceptor.last_arrival_seconds) >= QUIET_SECONDS:
            return True
        if now - begin >= LONGEST_QUIET_WAIT_SECONDS:
            return False
        await _wait(hurry, QUIET_SECONDS / 4)
    return False


class _Signals:
    """SIGTERM and SIGINT: the first asks to drain, the second not to wait."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def arrive(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


@contextmanager
def _signals() -> Iterator[_Signals]:
    signals, loop = _Signals(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.arrive)
    try:
        yield signals
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _rules_of(servicers: Sequence[Servicer], settings: ServiceSettings) -> dict[str, Access]:
    rules: dict[str, Access] = {f"/{HEALTH_SERVICE}/{method}": Door.PUBLIC for method in ("Check", "List", "Watch")}
    if settings.reflection:
        rules[f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"] = Door.PUBLIC
    for servicer in servicers:
        rules.update({f"/{servicer.service_name}/{method}": access for method, access in servicer.rules.items()})
    return rules


def _options(max_message_bytes: int, most_calls: int) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_metadata_size", 8 * 1024),
        ("grpc.absolute_max_metadata_size", 8 * 1024),  # between the two, gRPC rejects at random
        ("grpc.max_concurrent_streams", most_calls),  # of one connection: a proxy may carry the calls of all
        ("grpc.so_reuseport", 0),  # two processes on one port is always a mistake here
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.max_connection_age_ms", 300_000),  # so that clients find new replicas
        ("grpc.max_connection_age_grace_ms", 60_000),
    ]


def _health_server(health: Health, listen: str | None) -> grpc.aio.Server | None:
    """Returns a server of health alone, in the clear; None where none is wanted."""
    if listen is None:
        return None
    server = grpc.aio.server(options=_options(4096, 64), maximum_concurrent_rpcs=64)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    _bind(server, listen, None)
    return server


def _bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        port = server.add_insecure_port(listen) if credentials is None else server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise OSError(f"Cannot listen on {listen}; is the port taken? Set TRIBUTARY_LISTEN.") from error
    if port == 0:
        raise OSError(f"Cannot listen on {listen}; is the port taken? Set TRIBUTARY_LISTEN.")
    return port


SettingsT = TypeVar("SettingsT", bound=Settings)


def run(settings: SettingsT, main: Callable[[SettingsT], Awaitable[None]]) -> NoReturn:
    """Runs a process: telemetry, event loop, `main`, exit status. The last line of a `__main__.py`.

    Exits with 0 when `main` returns, with 1 when it fails, after a line `process_failed` that says why. A signal before
    `serve` has begun ends it at once: nobody was let in yet.
    """
    configure_telemetry(settings.service, settings.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        sys.exit(uvloop.run(_run(settings, main)))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


async def _run(settings: SettingsT, main: Callable[[SettingsT], Awaitable[None]]) -> int:
    with LastResort() as last_resort:
        status = 1
        try:
            await main(settings)
            status = 0
        except TributaryError as error:
            log.error("process_failed", reason=error.reason, message=error.message)
        except Exception:
            log.exception("process_failed")
        finally:
            last_resort.end_within(CLOSING_SECONDS, status)  # tasks and threads may be left that never end
            await flush_telemetry()
        return status
