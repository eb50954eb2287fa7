"""HTTP on loopback: binds, answers, stops. What is answered is somebody else's matter.

The one rule: a connection may also end as networks end it: without a word, or reset in the middle of an answer.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, urlsplit

from tributary_cli.demo.fakes.fake import Ask, Reply

_POLL_SECONDS: Final = 0.05
_WITHOUT_BODY: Final = 204
_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: closing throws away what was not sent, and resets the connection."""


class Cut(Enum):
    """How a connection ends without a whole answer."""

    SILENT = "silent"
    """It is closed before a word is said."""
    RESET = "reset"
    """It is reset when half of the answer's head was said."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    """Who connects at the same time must not wait for a second try of the kernel's."""


class LoopbackHttp:
    """Answers on a port of 127.0.0.1 inside `with`, every connection in a thread of its own.

    Args:
        name: Of its thread.
        respond: Tells what is answered; called from many threads.
        tls: If set, it speaks TLS with this.
    """

    def __init__(self, name: str, respond: Callable[[Ask], Reply | Cut], *, tls: ssl.SSLContext | None = None) -> None:
        """Binds a free port."""
        self._respond = respond
        self._scheme = "http" if tls is None else "https"
        self._server = _Server(("127.0.0.1", 0), self._handler())
        if tls is not None:
            # The handshake belongs to the connection's thread: one that hangs must not keep others from being accepted.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name=name, daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens: a `base_url`."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

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

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        respond = self._respond

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                """Serves a connection until it ends; how it ends is the caller's matter."""
                try:
                    super().handle()
                except OSError:  # whoever called has left, or never spoke TLS
                    self.close_connection = True

            def do_POST(self) -> None:
                """Answers one request."""
                length = int(self.headers.get("content-length", "0"))
                body = self.rfile.read(length)
                if len(body) < length:  # the sender died while it sent: no message, and nobody to answer
                    self.close_connection = True
                    return
                url = urlsplit(self.path)
                headers = {name.lower(): text for name, text in self.headers.items()}
                reply = respond(Ask(url.path, dict(parse_qsl(url.query)), headers, body, self.command))
                if isinstance(reply, Cut):
                    self._cut(reply)
                else:
                    self._say(reply)

            do_GET = do_PATCH = do_POST

            def _say(self, reply: Reply) -> None:
                content = b"" if reply.status == _WITHOUT_BODY else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, text in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(name, text)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _cut(self, cut: Cut) -> None:
                self.close_connection = True
                if cut is Cut.RESET:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-")
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    os.close(self.connection.detach())

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: the terminal belongs to who runs it."""

        return Handler
