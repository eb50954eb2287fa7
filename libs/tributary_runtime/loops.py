"""The loops of a process: work that goes on beside the calls, started, stopped, and never waited for without bound."""

import asyncio
from collections.abc import Collection
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

CANCEL_SECONDS = 2.0
"""How long what was cancelled may take to end; then it is left behind."""


class Loop(Protocol):
    """Work that goes on beside the calls."""

    @property
    def name(self) -> str:
        """For logs. A class attribute will do."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then finishes what it began and returns.

        Started once, when all guards have passed. Returning earlier, or raising, ends the process.
        """
        ...


async def run_loop(loop: Loop, opened: asyncio.Event, stop: asyncio.Event) -> None:
    """Runs one loop once the process is ready; a loop that ends early has failed."""
    await _first_of(opened, stop)
    if stop.is_set():
        return
    try:
        await loop.run(stop)
    except Exception:
        log.exception("loop_failed", loop=loop.name)
        raise
    if not stop.is_set():
        log.error("loop_failed", loop=loop.name, reason="ended before it was stopped")
        raise RuntimeError(f"The loop {loop.name} ended before it was stopped.")


async def _first_of(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def finish(tasks: Collection["asyncio.Task[None]"], seconds: float) -> None:
    """Waits for tasks that were told to stop, then cancels them, then leaves them behind: never longer than bounded."""
    _, late = await asyncio.wait(tasks, timeout=seconds) if tasks else (set(), set())
    for task in late:
        log.warning("loop_cancelled", loop=task.get_name(), after_seconds=seconds)
        task.cancel()
    _, hanging = await asyncio.wait(late, timeout=CANCEL_SECONDS) if late else (set(), set())
    for task in hanging:
        log.error("loop_hangs", loop=task.get_name(), after_seconds=CANCEL_SECONDS)


def failure_of(task: "asyncio.Task[None]") -> Exception | None:
    """Returns what a loop, or the drain, failed with; that it did not end when it was told to is a failure too."""
    if not task.done():
        return TimeoutError(f"The loop {task.get_name()} did not end when it was told to.")
    failure = None if task.cancelled() else task.exception()
    return failure if isinstance(failure, Exception) else None
