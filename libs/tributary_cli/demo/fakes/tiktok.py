"""TikTok's Events API: HTTP 200 whatever it is, the code says; an event id is known again for 48 hours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tributary_cli.demo.fakes.fake import DAY_SECONDS, Ask, ForgetsIds, Reply, are_device_ids, are_hashes, number

_MOST_EVENTS: Final = 1_000
_MOST_DAYS: Final = 7
_HASHED: Final = ("email", "phone", "external_id", "first_name", "last_name", "zip_code")
_SOURCES: Final = frozenset(("web", "app", "offline", "crm"))
OK, PARTLY, VALIDATION, THROTTLED, TOKEN = 0, 20001, 40002, 40100, 40105


class FakeTikTok(ForgetsIds):
    """One event source."""

    name = "tiktok"

    def take(self, ask: Ask) -> Reply:
        """Takes all events of a request, or none."""
        if ask.headers.get("access-token") != self.token:
            return self._said(TOKEN, "Access token is incorrect or has been revoked.")
        said = ask.json()
        data = said.get("data") if isinstance(said, dict) else None
        if not ask.path.endswith("/event/track/") or not isinstance(data, list) or not 0 < len(data) <= _MOST_EVENTS:
            return self._said(VALIDATION, "data: length must be between 1 and 1000")
        if said.get("event_source") not in _SOURCES or not said.get("event_source_id"):
            return self._said(VALIDATION, "event_source: missing")
        wrong = [place for place, event in enumerate(data) if not self._is_valid(event, said["event_source"])]
        if wrong and not self.takes_the_rest:
            return self._said(VALIDATION, "data: invalid event")
        if not said.get("test_event_code"):
            for place, event in enumerate(data):
                if place not in wrong:
                    self._count(event)
        if wrong:
            failed = [{"order_in_batch": place, "error_code": VALIDATION} for place in wrong]
            return self._said(PARTLY, "Partly successful", {"failed_events": failed})
        return self._said(OK, "OK")

    def too_many(self) -> Reply:
        """Too many calls have a code of their own."""
        return self._said(THROTTLED, "Too many requests")

    def _said(self, code: int, message: str, data: Mapping[str, Any] | None = None) -> Reply:
        self.refused += code not in (OK, PARTLY)
        body = {"code": code, "message": message, "request_id": f"t{self.requests}", "data": data or {}}
        return Reply(200, body)

    def _is_valid(self, event: Any, source: str) -> bool:
        if not isinstance(event, dict) or not event.get("event") or not isinstance(event.get("event_time"), int):
            return False
        if event.get("event_id") in self.poison:
            return False
        age_seconds = self.unix_seconds() - event["event_time"]
        if age_seconds > _MOST_DAYS * DAY_SECONDS or age_seconds < -DAY_SECONDS:
            return False
        lead = event.get("lead")
        if lead is not None and not (source == "crm" and isinstance(lead, dict) and lead.get("lead_id")):
            return False
        user, properties = event.get("user"), event.get("properties") or {}
        if not isinstance(user, dict) or not user or not are_hashes(user, _HASHED):
            return False
        if not are_device_ids(user, "idfa", "gaid"):
            return False
        return "value" not in properties or (number(properties["value"]) is not None and bool(properties["currency"]))

    def _count(self, event: Mapping[str, Any]) -> None:
        value = (event.get("properties") or {}).get("value")
        self.count_once(event["event"], str(event.get("event_id", "")), event, value)
