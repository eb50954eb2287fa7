"""Streams of batches: several are worked on at once, each is answered when it is ready, the stream ends well.

The one rule: what was begun is finished and answered before the stream ends, and what was not begun has had no effect.
Not more than a stream's limits is begun; the rest stays with the caller, because nobody reads it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tributary_runtime.errors import UnavailableError

Answer = Callable[[bytes], Awaitable[Any]]
"""Turns the bytes of a batch into its answer. Runs in a task of its own, several at once. What it raises ends the
stream, once the other batches have their answers: what concerns one batch is part of its answer."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How much one stream may ask for."""

    batches: int = 8
    """Worked on at once."""
    bytes: int = 16 * 1024 * 1024
    """Of the batches being worked on: further ones are read only while there are fewer."""
    life_seconds: float = 45.0
    """Then the caller is sent to open another. Less than what a connection may outlive its age by, so that a stream is
    never cut off, however late in the connection's life it was opened."""


class BatchStreams:
    """All streams of one method.

    Args:
        limits: Of each.
    """

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits
        self._open: set[_Stream] = set()
        self._is_leaving = False

    def drain(self) -> None:
        """Ends all streams, and those still to come, once what they began is answered."""
        self._is_leaving = True
        for stream in self._open:
            stream.end()

    async def serve(self, context: Any, answer: Answer) -> None:
        """Serves one stream; returns when the caller has ended its side and has all its answers.

        Args:
            context: Of the call; its requests are bytes.
            answer: Of one batch.

        Raises:
            UnavailableError: The caller shall open another stream.
            Exception: What `answer` raised.
        """
        if self._is_leaving:
            raise _leaving()
        stream = _Stream(context, answer, self._limits)
        self._open.add(stream)
        try:
            is_read = await stream.run()
        finally:
            self._open.discard(stream)
            stream.cancel()
        if stream.failure is not None:
            raise stream.failure
        if not is_read:
            raise _leaving() if self._is_leaving else _aged()


class _Stream:
    """One stream: its reader, and the batches being worked on."""

    def __init__(self, context: Any, answer: Answer, limits: StreamLimits) -> None:
        self._context = context
        self._answer = answer
        self._limits = limits
        self._working: dict[asyncio.Task[None], int] = {}
        self._bytes = 0
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._writing = asyncio.Lock()  # gRPC takes one message at a time
        self.failure: Exception | None = None
        """Why the stream ends, if something went wrong."""

    async def run(self) -> bool:
        """Works until the stream is over, then finishes what was begun; tells whether the caller had ended its side."""
        reader = asyncio.ensure_future(self._read())
        reader.add_done_callback(self._read_all)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.life_seconds):
                await self._over.wait()
        is_read = reader.done()
        self.end()  # the reader is never cancelled, for gRPC is filling what it waits for: it ends with the call
        while self._working:
            await self._change()
        return is_read

    def end(self) -> None:
        """Begins nothing from now on."""
        self._over.set()
        self._changed.set()

    def cancel(self) -> None:
        """Stops what is being worked on: nobody waits for it any more."""
        self.end()
        for task in self._working:
            task.cancel()

    async def _read(self) -> None:
        while not self._over.is_set():
            body = await self._context.read()
            if not isinstance(body, bytes) or self._over.is_set():  # else the caller has ended its side
                return
            task = asyncio.ensure_future(self._work(body))
            self._working[task] = len(body)
            self._bytes += len(body)
            task.add_done_callback(self._worked)
            while self._is_full() and not self._over.is_set():
                await self._change()

    def _read_all(self, reader: asyncio.Task[None]) -> None:
        if not reader.cancelled():
            self._fail(reader.exception())
        self.end()

    async def _work(self, body: bytes) -> None:
        response = await self._answer(body)
        async with self._writing:
            await self._context.write(response)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._bytes -= self._working.pop(task)
        self._changed.set()
        if not task.cancelled():
            self._fail(task.exception())

    def _fail(self, failure: BaseException | None) -> None:
        if isinstance(failure, Exception):
            self.failure = self.failure or failure
            self.end()

    def _is_full(self) -> bool:
        return len(self._working) >= self._limits.batches or self._bytes >= self._limits.bytes

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _leaving() -> UnavailableError:
    message = "This process is leaving; open a new stream, and send again what has no answer."
    return UnavailableError(message, reason="LEAVING", retry_delay_seconds=0.5)


def _aged() -> UnavailableError:
    message = "This stream has had its time; open a new one, and send again what has no answer."
    return UnavailableError(message, reason="STREAM_AGED", retry_delay_seconds=0)
