"""Meta's Conversions API: one invalid event refuses the whole request; an event id is known again for 48 hours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from tributary_cli.demo.fakes.fake import DAY_SECONDS, Ask, ForgetsIds, Reply, are_device_ids, are_hashes, number

_MOST_EVENTS: Final = 1_000
_HASHED: Final = ("em", "ph", "fn", "ln", "ct", "st", "zp", "country", "db", "ge")
_SOURCES: Final = frozenset(
    (
        *("website", "email", "app", "phone_call", "chat", "physical_store"),
        *("system_generated", "business_messaging", "other"),
    )
)


class FakeMeta(ForgetsIds):
    """One data set."""

    name = "meta"

    def take(self, ask: Ask) -> Reply:
        """Takes all events of a request, or none."""
        said = self._said(ask)
        if ask.query.get("access_token", said.get("access_token")) != self.token:
            return _error(401, 190, "Invalid OAuth access token.")
        data = said.get("data")
        if not ask.path.endswith("/events") or not isinstance(data, list) or not 0 < len(data) <= _MOST_EVENTS:
            return _error(400, 100, "Invalid parameter", 2804000)
        events = [json.loads(one) if isinstance(one, str) else one for one in data]
        if not all(self._is_valid(event) for event in events):
            return _error(400, 100, "Invalid parameter", 2804003)
        if not said.get("test_event_code"):
            for event in events:
                value = (event.get("custom_data") or {}).get("value")
                self.count_once(event["event_name"], str(event.get("event_id", "")), event, value)
        return Reply(200, {"events_received": len(events), "messages": [], "fbtrace_id": f"A{self.requests:09}"})

    def too_many(self) -> Reply:
        """Too many calls are an error of their own."""
        return _error(400, 80004, "There have been too many calls to this ad-account.", is_transient=True)

    @staticmethod
    def _said(ask: Ask) -> Mapping[str, Any]:
        if ask.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = {name: values[0] for name, values in parse_qs(ask.body.decode()).items()}
            return {**form, "data": json.loads(form.get("data", "[]"))}
        said = ask.json()
        return said if isinstance(said, dict) else {}

    def _is_valid(self, event: Any) -> bool:
        if not isinstance(event, dict) or event.get("event_id") in self.poison:
            return False
        user, custom, time = event.get("user_data"), event.get("custom_data") or {}, event.get("event_time")
        source, name = event.get("action_source"), event.get("event_name")
        if not (name and isinstance(time, int) and isinstance(user, dict) and user and source in _SOURCES):
            return False
        most_days = 62 if source == "physical_store" else 7
        age_seconds = self.unix_seconds() - time
        if age_seconds > most_days * DAY_SECONDS or age_seconds < -DAY_SECONDS:
            return False
        if source == "website" and not (event.get("event_source_url") and user.get("client_user_agent")):
            return False
        if name == "Purchase" and (number(custom.get("value")) is None or not custom.get("currency")):
            return False
        return are_hashes(user, _HASHED) and are_device_ids(user, "madid")


def _error(status: int, code: int, message: str, subcode: int = 0, *, is_transient: bool = False) -> Reply:
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, "is_transient": is_transient}
    if subcode:
        error |= {"error_subcode": subcode, "error_user_title": message, "error_user_msg": message}
    return Reply(status, {"error": {**error, "fbtrace_id": "A0"}})
