"""A webhook receiver: what a customer would write, and so what "exactly once in effect" is measured by.

Verifies the Standard Webhooks signature by its own code, remembers every `webhook-id`, and keeps per conversion the
newest revision.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from tributary_cli.demo.fakes.fake import Ask, Fake, Reply

_MICROS: Final = 1_000_000


class FakeWebhook(Fake):
    """One endpoint; what it counts is by conversion id.

    Args:
        token: The secret: `whsec_` and base64.
        unix_seconds: Tells time; the machine's unless given.
        refuse_every: Every so many new messages, the first attempt is answered 503 although nothing is wrong, so that
            retries are seen; 0: never.
    """

    name = "webhook"

    def __init__(self, token: str, unix_seconds: Callable[[], float] | None = None, *, refuse_every: int = 0) -> None:
        super().__init__(token, unix_seconds)
        self.bad_signatures = self.refused_on_purpose = 0
        self._refuse_every = refuse_every
        self._ids: set[str] = set()
        self._met: set[str] = set()

    def take(self, ask: Ask) -> Reply:
        """Takes one message, once."""
        webhook_id, timestamp, signature = (
            ask.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
        )
        if not self._is_signed(b".".join((webhook_id.encode(), timestamp.encode(), ask.body)), signature):
            self.bad_signatures += 1
            return Reply(401)
        if webhook_id in self._ids:
            self.repeats += 1
            return Reply(204)
        if self._is_unlucky(webhook_id):
            self.refused_on_purpose += 1
            return Reply(503)
        message = json.loads(ask.body)
        if message["type"] == "destination.test":
            return Reply(204)
        if message["data"]["conversion_id"] in self.poison:
            return Reply(400)
        self._ids.add(webhook_id)
        self._apply(message)
        return Reply(204)

    def _is_signed(self, signed: bytes, signature: str) -> bool:
        key = base64.b64decode(self.token.removeprefix("whsec_"))
        wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return any(hmac.compare_digest(wanted, given) for given in signature.split())

    def _is_unlucky(self, webhook_id: str) -> bool:
        """Tells whether a message is refused on purpose: the first time only."""
        is_new = webhook_id not in self._met
        self._met.add(webhook_id)
        return bool(self._refuse_every) and is_new and len(self._met) % self._refuse_every == 0

    def _apply(self, message: dict[str, Any]) -> None:
        data = message["data"]
        conversion_id = data["conversion_id"]
        if message["type"] == "conversion.created":
            self.counted[conversion_id] += 1
        known = self.events.get(conversion_id)
        if known is None or int(known["revision"]) < int(data["revision"]):
            value = data["value"]
            amount = None if value is None else Decimal(value["amount_micros"]) / _MICROS
            self.note(conversion_id, data, 0 if amount is not None and not data["counted"] else amount)
