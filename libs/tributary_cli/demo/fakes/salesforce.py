"""Salesforce: a record is what it is told last; each of a request is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tributary_cli.demo.fakes.fake import Ask, Reply, Upserts


class FakeSalesforce(Upserts):
    """One instance."""

    name = "salesforce"
    remaining = 14_998
    """Requests of the day that are left."""

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        if ask.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, [{"errorCode": "INVALID_SESSION_ID"}])
        if (ask.method, ask.path) == ("GET", "/services/data/v64.0/limits"):
            return Reply(200, {"DailyApiRequests": {"Max": 15_000, "Remaining": self.remaining}})
        said = ask.json()
        is_there = ask.path == "/services/data/v64.0/composite/sobjects/Opportunity/Tributary_Id__c"
        if not is_there or said.get("allOrNone") is not False:
            return Reply(404, [{"errorCode": "NOT_FOUND"}])
        return Reply(200, [self._take_one(one) for one in said["records"]])

    def _take_one(self, one: Mapping[str, Any]) -> dict[str, Any]:
        object_id = one["Tributary_Id__c"]
        if object_id in self.poison:
            error = {"statusCode": "REQUIRED_FIELD_MISSING", "message": "Name", "fields": ["Name"]}
            return {"id": None, "success": False, "created": False, "errors": [error]}
        is_new = self.upsert(object_id, one, one["Amount"])
        return {"id": f"006{object_id}", "success": True, "created": is_new, "errors": []}
