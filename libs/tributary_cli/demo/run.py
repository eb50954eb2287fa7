"""Runs the demo from an empty directory to the table of checks. Shows nothing itself: `command` and `render` do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import grpc
import httpx

from tributary_cli.demo.checks import Check, Findings, run_checks
from tributary_cli.demo.destinations import Outcome, make_servers, outcomes
from tributary_cli.demo.fakes.server import FakeServer
from tributary_cli.demo.fakes.webhook import FakeWebhook
from tributary_cli.demo.probes import Probes
from tributary_cli.demo.reports import Reports
from tributary_cli.demo.script import Script, make_script
from tributary_cli.demo.traffic import Sender, Tally
from tributary_cli.demo.truth import true_conversions
from tributary_cli.demo.warehouse import Warehouse
from tributary_cli.demo.workspace import WORKSPACE, DemoWorkspace
from tributary_cli.stack.clickhouse_server import DATABASE
from tributary_cli.stack.stack import Stack
from tributary_runtime.clock import SystemClock

_ENVIRONMENT: Final = {"TRIBUTARY_DELIVERY_CALL_SECONDS": "3"}
"""The receiver is on this machine; and what a killed delivery has leased waits no longer than it must."""

_REFUSE_EVERY: Final = 50
"""Every so many webhook messages one is refused at first, so that retries are seen."""

_SETTLE_SECONDS: Final = 90
_STILL_SECONDS: Final = 10
"""When nothing is on its way and nothing more arrives for so long, nothing will."""
_QUIET_SECONDS: Final = 1.5
_LOOK_SECONDS: Final = 0.1


AnswerT = TypeVar("AnswerT")


class Show(Protocol):
    """What a run tells while it goes on. Called from the event loop; must not block."""

    def announce(self, text: str) -> None:
        """Takes what begins now, in a few words."""

    def progress(self, done: int, total: int, tally: Tally, received: FakeWebhook) -> None:
        """Takes how far the sending is."""


Disturb = Callable[[Stack], Coroutine[Any, Any, None]]
"""What happens to the stack while traffic runs: nothing in a demo, `kill -9` in a test."""


@dataclass(slots=True)
class Result:
    """What a run came to."""

    script: Script
    tally: Tally
    received: FakeWebhook
    report: dict[str, dict[str, tuple[int, int]]]
    conversions: int
    checks: list[Check]
    destinations: list[Outcome] = field(default_factory=list)
    """What the ad destinations have in the end."""
    probes: int = 0
    """Conversions sent beside the script, to measure; they are among `conversions` and what the receiver got."""
    event_to_report_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


async def _stop(stack: Stack, starting: asyncio.Task[None]) -> None:
    """Stops a stack, also one that is still being started: a thread starts it, which nobody can interrupt."""
    await asyncio.wait([starting])
    await asyncio.to_thread(stack.stop)


async def run_demo(
    directory: Path, *, events: int, seed: int, events_per_second: float, show: Show, disturb: Disturb | None = None
) -> Result:
    """Runs everything once.

    Args:
        directory: An empty directory for the stack.
        events: How many events to send, at least 1.
        seed: Makes the world.
        events_per_second: The pace of the first act.
        show: Is told what happens.
        disturb: Runs beside the first act and ends before the second begins.

    Raises:
        StackError: A part did not start.
        TributaryClientError: The door did not answer in time.
    """
    started = time.monotonic()
    clock = SystemClock()
    workspace = DemoWorkspace.make()
    now = clock.now()
    show.announce("Making the world")
    script = make_script(seed, events, now)
    tally = Tally()
    async with AsyncExitStack() as closing:
        received = FakeWebhook(workspace.webhook_secret, refuse_every=_REFUSE_EVERY)
        receiver = closing.enter_context(FakeServer(received))
        servers = {kind: closing.enter_context(server) for kind, server in make_servers().items()}
        stack = Stack(
            directory,
            workspaces=workspace.render(receiver.url, {kind: server.url for kind, server in servers.items()}),
            environment=_ENVIRONMENT,
            announce=show.announce,
        )
        starting = asyncio.create_task(asyncio.to_thread(stack.start))
        closing.push_async_callback(_stop, stack, starting)
        await asyncio.shield(starting)
        past, future = now - timedelta(days=60), now + timedelta(days=1)
        reports = await closing.enter_async_context(
            aclosing(Reports(stack.addresses["query"], workspace.api_key, start_time=past, end_time=future))
        )
        total = len(script.sendings)

        def progress(_: int) -> None:
            show.progress(tally.sent, total, tally, received)

        sender = Sender(stack.addresses["ingestion"], workspace.api_key, tally, progress)
        probes = Probes(clock, sender.probe, lambda: _patiently(reports.probes))
        async with sender:
            show.announce("First act: the day as it comes")
            async with asyncio.TaskGroup() as group:
                ended = asyncio.Event()
                probing = group.create_task(probes.run(ended))
                disturbing = group.create_task(disturb(stack)) if disturb else None
                await sender.send(script.first_act, events_per_second)
                if disturbing is not None:
                    await disturbing
                ended.set()
                await asyncio.wait([probing], timeout=_SETTLE_SECONDS)
                probing.cancel()
            show.announce("Waiting until everything is credited")
            await _settle(reports, received, wanted=0)
            show.announce("Second act: late touchpoints, conflicts, late duplicates")
            await sender.send(script.second_act, events_per_second)
        show.announce("Waiting until everything is credited and delivered")
        truth = true_conversions(script.world)
        await _settle(reports, received, wanted=len(truth) + len(probes.sent))
        show.announce("Comparing with the truth")
        warehouse = await closing.enter_async_context(
            aclosing(Warehouse(stack.addresses["clickhouse_http"], DATABASE, WORKSPACE))
        )
        findings = Findings(
            script=script,
            tally=tally,
            truth=truth,
            probes=probes.sent,
            counters=await reports.counters(),
            report=await reports.by_channel(),
            received=received,
        )
        checks = await run_checks(findings, warehouse)
        destinations = await outcomes(servers, script.world, now, clock.now(), warehouse)
        checks += [check for destination in destinations for check in destination.checks()]
    return Result(
        script=script,
        tally=tally,
        received=received,
        report=findings.report,
        conversions=len(findings.truth) + len(probes.sent),
        checks=checks,
        destinations=destinations,
        probes=len(probes.sent),
        event_to_report_seconds=probes.seconds,
        seconds=time.monotonic() - started,
    )


async def _settle(reports: Reports, received: FakeWebhook, *, wanted: int) -> None:
    """Returns when nothing waits before a consumer, `wanted` conversions were received and the receiver has been quiet.

    Or when the time is up, which is no error here: the checks will say what is missing.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    quiet_since, seen = time.monotonic(), -1
    while (began := time.monotonic()) < deadline:
        if await _patiently(reports.waiting) or received.requests != seen:
            quiet_since, seen = time.monotonic(), received.requests
        is_all = len(received.counted) >= wanted
        is_quiet = time.monotonic() - quiet_since >= (_QUIET_SECONDS if is_all else _STILL_SECONDS)
        if is_quiet and (not wanted or await _patiently(reports.is_settled)):
            return
        # Looking takes what is looked at some of its time: a fifth at most.
        await asyncio.sleep(max(_LOOK_SECONDS, 4 * (time.monotonic() - began)))


async def _patiently(ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """Asks until there is an answer: the query service, or what it asks, may be down for a moment."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        try:
            return await ask()
        except (grpc.aio.AioRpcError, httpx.HTTPError) as error:
            final = isinstance(error, grpc.aio.AioRpcError) and error.code() in (
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.UNAUTHENTICATED,
                grpc.StatusCode.UNIMPLEMENTED,
            )
            if final or time.monotonic() > deadline:
                raise
        await asyncio.sleep(_LOOK_SECONDS)
