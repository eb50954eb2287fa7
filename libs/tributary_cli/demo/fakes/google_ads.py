"""Google Ads' older uploads: rows fail alone, corrections name the order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tributary_cli.demo.fakes.fake import Ask, Fake, Reply


class FakeGoogleAds(Fake):
    """One customer: an order id is one conversion."""

    name = "google_ads"

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        if ask.headers.get("authorization") != f"Bearer {self.token}" or not ask.headers.get("developer-token"):
            return Reply(401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}})
        call = ask.path.rpartition(":")[2]
        said = ask.json()
        if said.get("partialFailure") is not True:
            return Reply(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT"}})
        if call == "uploadClickConversions":
            rows, name, take, kind = said["conversions"], "conversions", self._take_one, "conversionUploadError"
            if said.get("validateOnly"):  # no results, and nothing is counted
                return Reply(200, {"results": [{} for row in rows if row["orderId"]]})
        else:
            rows, name = said["conversionAdjustments"], "conversion_adjustments"
            take, kind = self._adjust_one, "conversionAdjustmentUploadError"
        codes = [take(row) for row in rows]
        errors = [
            {
                "errorCode": {kind: code},
                "location": {"fieldPathElements": [{"fieldName": name, "index": index}]},
            }
            for index, code in enumerate(codes)
            if code
        ]
        results = [
            {} if code else {"conversionAction": row["conversionAction"]} for code, row in zip(codes, rows, strict=True)
        ]
        failure = {"partialFailureError": {"code": 3, "details": [{"errors": errors}]}} if errors else {}
        return Reply(200, {"results": results, **failure})

    def _take_one(self, row: Mapping[str, Any]) -> str:
        if row["orderId"] in self.poison:
            return "UNPARSEABLE_GCLID"
        if row["orderId"] in self.counted:
            self.repeats += 1
            return "ORDER_ID_ALREADY_IN_USE"
        self.count(row["orderId"], row, row.get("conversionValue"))
        return ""

    def _adjust_one(self, row: Mapping[str, Any]) -> str:
        if row["orderId"] not in self.counted:
            return "CONVERSION_NOT_FOUND"
        is_retraction = row["adjustmentType"] == "RETRACTION"
        self.note(row["orderId"], row, 0 if is_retraction else row["restatementValue"]["adjustedValue"])
        return ""
