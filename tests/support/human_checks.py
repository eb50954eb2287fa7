"""Human-check providers as they answer, over real HTTP: reCAPTCHA, hCaptcha and Turnstile share one dialect.

Faithful to their documentation: a form in, `{"success": ...}` out with status 200, whatever the token; a token can be
verified once. Beside good and bad tokens it can be told to be slow, down, or to answer nonsense.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

SECRET = "provider-secret"


@dataclass
class FakeProvider:
    """One provider; what it shall answer may be changed while it runs."""

    endpoint: str = ""
    spent: str = "timeout-or-duplicate"
    """What it calls a token that was used before: hCaptcha says "already-seen-response"."""
    scores: dict[str, float] = field(default_factory=dict)
    """Token -> the score that is answered with it."""
    forms: list[dict[str, str]] = field(default_factory=list)
    """What was asked, oldest first."""
    raw: tuple[int, bytes] | None = None
    """Status and body that are answered instead."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further headers of what is answered."""
    release: threading.Event = field(default_factory=threading.Event)
    """Answers wait for it."""
    release_slow: threading.Event = field(default_factory=threading.Event)
    """Those about tokens that begin with "slow" wait for it, too."""
    used: set[str] = field(default_factory=set)

    def answer(self, form: dict[str, str]) -> dict[str, Any]:
        token = form.get("response", "")
        if form.get("secret") != SECRET:
            return {"success": False, "error-codes": ["invalid-input-secret"]}
        if not token.startswith("good"):
            return {"success": False, "error-codes": ["invalid-input-response"]}
        if token in self.used:
            return {"success": False, "error-codes": [self.spent]}
        self.used.add(token)
        found: dict[str, Any] = {"success": True, "challenge_ts": "2026-11-25T12:00:00Z", "hostname": "shop.example"}
        if token in self.scores:
            found["score"] = self.scores[token]
        return found


@contextmanager
def running_provider() -> Iterator[FakeProvider]:
    """Starts a provider on a free port of this machine."""
    provider = FakeProvider()
    provider.release.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            provider.forms.append(form)
            provider.release.wait(60)
            if form["response"].startswith("slow"):
                provider.release_slow.wait(60)
            status, answer = provider.raw or (200, json.dumps(provider.answer(form)).encode())
            self.send_response(status)
            for name, text in {"Content-Type": "application/json", **provider.headers}.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

        def handle(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked has given up
                super().handle()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256  # of a burst nobody is turned away, as nobody is by a provider

    server = Server(("127.0.0.1", 0), Handler)
    provider.endpoint = f"http://127.0.0.1:{server.server_port}/siteverify"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield provider
    finally:
        provider.release.set()
        provider.release_slow.set()
        server.shutdown()
        server.server_close()
        thread.join()
