"""Turns at the door: however many calls one workspace makes, another's call waits for few of them.

The one rule: while several workspaces call, each has few events being worked on, and its other calls wait in a line of
its own. One alone has as many as keep dedup busy. What waits is bounded: beyond its part of the calls that
are served at once a workspace is told to come back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tributary_runtime.clock import Clock
from tributary_runtime.errors import OverloadedError

EVENTS_ALONE: Final = 3_000
"""Events of the only workspace that calls which are worked on at once, or one call."""
EVENTS_AMONG_OTHERS: Final = 200
"""Likewise, of each of several workspaces: some milliseconds of work that another's call may find before it."""
SHARED_SECONDS: Final = 2.0
"""So long after a call of another workspace the door counts as shared: its next call shall find few events before it,
too."""
BYTES_AT_ONCE: Final = 64 * 1024 * 1024
"""Of the calls of one workspace, waiting ones included; `room` bounds those of all workspaces."""
BYTES_PER_EVENT: Final = 2_048
"""A call with more than this per event counts as one of more events."""

STEPS: Final = 4
"""Of the event loop, that whoever computes for long lets others take: a call takes about a dozen until it is answered,
and finds some milliseconds of work before it at each of them otherwise."""

_RETRY_DELAY_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Line:
    """The calls of one workspace."""

    events: int = 0
    """Being worked on."""
    calls: int = 0
    """Being worked on, or waiting."""
    bytes: int = 0
    """Of these."""
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)


class Turns:
    """Lets calls in.

    Args:
        max_calls: Calls of all workspaces that are here at once. One may have as many, waiting ones included, as are
            left over: alone half of them, two a third each, so that somebody new still finds room.
        clock: Tells how long ago another workspace called.
    """

    def __init__(self, max_calls: int, clock: Clock) -> None:
        self._free = max_calls
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._last = ""
        self._shared_until = 0.0

    @property
    def is_shared(self) -> bool:
        """Whether several workspaces call, or have called just now."""
        return len(self._lines) > 1 or self._clock.monotonic_seconds() < self._shared_until

    def is_crowded(self, workspace: str) -> bool:
        """Tells whether more calls of a workspace came than the door takes of one at once: others wait."""
        line = self._lines.get(workspace)
        return line is not None and bool(line.waiting)

    async def let_others_on(self) -> None:
        """Lets what others wait for happen, where there are others: said in between by whoever computes for long."""
        if self.is_shared:
            for _ in range(STEPS):
                await asyncio.sleep(0)

    def turn(self, workspace: str, events: int, size: int = 0) -> _Turn:
        """Returns a turn to be entered: `async with turns.turn("shop", 100, 60_000): ...`."""
        return _Turn(self, workspace, max(events, size // BYTES_PER_EVENT), size)

    async def enter(self, workspace: str, events: int, size: int = 0) -> None:
        """Waits for the turn of a call; `leave` ends it.

        Args:
            workspace: Whose call it is.
            events: How many it brings, or counts as.
            size: In bytes.

        Raises:
            OverloadedError: Too many calls of the workspace are here, or too large ones. There is nothing to leave
                then, nor if the caller goes while it waits.
        """
        if workspace != self._last:
            if self._last:
                self._shared_until = self._clock.monotonic_seconds() + SHARED_SECONDS
            self._last = workspace
        line = self._lines.get(workspace)
        if line is None:
            line = self._lines[workspace] = _Line()
        if line.calls >= max(self._free, 1):
            raise OverloadedError(
                "Too many calls of this workspace at once; send the same again.",
                quota_subject=f"workspace:{workspace}",
                retry_delay_seconds=_RETRY_DELAY_SECONDS,
                reason="TOO_MANY_CALLS",
            )
        if line.calls and line.bytes + size > BYTES_AT_ONCE:
            raise OverloadedError(
                "Too many bytes of this workspace at once; send the same again, or less at a time.",
                quota_subject=f"workspace:{workspace}",
                retry_delay_seconds=_RETRY_DELAY_SECONDS,
                reason="TOO_MANY_BYTES",
            )
        line.calls += 1
        self._free -= 1
        line.bytes += size
        if not line.waiting and self._has_room(line, events):
            line.events += events
            return
        try:
            await self._wait(line, events)
        except BaseException:
            self._go(workspace, line, size)
            raise

    def leave(self, workspace: str, events: int, size: int = 0) -> None:
        """Ends the turn of a call that `enter` let in."""
        line = self._lines[workspace]
        line.events -= events
        self._let_in(line)
        self._go(workspace, line, size)

    def _go(self, workspace: str, line: _Line, size: int) -> None:
        line.calls -= 1
        self._free += 1
        line.bytes -= size
        if not line.calls:
            del self._lines[workspace]

    async def _wait(self, line: _Line, events: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiting.append((events, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in at the very moment the caller left
                line.events -= events
            elif (events, turn) in line.waiting:  # else it was passed over already
                line.waiting.remove((events, turn))
            self._let_in(line)
            raise

    def _let_in(self, line: _Line) -> None:
        """Lets in who waits, as far as there is room."""
        while line.waiting and self._has_room(line, line.waiting[0][0]):
            events, turn = line.waiting.popleft()
            if not turn.done():
                line.events += events
                turn.set_result(None)

    def _has_room(self, line: _Line, events: int) -> bool:
        if not line.events:
            return True
        return line.events + events <= (EVENTS_AMONG_OTHERS if self.is_shared else EVENTS_ALONE)


class _Turn:
    """A turn, from `enter` to `leave`; a class, because a generator costs more than the rest of it."""

    __slots__ = ("_events", "_is_in", "_size", "_turns", "_workspace")

    def __init__(self, turns: Turns, workspace: str, events: int, size: int) -> None:
        self._turns = turns
        self._workspace = workspace
        self._events = events
        self._size = size
        self._is_in = False

    async def __aenter__(self) -> _Turn:
        await self._turns.enter(self._workspace, self._events, self._size)
        self._is_in = True
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._is_in:
            self._leave()

    @asynccontextmanager
    async def pause(self) -> AsyncIterator[None]:
        """Leaves the turn to others for a while, and waits for another one."""
        self._leave()
        yield
        await self._turns.enter(self._workspace, self._events, self._size)
        self._is_in = True

    def _leave(self) -> None:
        self._is_in = False
        self._turns.leave(self._workspace, self._events, self._size)
