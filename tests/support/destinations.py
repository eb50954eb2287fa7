"""Fakes of what conversions are sent to. Each is as its documentation says, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, 32 bytes.").decode()


@dataclass(frozen=True)
class Call:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_seconds: float
    """By the loop's clock."""

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.body)
        return message

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.message["data"]
        return data


@dataclass(frozen=True)
class Answer:
    """How the endpoint behaves at one request."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    takes: bool | None = None
    """Whether it has its effect; None: if the status says so."""
    hangs_up: bool = False
    """Whether the connection ends without an answer."""
    waits_for: asyncio.Event | None = None
    """Before it answers, and after it has taken."""
    drips: float = 0.0
    """Seconds between the bytes of a head that never ends."""
    is_endless: bool = False
    """Whether the body never ends."""


OK = Answer()
LOST = Answer(takes=True, hangs_up=True)
"""Taken, but the reply is lost."""


@dataclass
class Endpoint:
    """A webhook receiver that remembers `webhook-id`, as the specification asks."""

    url: str = ""
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    effects: dict[str, Call] = field(default_factory=dict)
    """Message id -> the call that had an effect; what comes again has none."""
    answers: deque[Answer] = field(default_factory=deque)
    """Of the next calls; then `usual`."""
    usual: Answer = OK
    bad_signatures: int = 0
    connections: int = 0
    at_once: Counter[str] = field(default_factory=Counter)
    """Conversion id -> calls under way."""
    most_at_once: int = 0
    """Of one conversion."""
    verify: Callable[[Call], None] | None = None

    @property
    def created(self) -> Counter[str]:
        """Conversion id -> how often it was created, in effect."""
        return Counter(one.data["conversion_id"] for one in self._of("conversion.created"))

    def types(self, conversion_id: str) -> list[str]:
        """Returns what had an effect on a conversion, in order."""
        effects = [one for one in self.effects.values() if one.data.get("conversion_id") == conversion_id]
        return [one.message["type"].partition(".")[2] for one in effects]

    def _of(self, kind: str) -> list[Call]:
        return [one for one in self.effects.values() if one.message["type"] == kind]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection until it ends."""
        self.connections += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        lines = [line.partition(":") for line in head[1:] if line]
        headers = {name.strip().lower(): value.strip() for name, _, value in lines}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        call = Call(head[0].split()[1], headers, body, asyncio.get_running_loop().time())
        self.calls.append(call)
        answer = self.answers.popleft() if self.answers else self.usual
        conversion_id = str(call.data.get("conversion_id", ""))
        self.at_once[conversion_id] += 1
        self.most_at_once = max(self.most_at_once, self.at_once[conversion_id])
        try:
            return await self._behave(call, answer, writer)
        finally:
            self.at_once[conversion_id] -= 1

    async def _behave(self, call: Call, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        try:
            Webhook(SECRET).verify(call.body, call.headers)
        except WebhookVerificationError:
            self.bad_signatures += 1
            answer = Answer(401)
        if answer.takes if answer.takes is not None else 200 <= answer.status < 300:
            self.effects.setdefault(call.message_id, call)
        if answer.waits_for is not None:
            await answer.waits_for.wait()
        if answer.hangs_up:
            return False
        head = f"HTTP/1.1 {answer.status} Said\r\n"
        if answer.drips:
            for letter in head + "x-slow: " + "z" * 10_000:
                writer.write(letter.encode())
                await writer.drain()
                await asyncio.sleep(answer.drips)
        length = {} if answer.is_endless else {"content-length": "0"}
        head += "".join(f"{name}: {value}\r\n" for name, value in {**length, **answer.headers}.items())
        writer.write(head.encode() + b"\r\n")
        while answer.is_endless:
            writer.write(b"z" * 1024)
            await writer.drain()
            await asyncio.sleep(0.001)
        await writer.drain()
        return True


@asynccontextmanager
async def running_endpoint(tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Endpoint]:
    """Runs an endpoint on 127.0.0.1."""
    endpoint = Endpoint()
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.create_task(endpoint.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls)
    endpoint.port = server.sockets[0].getsockname()[1]
    endpoint.url = f"{'https' if tls else 'http'}://127.0.0.1:{endpoint.port}/hook"
    try:
        yield endpoint
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # for transports to close
