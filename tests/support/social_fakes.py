"""Pinterest, Snap and Reddit as their documentation describes them: an event id is known again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tributary_cli.demo.fakes.fake import Ask, Fake, Reply, is_hash, number


class KnowsIds(Fake):
    """Counts an id once."""

    def _count_once(self, visible_id: str, event: Any, value: Any) -> None:
        if visible_id in self.counted:
            self.repeats += 1
        else:
            self.count(visible_id, event, value)


def _hashes_are_hashes(user: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return all(is_hash(user[name]) for name in names if name in user)


class FakePinterest(KnowsIds):
    """One ad account: answers event by event."""

    name = "pinterest"

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"code": 2, "message": "Authentication failed."})
        if ask.path != "/v5/ad_accounts/549/events":
            return Reply(404, {"code": 50})
        is_test = ask.query.get("test") == "true"
        rows = [self._take_one(event, is_test=is_test) for event in ask.json()["data"]]
        processed = sum(row["status"] == "processed" for row in rows)
        body = {"num_events_received": len(rows), "num_events_processed": processed, "events": rows}
        return Reply(200 if processed == len(rows) else 422, body)

    def _take_one(self, event: Mapping[str, Any], *, is_test: bool) -> dict[str, Any]:
        known = {
            "event_name",
            "action_source",
            "event_time",
            "event_id",
            "event_source_url",
            "user_data",
            "custom_data",
        }
        custom, user = event.get("custom_data", {}), event["user_data"]
        is_matched = "em" in user or {"client_ip_address", "client_user_agent"} <= user.keys()
        is_valid = set(event) <= known and is_matched and isinstance(custom.get("value", ""), str)
        if not is_valid or not _hashes_are_hashes(user, ("em", "ph")) or event["event_id"] in self.poison:
            return {"status": "failed", "error_message": "invalid"}
        if not is_test:
            self._count_once(event["event_id"], event, custom.get("value"))
        return {"status": "processed"}


class FakeSnap(KnowsIds):
    """One pixel: all or nothing."""

    name = "snap"

    def take(self, ask: Ask) -> Reply:
        """Takes all events of a request, or none."""
        if ask.query.get("access_token") != self.token:
            return Reply(401, {"status": "INVALID", "reason": "token"})
        events = ask.json()["data"]
        path = ask.path.removesuffix("/validate")
        if path != "/v3/PIX/events" or not all(map(self._is_valid, events)):
            return Reply(400, {"status": "INVALID", "reason": "event"})
        if path != ask.path:
            return Reply(200, {"status": "VALID", "reason": ""})
        for event in events:
            self._count_once(event["event_id"], event, event["custom_data"]["value"])
        return Reply(200, {"status": "VALID", "reason": ""})

    def _is_valid(self, event: Mapping[str, Any]) -> bool:
        if event["event_id"] in self.poison or not _hashes_are_hashes(event["user_data"], ("em", "ph", "external_id")):
            return False
        if event["action_source"] == "WEB" and not event.get("event_source_url"):
            return False
        custom = event.get("custom_data", {})
        return event["event_name"] != "PURCHASE" or (
            number(custom.get("value")) is not None and bool(custom["currency"])
        )


class FakeReddit(KnowsIds):
    """One pixel: all or nothing."""

    name = "reddit"

    def take(self, ask: Ask) -> Reply:
        """Takes all events of a request, or none."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"error": {"reason": "UNAUTHORIZED"}})
        events = ask.json()["data"]["events"]
        if ask.path != "/api/v3/pixels/t2_abc/conversion_events" or not all(map(self._is_valid, events)):
            return Reply(400, {"error": {"reason": "BAD_REQUEST"}})
        for event in events if "test_id" not in ask.json()["data"] else ():
            self._count_once(event["metadata"]["conversion_id"], event, event["metadata"].get("value"))
        return Reply(200, {"data": {"message": "Successfully processed conversion events."}})

    def _is_valid(self, event: Mapping[str, Any]) -> bool:
        is_poison = event["metadata"]["conversion_id"] in self.poison
        return (
            not is_poison and isinstance(event.get("event_at"), int) and _hashes_are_hashes(event["user"], ("email",))
        )
