"""LinkedIn's Conversions API: one bad event refuses all and is named; it knows again what the tag told, and no more."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from tributary_cli.demo.fakes.fake import DAY_SECONDS, Ask, Fake, Reply, is_hash, number

_MOST_EVENTS: Final = 5_000
_MOST_ID_CHARACTERS: Final = 64
_MOST_DAYS: Final = 90
_VERSION: Final = re.compile(r"20\d{4}")
_RULE: Final = re.compile(r"urn:lla:llaPartnerConversion:\d+")


class FakeLinkedIn(Fake):
    """One ad account."""

    name = "linkedin"

    def __init__(self, token: str, unix_seconds: Callable[[], float] | None = None) -> None:
        super().__init__(token, unix_seconds)
        self._tagged: set[str] = set()

    def tag(self, name: str, visible_id: str, value: Any) -> None:
        """Hears of a conversion from the Insight Tag: what comes of it by the API as well is dropped."""
        super().tag(name, visible_id, value)
        self._tagged.add(visible_id)

    def take(self, ask: Ask) -> Reply:
        """Takes all events of a request, or none: a batch, or one that is the whole body."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return _error(401, "Invalid access token", "INVALID_ACCESS_TOKEN")
        if ask.headers.get("x-restli-protocol-version") != "2.0.0":
            return _error(400, "Bad request", "ILLEGAL_ARGUMENT")
        if not _VERSION.fullmatch(ask.headers.get("linkedin-version", "")):
            return _error(426, "Requested version is not active", "NONEXISTENT_VERSION")
        said = ask.json()
        method = ask.headers.get("x-restli-method", "CREATE").upper()
        if method == "CREATE" and isinstance(said, dict) and "elements" not in said:
            return self._create(said)
        elements = said.get("elements") if isinstance(said, dict) else None
        if method != "BATCH_CREATE" or not isinstance(elements, list) or not 0 < len(elements) <= _MOST_EVENTS:
            return _error(400, "Bad request", "ILLEGAL_ARGUMENT")
        wrong = [(place, why) for place, one in enumerate(elements) if (why := self._why_invalid(one))]
        if wrong and not self.takes_the_rest:
            lines = "".join(f"Index: {place}, ERROR :: {why} \n" for place, why in wrong)
            return _error(422, lines, "UNPROCESSABLE_ENTITY")
        statuses = dict.fromkeys(range(len(elements)), 201) | dict.fromkeys((place for place, _ in wrong), 422)
        for place, one in enumerate(elements):
            if statuses[place] == 201:
                self._take_one(one)
        return Reply(200, {"elements": [{"status": statuses[place]} for place in range(len(elements))]})

    def _create(self, event: dict[str, Any]) -> Reply:
        if why := self._why_invalid(event):
            return _error(422, f"ERROR :: {why}", "UNPROCESSABLE_ENTITY")
        self._take_one(event)
        return Reply(201)

    def _take_one(self, event: dict[str, Any]) -> None:
        visible_id, value = str(event.get("eventId", "")), (event.get("conversionValue") or {}).get("amount")
        if visible_id and visible_id in self._tagged:
            self.repeats += 1
        else:
            self.count(visible_id, event, value)

    def too_many(self) -> Reply:
        """Too many calls have the usual status."""
        return _error(429, "Resource level throttle limit reached", "TOO_MANY_REQUESTS")

    def _why_invalid(self, event: Any) -> str:
        if isinstance(event, dict) and event.get("eventId") in self.poison:
            return "/user :: is not what it should be"
        if not isinstance(event, dict) or not _RULE.fullmatch(str(event.get("conversion", ""))):
            return "/conversion :: field is required but not found"
        time = event.get("conversionHappenedAt")
        if not isinstance(time, int) or not 0 <= self.unix_seconds() + 60 - time / 1000 <= _MOST_DAYS * DAY_SECONDS:
            return "/conversionHappenedAt :: must be within 90 days"
        user = event.get("user")
        if not isinstance(user, dict) or not isinstance(user.get("userIds"), list):
            return "/user/userIds :: field is required but not found"
        name = user.get("userInfo")
        if not user["userIds"] and not (name and name.get("firstName") and name.get("lastName")):
            return "/user :: no identifier"
        if any(one.get("idType") == "SHA256_EMAIL" and not is_hash(one.get("idValue")) for one in user["userIds"]):
            return "/user/userIds :: no SHA-256"
        if len(str(event.get("eventId", ""))) > _MOST_ID_CHARACTERS:
            return "/eventId :: too long"
        value = event.get("conversionValue")
        if value is not None and not (isinstance(value.get("amount"), str) and number(value["amount"]) is not None):
            return "/conversionValue/amount :: is no text of a number"
        return ""


def _error(status: int, message: str, code: str) -> Reply:
    return Reply(status, {"status": status, "message": message, "code": code, "serviceErrorCode": 0})
