"""Microsoft's offline conversions: rows fail alone, corrections have an address of their own."""

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
        token = ask.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.expired:
            return _fault(401, 109, "AuthenticationTokenExpired")
        if token != self.token or not ask.headers.get("developertoken"):
            return _fault(401, 105, "InvalidCredentials")
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
        return _fault(400, 117, "CallRateExceeded")

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


def _fault(status: int, code: int, name: str) -> Reply:
    return Reply(status, {"Type": "AdApiFaultDetail", "Errors": [{"Code": code, "ErrorCode": name}]})
