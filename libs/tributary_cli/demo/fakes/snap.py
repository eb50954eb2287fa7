"""Snap's Conversions API: an invalid event refuses the whole request, or is left out; it does not say which it was.

An event id is known again for 48 hours.
"""

from __future__ import annotations

from typing import Any, Final

from tributary_cli.demo.fakes.fake import DAY_SECONDS, Ask, ForgetsIds, Reply, are_device_ids, are_hashes, number

_MOST_EVENTS: Final = 2_000
_MOST_DAYS: Final = 37
_WEB: Final = frozenset({"WEB", "website"})
_SOURCES: Final = _WEB | {"MOBILE_APP", "app", "OFFLINE"}
_TEXTS: Final = ("event_name", "action_source")
_MILLISECONDS: Final = 10**11
"""Times are of seconds or milliseconds; from here on of the latter."""


class FakeSnap(ForgetsIds):
    """One pixel: all or nothing, unless it takes the rest."""

    name = "snap"

    def take(self, ask: Ask) -> Reply:
        """Takes all events of a request, or none."""
        if ask.query.get("access_token") != self.token:
            return Reply(401, {"status": "INVALID", "reason": "token"})
        said = ask.json()
        events = said.get("data") if isinstance(said, dict) else None
        if not isinstance(events, list) or not 0 < len(events) <= _MOST_EVENTS:
            return Reply(400, {"status": "INVALID", "reason": "none, or too many events"})
        path = ask.path.removesuffix("/validate")
        right = [event for event in events if self._is_valid(event)]
        if path != "/v3/PIX/events" or (len(right) < len(events) and not self.takes_the_rest):
            return Reply(400, {"status": "INVALID", "reason": "event"})
        for event in right if path == ask.path else ():
            visible_id, value = event.get("event_id", ""), event.get("custom_data", {}).get("value")
            self.count_once(event["event_name"], visible_id, event, value)
        return Reply(200, {"status": "VALID" if len(right) == len(events) else "INVALID", "reason": ""})

    def _is_valid(self, event: Any) -> bool:
        if not isinstance(event, dict) or not all(isinstance(event.get(name), str) for name in _TEXTS):
            return False
        user, time, custom = event.get("user_data"), event.get("event_time"), event.get("custom_data", {})
        if not (isinstance(user, dict) and isinstance(time, int) and isinstance(custom, dict)):
            return False
        if event.get("event_id") in self.poison or not are_hashes(user, ("em", "ph", "external_id")):
            return False
        if event["action_source"] in _WEB and not event.get("event_source_url"):
            return False
        age = self.unix_seconds() - (time / 1000 if time > _MILLISECONDS else time)
        madid = user.get("madid", "")
        if not are_device_ids(user, "madid") or madid != madid.lower():
            return False
        if not {"em", "ph", "madid"} & user.keys() and not {"client_ip_address", "client_user_agent"} <= user.keys():
            return False
        if event["action_source"] not in _SOURCES or age > _MOST_DAYS * DAY_SECONDS:
            return False
        return event["event_name"] != "PURCHASE" or (
            number(custom.get("value")) is not None and bool(custom.get("currency"))
        )
