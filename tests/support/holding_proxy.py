"""A TCP proxy that passes everything on until it sees certain bytes from the client, and from then on nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class HoldingProxy:
    """What is known of a running proxy."""

    port: int = 0
    holds: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the bytes were seen; they, and all after them, never reach the server."""


@asynccontextmanager
async def holding_proxy(target_port: int, marker: bytes) -> AsyncIterator[HoldingProxy]:
    """Runs a proxy before a port of 127.0.0.1."""
    proxy = HoldingProxy()
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 20):
                if from_client and marker in data:
                    proxy.holds.set()
                if from_client and proxy.holds.is_set():
                    continue
                writer.write(data)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target_port)
        writers.extend((writer, back))
        for task in (
            asyncio.create_task(pass_on(reader, back, from_client=True)),
            asyncio.create_task(pass_on(there, writer, from_client=False)),
        ):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
