"""A webhook receiver that keeps everything it is sent, per conversion."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "a secret of tests, long enough to sign"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One request that was answered 204."""

    headers: dict[str, str]
    body: bytes

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data


@dataclass
class Inbox:
    """What arrived so far."""

    url: str
    webhooks: list[Webhook] = field(default_factory=list)

    def of(self, conversion_id: str) -> list[Webhook]:
        """Returns what was sent of a conversion, each message once, in order of revision."""
        by_id = {webhook.headers["webhook-id"]: webhook for webhook in list(self.webhooks)}
        found = [webhook for webhook in by_id.values() if webhook.data.get("conversion_id") == conversion_id]
        return sorted(found, key=lambda webhook: int(webhook.data["revision"]))

    def effects(self) -> dict[str, int]:
        """Returns how often each conversion was created, a message that came twice counted once."""
        created: dict[str, set[str]] = defaultdict(set)
        for webhook in list(self.webhooks):
            if webhook.type == "conversion.created":
                created[webhook.data["conversion_id"]].add(webhook.headers["webhook-id"])
        return {conversion: len(ids) for conversion, ids in created.items()}

    def destination(self, *names: str) -> dict[str, Any]:
        """Returns the entry of `workspaces.yaml` that sends conversions of these names here."""
        return {
            "id": "inbox",
            "type": "webhook",
            "url": self.url,
            "secret": {"value": SECRET},
            "conversions": {name: {} for name in names},
            "allow_private_addresses": True,
            "quota": {"requests_per_minute": 60_000},
        }


@contextmanager
def running_inbox() -> Iterator[Inbox]:
    """Listens on a loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            inbox.webhooks.append(Webhook({name.lower(): text for name, text in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox = Inbox(f"http://127.0.0.1:{server.server_address[1]}/hook")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
