"""Pinterest's Conversions API: answers event by event; an event id is known again, but not of what happened offline."""

from __future__ import annotations

from typing import Any, Final

from tributary_cli.demo.fakes.fake import Ask, ForgetsIds, Reply, are_hashes

_MOST_EVENTS: Final = 1_000
_SOURCES: Final = frozenset({"app_android", "app_ios", "web", "offline"})
_NAMES: Final = frozenset(
    {
        *("add_payment_info", "add_to_cart", "add_to_wishlist", "app_install", "checkout", "custom"),
        *("initiate_checkout", "lead", "page_visit", "search", "signup", "subscribe", "view_category"),
        *("view_content", "watch_video"),
    }
)


_REQUIRED: Final = frozenset({"event_name", "action_source", "event_time", "event_id", "user_data"})
_KNOWN: Final = _REQUIRED | {"event_source_url", "custom_data", "opt_out", "partner_name"}
_TEXTS: Final = ("event_name", "action_source", "event_id")


class FakePinterest(ForgetsIds):
    """One ad account."""

    name = "pinterest"

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"code": 2, "message": "Authentication failed."})
        if ask.path != "/v5/ad_accounts/549/events":
            return Reply(404, {"code": 50})
        said = ask.json()
        events = said.get("data") if isinstance(said, dict) else None
        if not isinstance(events, list) or not 0 < len(events) <= _MOST_EVENTS:
            return Reply(400, {"code": 4196, "message": "Invalid events."})
        is_test = ask.query.get("test") == "true"
        rows = [self._take_one(event, is_test=is_test) for event in events]
        processed = sum(row["status"] == "processed" for row in rows)
        body = {"num_events_received": len(rows), "num_events_processed": processed, "events": rows}
        if processed == len(rows):
            return Reply(200, body)
        return Reply(422, {"code": 4162, "message": "Not all events were processed.", "details": body})

    def too_many(self) -> Reply:
        """Too many calls have a code of their own."""
        return Reply(429, {"code": 8, "message": "Requests are too many."}, {"retry-after": "1"})

    def _take_one(self, event: Any, *, is_test: bool) -> dict[str, Any]:
        if not self._is_valid(event):
            return {"status": "failed", "error_message": "invalid"}
        if is_test:
            return {"status": "processed"}
        value = event.get("custom_data", {}).get("value")
        if event["action_source"] == "offline":
            self.count(event["event_id"], event, value)
        else:
            self.count_once(event["event_name"], event["event_id"], event, value)
        return {"status": "processed"}

    def _is_valid(self, event: Any) -> bool:
        if not isinstance(event, dict) or not _REQUIRED <= event.keys() <= _KNOWN:
            return False
        custom, user = event.get("custom_data", {}), event["user_data"]
        if not (
            isinstance(custom, dict) and isinstance(user, dict) and all(isinstance(event[one], str) for one in _TEXTS)
        ):
            return False
        is_matched = (
            bool({"em", "hashed_maids"} & user.keys()) or {"client_ip_address", "client_user_agent"} <= user.keys()
        )
        is_named = event["event_name"] in _NAMES and event["action_source"] in _SOURCES
        is_right = isinstance(custom.get("value", ""), str) and are_hashes(user, ("em", "ph", "hashed_maids"))
        return is_matched and is_named and is_right and event["event_id"] not in self.poison
