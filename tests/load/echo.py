"""The floor of gRPC in Python: a server that takes bytes and gives bytes, nothing else.

Run as a process of its own by a benchmark: `python -m tests.load.echo PORT`. Each answer is about as long as ours
would be to a request of that length.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import uvloop

from tests.support.ports import free_port
from tributary_cli.stack.ports import HOST, is_listening
from tributary_cli.stack.process import ChildProcess

METHOD = "/floor.Echo/Echo"
ANSWER_PER_KIB = 100
"""Bytes of verdicts that answer 1024 bytes of events, about."""


async def main(port: int) -> None:
    """Serves for ever."""
    answers: dict[int, bytes] = {}

    async def echo(body: bytes, _context: Any) -> bytes:
        size = len(body) * ANSWER_PER_KIB // 1024
        if size not in answers:
            answers[size] = bytes(size)
        return answers[size]

    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 1 << 24)])
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("floor.Echo", handlers),))
    server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    await server.wait_for_termination()


@contextmanager
def running_echo(directory: Path) -> Iterator[tuple[str, int]]:
    """Starts one; yields its address and process id."""
    port = free_port()
    process = ChildProcess(
        "echo",
        [sys.executable, "-m", "tests.load.echo", str(port)],
        log_file=directory / "echo.log",
        is_ready=lambda: is_listening(port),
        directory=Path(__file__).parents[2],
    )
    process.start()
    try:
        process.wait_until_ready()
        yield f"{HOST}:{port}", process.pid
    finally:
        process.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
