"""The end of a process that does not end by itself.

The one rule: a process that has decided to end, ends. A library may swallow a cancellation, a thread may wait for a
socket for ever, and asyncio waits for both; so a thread of its own keeps the time, and ends the process the hard way
once what was written to its log is flushed. `kill -9` is as safe, only slower.
"""

import os
import sys
import threading
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

import structlog

log = structlog.get_logger(__name__)

_CURRENT: ContextVar["LastResort | None"] = ContextVar("last_resort", default=None)


def end_within(seconds: float, status: int = 1) -> None:
    """Ends the process if it is still there after so many seconds; without effect where nobody asked for it.

    Asked again, the last one counts.
    """
    current = _CURRENT.get()
    if current is not None:
        current.end_within(seconds, status)


class LastResort:
    """What `end_within` asks inside of a `with`; after it the process has the time that was given last."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._token: Token[LastResort | None] | None = None

    def __enter__(self) -> Self:
        """Is asked from now on."""
        self._token = _CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Is not asked any more; what was asked last stays."""
        if self._token is not None:
            _CURRENT.reset(self._token)

    def end_within(self, seconds: float, status: int) -> None:
        """Does what the function of this name says."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, _end, (seconds, status))
        self._timer.daemon = True
        self._timer.start()


def _end(seconds: float, status: int) -> None:
    log.error("process_hangs", after_seconds=seconds, status=status)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a broken pipe must not keep it alive
            stream.flush()
    os._exit(status)
