"""Snap's Conversions API: an invalid event refuses the whole request, or is left out; it does not say which it was.

An event id is known again for 48 hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tributary_cli.demo.fakes.fake import Ask, ForgetsIds, Reply, are_hashes, number


class FakeSnap(ForgetsIds):
    """One pixel: all or nothing, unless it takes the rest."""

    name = "snap"

    def take(self, ask: Ask) -> Reply:
        """Takes all events of a request, or none."""
        if ask.query.get("access_token") != self.token:
            return Reply(401, {"status": "INVALID", "reason": "token"})
        events = ask.json()["data"]
        path = ask.path.removesuffix("/validate")
        right = [event for event in events if self._is_valid(event)]
        if path != "/v3/PIX/events" or (len(right) < len(events) and not self.takes_the_rest):
            return Reply(400, {"status": "INVALID", "reason": "event"})
        for event in right if path == ask.path else ():
            self.count_once(event["event_name"], event["event_id"], event, event["custom_data"]["value"])
        return Reply(200, {"status": "VALID" if len(right) == len(events) else "INVALID", "reason": ""})

    def _is_valid(self, event: Mapping[str, Any]) -> bool:
        if event["event_id"] in self.poison or not are_hashes(event["user_data"], ("em", "ph", "external_id")):
            return False
        if event["action_source"] == "WEB" and not event.get("event_source_url"):
            return False
        custom = event.get("custom_data", {})
        return event["event_name"] != "PURCHASE" or (
            number(custom.get("value")) is not None and bool(custom["currency"])
        )
