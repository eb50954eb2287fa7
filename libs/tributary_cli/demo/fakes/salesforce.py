"""Salesforce: a record is what it is told last; each of a request is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tributary_cli.demo.fakes.fake import Ask, Reply, Upserts, number

_MOST_RECORDS: Final = 200
_ID: Final = "Tributary_Id__c"


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
        records = said.get("records") or []
        if not 0 < len(records) <= _MOST_RECORDS:
            message = "record limit reached. cannot submit more than 200 records into this call"
            return Reply(400, [{"errorCode": "EXCEEDED_ID_LIMIT", "message": message}])
        if any((one.get("attributes") or {}).get("type") != "Opportunity" for one in records):
            return Reply(400, [{"errorCode": "INVALID_TYPE", "message": "attributes.type"}])
        ids = [str(one.get(_ID, "")) for one in records]
        return Reply(
            200, [self._take_one(one, is_twice=ids.count(name) > 1) for one, name in zip(records, ids, strict=True)]
        )

    def too_many(self) -> Reply:
        """Too many calls are forbidden, for a while."""
        return Reply(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}])

    def _take_one(self, one: Mapping[str, Any], *, is_twice: bool) -> dict[str, Any]:
        object_id, amount = str(one.get(_ID, "")), one.get("Amount")
        if not object_id:
            return _failed("MISSING_ARGUMENT", _ID)
        if is_twice:
            return _failed("DUPLICATE_VALUE", _ID)
        if object_id in self.poison:
            return _failed("REQUIRED_FIELD_MISSING", "Name")
        if amount is not None and (isinstance(amount, str) or number(amount) is None):
            return _failed("INVALID_TYPE_ON_FIELD_IN_RECORD", "Amount")
        is_new = self.upsert(object_id, one, amount)
        return {"id": f"006{object_id}", "success": True, "created": is_new, "errors": []}


def _failed(code: str, field: str) -> dict[str, Any]:
    error = {"statusCode": code, "message": field, "fields": [field]}
    return {"id": None, "success": False, "created": False, "errors": [error]}
