"""A TCP proxy that passes everything on until it sees certain bytes from the client, and from then on nothing.

Or it passes those on, too, and cuts that connection before the reply: the server has done what nobody hears of.
"""

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
    cuts: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a reply was lost; from then on all is passed on."""


@asynccontextmanager
async def holding_proxy(target_port: int, marker: bytes, *, loses_a_reply: bool = False) -> AsyncIterator[HoldingProxy]:
    """Runs a proxy before a port of 127.0.0.1.

    Args:
        target_port: Of the server.
        marker: What it looks for.
        loses_a_reply: Whether it passes the marked request on and loses its reply, once, instead of holding.
    """
    proxy = HoldingProxy()
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, marked: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 20):
                if marker in data and not proxy.cuts.is_set():
                    (marked if loses_a_reply else proxy.holds).set()
                if proxy.holds.is_set():
                    continue
                writer.write(data)
                await writer.drain()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, marked: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 20):
                if marked.is_set():
                    proxy.cuts.set()
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target_port)
        writers.extend((writer, back))
        marked = asyncio.Event()
        for task in (
            asyncio.create_task(ask(reader, back, marked)),
            asyncio.create_task(answer(there, writer, marked)),
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
