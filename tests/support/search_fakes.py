"""Microsoft and Google Ads as their documentation describes them: rows fail alone, corrections have an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tributary_cli.demo.fakes.fake import Ask, Fake, Reply


class FakeMicrosoft(Fake):
    """One ad account: a click id and a time are one conversion, under the click id."""

    name = "microsoft"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._times: dict[str, str] = {}

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        if ask.headers.get("authorization") != f"Bearer {self.token}" or not ask.headers.get("developertoken"):
            return Reply(
                401, {"Type": "AdApiFaultDetail", "Errors": [{"Code": 105, "ErrorCode": "InvalidCredentials"}]}
            )
        what = ask.path.split("/")[3]
        take = {"OfflineConversions": self._take_one, "OfflineConversionAdjustments": self._adjust_one}[what]
        codes = [take(row) for row in ask.json()[what]]
        errors = [
            {"Type": "BatchError", "Index": index, "Code": 5_600, "ErrorCode": code}
            for index, code in enumerate(codes)
            if code
        ]
        return Reply(200, {"PartialErrors": errors})

    def too_many(self) -> Reply:
        """Too many calls have a code of their own."""
        return Reply(400, {"Type": "AdApiFaultDetail", "Errors": [{"Code": 117, "ErrorCode": "CallRateExceeded"}]})

    def _take_one(self, row: Mapping[str, Any]) -> str:
        click_id = row.get("MicrosoftClickId", "")
        if not click_id or click_id in self.poison:
            return "InvalidMicrosoftClickId"
        if self._times.get(click_id) == row["ConversionTime"]:
            self.repeats += 1
            return ""
        self._times[click_id] = row["ConversionTime"]
        self.count(click_id, row, row.get("ConversionValue"))
        return ""

    def _adjust_one(self, row: Mapping[str, Any]) -> str:
        if self._times.get(row["MicrosoftClickId"]) != row["ConversionTime"]:
            return "ConversionNotFound"
        value = 0 if row["AdjustmentType"] == "Retract" else row["AdjustmentValue"]
        self.note(row["MicrosoftClickId"], row, value)
        return ""


class FakeGoogleAds(Fake):
    """One customer: an order id is one conversion."""

    name = "google_ads"

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        if ask.headers.get("authorization") != f"Bearer {self.token}" or not ask.headers.get("developer-token"):
            return Reply(401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}})
        call = ask.path.rpartition(":")[2]
        said = ask.json()
        assert said["partialFailure"] is True
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
