"""The demo's webhook receiver: what a customer would write, and so what "exactly once in effect" is measured by.

Verifies the Standard Webhooks signature by its own code, remembers every `webhook-id`, and keeps per conversion the
newest revision. Some first attempts are answered 503, so that retries are seen.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(slots=True)
class Received:
    """What arrived so far."""

    requests: int = 0
    bad_signatures: int = 0
    refused_on_purpose: int = 0
    repeats: int = 0
    """Requests whose webhook-id was known, and so had no effect."""
    effects: Counter[str] = field(default_factory=Counter)
    """Conversion id -> how often it was created."""
    newest: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Conversion id -> `data` of the newest revision."""


class Receiver:
    """A webhook endpoint on loopback, running inside `with`."""

    def __init__(self, secret: str, *, refuse_every: int = 50) -> None:
        """Binds a free port.

        Args:
            secret: `whsec_` and base64.
            refuse_every: Every so many new messages, the first attempt is answered 503 although nothing is wrong.
        """
        self.received = Received()
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._refuse_every = refuse_every
        self._ids: set[str] = set()
        self._met: set[str] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/tributary"

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

    def take(self, webhook_id: str, timestamp: str, signature: str, body: bytes) -> int:
        """Takes one request and returns the HTTP status to answer."""
        signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
        wanted = "v1," + base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode()
        with self._lock:
            self.received.requests += 1
            if not any(hmac.compare_digest(wanted, given) for given in signature.split()):
                self.received.bad_signatures += 1
                return 401
            if webhook_id in self._ids:
                self.received.repeats += 1
                return 204
            if webhook_id not in self._met and len(self._met) % self._refuse_every == self._refuse_every - 1:
                self._met.add(webhook_id)
                self.received.refused_on_purpose += 1
                return 503
            self._met.add(webhook_id)
            self._ids.add(webhook_id)
            self._apply(json.loads(body))
            return 204

    def _apply(self, message: dict[str, Any]) -> None:
        if message["type"] == "destination.test":
            return
        data = message["data"]
        conversion_id = data["conversion_id"]
        if message["type"] == "conversion.created":
            self.received.effects[conversion_id] += 1
        known = self.received.newest.get(conversion_id)
        if known is None or int(known["revision"]) < int(data["revision"]):
            self.received.newest[conversion_id] = data

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Answers one request."""
                length = int(self.headers.get("content-length", "0"))
                body = self.rfile.read(length)
                if len(body) < length:  # the sender died while it sent: no message, and nobody to answer
                    self.close_connection = True
                    return
                headers = [self.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")]
                self.send_response(receiver.take(headers[0], headers[1], headers[2], body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: the terminal belongs to the demo."""

        return Handler
