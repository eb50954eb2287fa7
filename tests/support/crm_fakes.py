"""HubSpot and Salesforce as their documentation describes them: an object is what it is told last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tributary_cli.demo.fakes.fake import Ask, Fake, Reply


class Upserts(Fake):
    """Holds each object once."""

    def _upsert(self, object_id: str, event: Any, value: Any) -> bool:
        """Makes or changes one; tells whether it is new."""
        is_new = object_id not in self.counted
        self.repeats += not is_new
        (self.count if is_new else self.note)(object_id, event, value)
        return is_new


class FakeHubSpot(Upserts):
    """One account."""

    name = "hubspot"
    is_unique = True

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"category": "INVALID_AUTHENTICATION"})
        if (ask.method, ask.path) == ("GET", "/crm/v3/properties/deals/tributary_order_id"):
            return Reply(200, {"name": "tributary_order_id", "hasUniqueValue": self.is_unique})
        if ask.path != "/crm/v3/objects/deals/batch/upsert":
            return Reply(404, {"category": "OBJECT_NOT_FOUND"})
        inputs = ask.json()["inputs"]
        if len({one["id"] for one in inputs}) < len(inputs):
            return Reply(400, {"category": "VALIDATION_ERROR"})
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

    def _take_one(self, one: Mapping[str, Any]) -> bool:
        assert all(isinstance(value, str) for value in one["properties"].values())
        return self._upsert(one["id"], one["properties"], one["properties"]["amount"])


class FakeSalesforce(Upserts):
    """One instance."""

    name = "salesforce"
    remaining = 14_998

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, [{"errorCode": "INVALID_SESSION_ID"}])  # type: ignore[arg-type]
        if (ask.method, ask.path) == ("GET", "/services/data/v64.0/limits"):
            return Reply(200, {"DailyApiRequests": {"Max": 15_000, "Remaining": self.remaining}})
        assert ask.path == "/services/data/v64.0/composite/sobjects/Opportunity/Tributary_Id__c"
        said = ask.json()
        assert said["allOrNone"] is False
        return Reply(200, [self._take_one(one) for one in said["records"]])  # type: ignore[arg-type]

    def _take_one(self, one: Mapping[str, Any]) -> dict[str, Any]:
        object_id = one["Tributary_Id__c"]
        if object_id in self.poison:
            error = {"statusCode": "REQUIRED_FIELD_MISSING", "message": "Name", "fields": ["Name"]}
            return {"id": None, "success": False, "created": False, "errors": [error]}
        is_new = self._upsert(object_id, one, one["Amount"])
        return {"id": f"006{object_id}", "success": True, "created": is_new, "errors": []}
