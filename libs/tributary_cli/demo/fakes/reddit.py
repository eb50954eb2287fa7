"""Reddit's Conversions API: a conversion id of a type is known again."""

from __future__ import annotations

from typing import Any, Final

from tributary_cli.demo.fakes.fake import DAY_SECONDS, Ask, ForgetsIds, Reply, are_hashes

_MOST_EVENTS: Final = 1_000
_MOST_DAYS: Final = 7
_MOST_AHEAD_SECONDS: Final = 300
_SOURCES: Final = frozenset({"WEBSITE", "APP", "PHYSICAL_STORE", "OTHER"})
_HASHED: Final = ("email", "phone_number", "external_id", "ip_address", "idfa", "aaid")
_TYPES: Final = frozenset(
    {
        *("PAGE_VISIT", "VIEW_CONTENT", "SEARCH", "ADD_TO_CART", "ADD_TO_WISHLIST"),
        *("LEAD", "PURCHASE", "SIGN_UP", "CUSTOM"),
    }
)


class FakeReddit(ForgetsIds):
    """One pixel: all or nothing, unless it takes the rest."""

    name = "reddit"

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid, or nothing."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"error": {"reason": "UNAUTHORIZED"}})
        said = ask.json()
        data = said.get("data") if isinstance(said, dict) else None
        if not isinstance(data, dict):
            return Reply(400, {"error": {"reason": "BAD_REQUEST"}})
        events = data.get("events")
        if not isinstance(events, list) or not 0 < len(events) <= (1 if "test_id" in data else _MOST_EVENTS):
            return Reply(400, {"error": {"reason": "BAD_REQUEST"}})
        wrong = [event for event in events if not self._is_valid(event)]
        if ask.path != "/api/v3/pixels/t2_abc/conversion_events" or (wrong and not self.takes_the_rest):
            return Reply(400, {"error": {"reason": "BAD_REQUEST"}})
        for event in events if "test_id" not in data else ():
            if event not in wrong:
                told = event.get("metadata", {})
                self.count_once(event["type"]["tracking_type"], told.get("conversion_id", ""), event, told.get("value"))
        answer: dict[str, Any] = {"message": "Successfully processed conversion events."}
        if wrong:  # which they were it does not say
            answer["invalid_events"] = [{"error_message": "invalid"} for _ in wrong]
        return Reply(200, {"data": answer})

    def _is_valid(self, event: Any) -> bool:
        if not isinstance(event, dict) or not isinstance(event.get("type"), dict):
            return False
        time, told, user = event.get("event_at"), event.get("metadata", {}), event.get("user", {})
        if not (isinstance(time, int) and isinstance(told, dict) and isinstance(user, dict)):
            return False
        if told.get("conversion_id") in self.poison or not (user or event.get("click_id")):
            return False
        age = self.unix_seconds() - time / 1000
        is_timely = -_MOST_AHEAD_SECONDS <= age <= _MOST_DAYS * DAY_SECONDS
        is_placed = event.get("action_source") in _SOURCES and event["type"].get("tracking_type") in _TYPES
        return is_timely and is_placed and are_hashes(user, _HASHED)
