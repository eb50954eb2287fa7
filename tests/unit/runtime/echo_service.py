"""A service of bytes, with one method of each kind and one that fails as it is told; no contract needed.

Run as a module it is a whole process, to be killed: `python -m tests.unit.runtime.echo_service`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import grpc
import structlog
from structlog.contextvars import bind_contextvars

from tests.support.eventually import eventually_async
from tributary_runtime import server
from tributary_runtime.authentication import current_caller
from tributary_runtime.errors import (
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PreconditionError,
    RevisionMovedError,
    StorageUnavailableError,
    TributaryError,
)
from tributary_runtime.interceptors import INTERNAL, Access
from tributary_runtime.loops import Loop
from tributary_runtime.patience import patience_seconds
from tributary_runtime.server import run, serve
from tributary_runtime.settings import ServiceSettings, load
from tributary_runtime.traces import current_traceparent
from tributary_runtime.workspaces import Scope

SERVICE = "test.v1.EchoService"

FAILURES: dict[bytes, Exception] = {
    b"invalid": InvalidRequestError("Look at the fields.", [FieldViolation("events[0].name", "is empty", "EMPTY")]),
    b"not_found": NotFoundError("No such thing.", resource_type="conversion", resource_name="c1:x"),
    b"moved": RevisionMovedError("Read again."),
    b"precondition": PreconditionError("Run `tributary migrate`.", subject="redis:log", reason="NO_EPOCH"),
    b"overloaded": OverloadedError("Slower.", quota_subject="workspace:shop", retry_delay_seconds=2.5),
    b"unavailable": StorageUnavailableError("The log is out.", metadata={"store": "log"}),
    b"ours": TributaryError("A bug."),
    b"unexpected": ValueError("the secret is hunter2"),
}


class EchoServicer:
    """Answers what it was sent."""

    service_name: ClassVar[str] = SERVICE
    rules: ClassVar[dict[str, Access]] = {
        "Echo": Scope.INGEST,
        "Internal": INTERNAL,
        "Patience": INTERNAL,
        "Fail": INTERNAL,
        "FailLater": INTERNAL,
        "Slow": INTERNAL,
        "Count": INTERNAL,
        "Join": INTERNAL,
        "Chat": INTERNAL,
        "Endless": INTERNAL,
        "Write": INTERNAL,
        "Abort": INTERNAL,
    }

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.running = 0
        self.cancelled = 0

    async def echo(self, request: bytes, _context: Any) -> bytes:
        bind_contextvars(events=len(request))
        return f"{current_caller().workspace_id}:{request.decode()}".encode()

    async def internal(self, _request: bytes, _context: Any) -> bytes:
        return current_traceparent().encode()

    async def patience(self, _request: bytes, _context: Any) -> bytes:
        return str(patience_seconds()).encode()

    async def fail(self, request: bytes, _context: Any) -> bytes:
        if request == b"caused":
            raise StorageUnavailableError("Send it again.") from ConnectionResetError("by redis-log-0")
        raise FAILURES[request]

    async def fail_later(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        raise FAILURES[request]

    async def slow(self, request: bytes, _context: Any) -> bytes:
        self.running += 1
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return request

    async def count(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield str(number).encode()

    async def endless(self, _request: bytes, _context: Any) -> AsyncIterator[bytes]:
        number = 0
        try:
            while True:
                yield str(number).encode()
                number += 1
        finally:
            self.cancelled += 1

    async def write(self, _request: bytes, context: Any) -> None:
        await context.write(b"written")

    async def abort(self, _request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.ALREADY_EXISTS, "There is one.")
        raise AssertionError

    async def join(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        return b"".join([part async for part in requests])

    async def chat(self, requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        async for part in requests:
            yield part.upper()

    def add_to(self, server: grpc.aio.Server) -> None:
        unary = grpc.unary_unary_rpc_method_handler
        handlers = {
            "Echo": unary(self.echo),
            "Internal": unary(self.internal),
            "Patience": unary(self.patience),
            "Fail": unary(self.fail),
            "Slow": unary(self.slow),
            "Abort": unary(self.abort),
            "Forgotten": unary(self.internal),
            "FailLater": grpc.unary_stream_rpc_method_handler(self.fail_later),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Endless": grpc.unary_stream_rpc_method_handler(self.endless),
            "Write": grpc.unary_stream_rpc_method_handler(self.write),
            "Join": grpc.stream_unary_rpc_method_handler(self.join),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


class EchoSettings(ServiceSettings):
    """Of the process; it plays ingestion."""

    service: ClassVar[str] = "ingestion"

    ingestion_directory: Path
    """Where the loop leaves its traces."""

    ingestion_broken_loop: bool = False
    """Whether the loop fails at once."""

    ingestion_break_later: bool = False
    """Whether the loop fails when a file `break` appears."""

    ingestion_deaf_loop: bool = False
    """Whether there is a loop that neither stops nor can be cancelled; then nobody is waited for long."""


class Diary:
    """A loop that writes down what it lives through."""

    name = "diary"

    def __init__(self, settings: EchoSettings) -> None:
        self._settings = settings

    async def run(self, stop: asyncio.Event) -> None:
        directory = self._settings.ingestion_directory
        (directory / "loop_started").touch()
        if self._settings.ingestion_broken_loop:
            raise RuntimeError("the diary is full")
        while self._settings.ingestion_break_later and not stop.is_set():
            await asyncio.sleep(0.01)
            if (directory / "break").exists():
                raise RuntimeError("the diary is full")
        await stop.wait()
        (directory / "loop_stopped").touch()


class Deaf:
    """A loop that goes on whatever it is told, as a library that swallows cancellations makes of any loop."""

    name = "deaf"

    async def run(self, _stop: asyncio.Event) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue


class Door:
    """A guard that refuses while a file `refuse` is there."""

    name = "door"

    def __init__(self, settings: EchoSettings) -> None:
        self._settings = settings

    async def __call__(self) -> None:
        if (self._settings.ingestion_directory / "refuse").exists():
            raise PreconditionError("Remove the file `refuse`.")


class SlowEchoServicer(EchoServicer):
    """Answers slow calls when a file `let_go` appears; its method Count never ends by itself."""

    def __init__(self, settings: EchoSettings) -> None:
        super().__init__()
        self._settings = settings

    async def slow(self, request: bytes, _context: Any) -> bytes:
        (self._settings.ingestion_directory / f"began_{request.decode()}").touch()
        let_go = self._settings.ingestion_directory / "let_go"
        await eventually_async(let_go.exists)
        return request

    async def count(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        yield b"for ever"
        await self.let_go.wait()

    def drain(self) -> None:
        self.let_go.set()


async def main(settings: EchoSettings) -> None:
    def started(port: int) -> None:
        path = settings.ingestion_directory / "port.new"
        path.write_text(str(port))
        path.rename(settings.ingestion_directory / "port")

    structlog.get_logger().info("echo_begun")
    loops: list[Loop] = [Diary(settings)]
    if settings.ingestion_deaf_loop:
        server.LOOP_GRACE_SECONDS = server.FAILURE_GRACE_SECONDS = 0.3
        server.CLOSING_SECONDS = 0.5
        loops.append(Deaf())
    await serve(settings, SlowEchoServicer(settings), loops=loops, guards=[Door(settings)], started=started)


if __name__ == "__main__":
    sys.exit(run(load(EchoSettings), main))
