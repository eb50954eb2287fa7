"""Waiting for what must become true, with a deadline instead of a sleep."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

from tributary_runtime.clock import SystemClock

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""For how long something is waited for: no machine is so busy that it takes as long."""
_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.2


def eventually(
    check: Callable[[], T],
    timeout_seconds: float = PATIENCE_SECONDS,
    *,
    before_seconds: float = 0,
    first_pause_seconds: float = _FIRST_PAUSE_SECONDS,
    longest_pause_seconds: float = _LONGEST_PAUSE_SECONDS,
    explain: Callable[[], str] | None = None,
) -> T:
    """Calls `check` until it returns something true and no AssertionError, and returns that.

    A check that only asserts counts as soon as it returns (None is not false here): `eventually(lambda: ...)` and
    `def check(): assert ...` both work.

    Args:
        check: Called again and again.
        timeout_seconds: For how long.
        before_seconds: Before the first call, where that would be in vain.
        first_pause_seconds: Before the second call; pauses grow.
        longest_pause_seconds: Up to this. A check that costs the system under test work should come less often.
        explain: Asked once, if it did not hold in time: what else tells why.

    Raises:
        AssertionError: It did not hold in time; with the last failure.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = first_pause_seconds
    time.sleep(before_seconds)
    while True:
        held, answer, failure = _attempt(check)
        if held:
            return answer
        if time.monotonic() >= deadline:
            why = f"\n{explain()}" if explain else ""
            raise AssertionError(
                f"did not hold within {timeout_seconds:g} s; last: {failure or repr(answer)}{why}"
            ) from failure
        time.sleep(pause)
        pause = min(pause * 1.5, longest_pause_seconds)


@overload
async def eventually_async(check: Callable[[], Awaitable[T]], timeout_seconds: float = PATIENCE_SECONDS) -> T: ...


@overload
async def eventually_async(check: Callable[[], T], timeout_seconds: float = PATIENCE_SECONDS) -> T: ...


async def eventually_async(check, timeout_seconds=PATIENCE_SECONDS):  # type: ignore[no-untyped-def]
    """Is `eventually` on the event loop; `check` may be a coroutine function or a plain one."""
    deadline = time.monotonic() + timeout_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        answer, failure = None, None
        try:
            answer = check()
            if inspect.isawaitable(answer):
                answer = await answer
        except AssertionError as error:
            failure = error
        if failure is None and (answer is None or answer):
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(
                f"did not hold within {timeout_seconds:g} s; last: {failure or repr(answer)}"
            ) from failure
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def moment_passed() -> int:
    """Returns the unix microsecond of now once it is over: what is accepted from here on is accepted later."""
    clock = SystemClock()
    moment = clock.unix_micros()
    while clock.unix_micros() <= moment:
        pass
    return moment


def _attempt(check: Callable[[], T]) -> tuple[bool, T, AssertionError | None]:
    try:
        answer = check()
    except AssertionError as error:
        return False, None, error  # type: ignore[return-value]
    return answer is None or bool(answer), answer, None
