"""Fake destinations over HTTP on loopback, failing as networks and servers do where they are told to."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from tributary_cli.demo.fakes.fake import Ask, Fake, Reply


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request."""

    takes: bool
    """Whether it has its effect all the same."""
    reply: Reply | None = None
    """What is answered instead; None: the connection ends without an answer."""
    until: threading.Event | None = None
    """What is waited for before, and after the effect."""


LOST = Fault(takes=True)
"""The reply is lost after the effect."""
FAILED_AFTER = Fault(takes=True, reply=Reply(500))
"""It fails after the effect."""
REFUSED = Fault(takes=False, reply=Reply(503, headers={"retry-after": "0"}))
"""It fails before."""


class FakeServer:
    """Answers for one fake inside `with`.

    Args:
        fake: Who answers.
        fail_every: Every so many requests one fails after its effect; 0: none.
    """

    def __init__(self, fake: Fake, *, fail_every: int = 0) -> None:
        """Binds a free port."""
        self.fake = fake
        self.faults: deque[Fault] = deque()
        """Of the next requests."""
        self.asks: list[Ask] = []
        """The requests, as they came."""
        self.failed_on_purpose = 0
        self._fail_every = fail_every
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name=fake.name, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens: a `base_url`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Starts answering."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def respond(self, ask: Ask) -> Reply | None:
        """Returns what is answered; None: nothing."""
        self.asks.append(ask)
        fault = self.faults.popleft() if self.faults else None
        if fault is None and self._fail_every and len(self.asks) % self._fail_every == 0:
            fault, self.failed_on_purpose = FAILED_AFTER, self.failed_on_purpose + 1
        if fault is None:
            return self.fake.answer(ask)
        if fault.takes:
            self.fake.answer(ask)
        if fault.until is not None:
            fault.until.wait()
        return fault.reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Answers one request."""
                length = int(self.headers.get("content-length", "0"))
                body = self.rfile.read(length)
                if len(body) < length:  # the sender died while it sent
                    self.close_connection = True
                    return
                url = urlsplit(self.path)
                headers = {name.lower(): text for name, text in self.headers.items()}
                reply = server.respond(Ask(url.path, dict(parse_qsl(url.query)), headers, body, self.command))
                if reply is None:
                    self.close_connection = True
                    return
                content = json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, text in reply.headers.items():
                    self.send_header(name, text)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PATCH = do_POST

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: the terminal belongs to who runs it."""

        return Handler
