"""TikTok's Events API: HTTP 200 whatever it is, the code says; an event id is known again for 48 hours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tributary_cli.demo.fakes.fake import DAY_SECONDS, Ask, Fake, Reply, is_hash, number

_MOST_EVENTS: Final = 1_000
_MOST_DAYS: Final = 7
_KNOWN_SECONDS: Final = 48 * 3600
_HASHED: Final = ("email", "phone", "external_id", "first_name", "last_name", "zip_code")
_SOURCES: Final = frozenset(("web", "app", "offline", "crm"))
OK, VALIDATION, THROTTLED, TOKEN = 0, 40002, 40100, 40105


class FakeTikTok(Fake):
    """One event source."""

    name = "tiktok"

    def __init__(self, token: str, unix_seconds: Callable[[], float] | None = None) -> None:
        super().__init__(token, unix_seconds)
        self._first_seconds: dict[tuple[str, str], float] = {}

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
        if not all(self._is_valid(event) for event in data):
            return self._said(VALIDATION, "data: invalid event")
        if not said.get("test_event_code"):
            for event in data:
                self._count(event)
        return self._said(OK, "OK")

    def too_many(self) -> Reply:
        """Too many calls have a code of their own."""
        return self._said(THROTTLED, "Too many requests")

    def _said(self, code: int, message: str) -> Reply:
        self.refused += code != OK
        return Reply(200, {"code": code, "message": message, "request_id": f"t{self.requests}", "data": {}})

    def _is_valid(self, event: Any) -> bool:
        if not isinstance(event, dict) or not event.get("event") or not isinstance(event.get("event_time"), int):
            return False
        if event.get("event_id") in self.poison:
            return False
        age_seconds = self.unix_seconds() - event["event_time"]
        if age_seconds > _MOST_DAYS * DAY_SECONDS or age_seconds < -DAY_SECONDS:
            return False
        user, properties = event.get("user"), event.get("properties") or {}
        if not isinstance(user, dict) or not user or not all(is_hash(user[key]) for key in _HASHED if key in user):
            return False
        return "value" not in properties or (number(properties["value"]) is not None and bool(properties["currency"]))

    def _count(self, event: Mapping[str, Any]) -> None:
        visible_id, now = str(event.get("event_id", "")), self.unix_seconds()
        first = self._first_seconds.get((event["event"], visible_id))
        if visible_id and first is not None and now - first <= _KNOWN_SECONDS:
            self.repeats += 1
            return
        self._first_seconds[event["event"], visible_id] = now
        self.count(visible_id, event, (event.get("properties") or {}).get("value"))
