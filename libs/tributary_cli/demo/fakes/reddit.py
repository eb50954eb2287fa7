"""Reddit's Conversions API: a conversion id of a type is known again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tributary_cli.demo.fakes.fake import Ask, ForgetsIds, Reply, are_hashes


class FakeReddit(ForgetsIds):
    """One pixel: all or nothing, unless it takes the rest."""

    name = "reddit"

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid, or nothing."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"error": {"reason": "UNAUTHORIZED"}})
        events = ask.json()["data"]["events"]
        wrong = [event for event in events if not self._is_valid(event)]
        if ask.path != "/api/v3/pixels/t2_abc/conversion_events" or (wrong and not self.takes_the_rest):
            return Reply(400, {"error": {"reason": "BAD_REQUEST"}})
        for event in events if "test_id" not in ask.json()["data"] else ():
            if event not in wrong:
                told = event["metadata"]
                self.count_once(event["type"]["tracking_type"], told["conversion_id"], event, told.get("value"))
        said: dict[str, Any] = {"message": "Successfully processed conversion events."}
        if wrong:  # which they were it does not say
            said["invalid_events"] = [{"error_message": "invalid"} for _ in wrong]
        return Reply(200, {"data": said})

    def _is_valid(self, event: Mapping[str, Any]) -> bool:
        is_poison = event["metadata"]["conversion_id"] in self.poison
        return not is_poison and isinstance(event.get("event_at"), int) and are_hashes(event["user"], ("email",))
