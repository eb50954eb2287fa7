"""HubSpot: an object is what it is told last; what is wrong is named by its trace id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tributary_cli.demo.fakes.fake import Ask, Reply, Upserts

_MOST_INPUTS: Final = 100


class FakeHubSpot(Upserts):
    """One account."""

    name = "hubspot"
    is_unique = True
    """Whether its property of ids is unique."""

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"category": "INVALID_AUTHENTICATION"})
        if (ask.method, ask.path) == ("GET", "/crm/v3/properties/deals/tributary_order_id"):
            return Reply(200, {"name": "tributary_order_id", "hasUniqueValue": self.is_unique})
        if ask.path == "/crm/v3/objects/contacts/batch/read":
            return self._read(ask.json())
        if ask.path not in ("/crm/v3/objects/deals/batch/upsert", "/crm/v3/objects/contacts/batch/upsert"):
            return Reply(404, {"category": "OBJECT_NOT_FOUND"})
        inputs = ask.json()["inputs"]
        if not 0 < len(inputs) <= _MOST_INPUTS or not all(one.get("id") and one.get("idProperty") for one in inputs):
            return _invalid()
        texts = [isinstance(value, str) for one in inputs for value in one["properties"].values()]
        if len({one["id"] for one in inputs}) < len(inputs) or not all(texts):
            return _invalid()
        results = [{"id": one["id"], "new": self._take_one(one)} for one in inputs if one["id"] not in self.poison]
        errors = [
            {
                "status": "error",
                "category": "VALIDATION_ERROR",
                "context": {"objectWriteTraceId": [one["objectWriteTraceId"]]},
            }
            for one in inputs
            if one["id"] in self.poison
        ]
        if errors:
            return Reply(207, {"status": "COMPLETE", "results": results, "numErrors": len(errors), "errors": errors})
        return Reply(200, {"status": "COMPLETE", "results": results})

    def too_many(self) -> Reply:
        """Too many calls are told by which of its limits."""
        said = {"status": "error", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}
        headers = {"X-HubSpot-RateLimit-Interval-Milliseconds": "10000", "X-HubSpot-RateLimit-Remaining": "0"}
        return Reply(429, {**said, "message": "You have reached your ten_secondly_rolling limit."}, headers)

    def _read(self, said: Mapping[str, Any]) -> Reply:
        """Tells what contacts hold, of what is asked for; of who is not there, that."""
        if not 0 < len(said["inputs"]) <= _MOST_INPUTS or not said.get("idProperty"):
            return _invalid()
        asked = [str(one["id"]) for one in said["inputs"]]
        found = [
            {"id": str(number), "properties": {"email": one} | self._held(one, said["properties"])}
            for number, one in enumerate(asked)
            if one in self.events
        ]
        if len(found) == len(asked):
            return Reply(200, {"status": "COMPLETE", "results": found})
        missing = {"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": asked}}
        return Reply(207, {"status": "COMPLETE", "results": found, "numErrors": 1, "errors": [missing]})

    def _held(self, object_id: str, names: Sequence[str]) -> dict[str, Any]:
        held = self.events[object_id]
        return {name: held.get(name) for name in names if name != "email"}

    def _take_one(self, one: Mapping[str, Any]) -> bool:
        return self.upsert(one["id"], one["properties"], one["properties"].get("amount"))


def _invalid() -> Reply:
    return Reply(400, {"status": "error", "category": "VALIDATION_ERROR"})
