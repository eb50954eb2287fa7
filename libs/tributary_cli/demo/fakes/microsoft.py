"""Microsoft's offline conversions: rows fail alone, corrections have an address of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tributary_cli.demo.fakes.fake import DAY_SECONDS, Ask, Fake, Reply, are_hashes, number

_MOST_ROWS: Final = 1_000
_MOST_DAYS: Final = 90
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
_KEYS: Final = ("MicrosoftClickId", "HashedEmailAddress", "HashedPhoneNumber")


class FakeMicrosoft(Fake):
    """One ad account: a click id and a time are one conversion; what has only hashes is another one each time.

    Conversions are counted under the click id, else under the first hash.
    """

    name = "microsoft"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._clicked: set[tuple[str, str]] = set()
        self._names: dict[tuple[str, str], set[str]] = {}

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        token = ask.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.expired:
            return _fault(401, 109, "AuthenticationTokenExpired")
        if token != self.token or not ask.headers.get("developertoken"):
            return _fault(401, 105, "InvalidCredentials")
        if not ask.headers.get("customerid") or not ask.headers.get("customeraccountid"):
            return _fault(400, 116, "RequestMissingHeaders")
        what = ask.path.split("/")[3]
        take = {"OfflineConversions": self._take_one, "OfflineConversionAdjustments": self._adjust_one}[what]
        rows = ask.json()[what]
        if len(rows) > _MOST_ROWS:
            return _fault(400, 5_601, "OfflineConversionBatchLimitExceeded")
        codes = [take(row) for row in rows]
        errors = [
            {"Type": "BatchError", "Index": index, "Code": 5_600, "ErrorCode": code, "Message": code}
            for index, code in enumerate(codes)
            if code
        ]
        return Reply(200, {"PartialErrors": errors})

    def too_many(self) -> Reply:
        """Too many calls have a code of their own."""
        return _fault(400, 117, "CallRateExceeded")

    def _take_one(self, row: Mapping[str, Any]) -> str:
        who, moment = _who(row), row["ConversionTime"]
        if not who or who in self.poison or not are_hashes(row, _KEYS[1:]):
            return "InvalidMicrosoftClickId"
        if not _TIME.fullmatch(moment) or self.unix_seconds() - _seconds(moment) > _MOST_DAYS * DAY_SECONDS:
            return "InvalidConversionTime"
        if (who, moment) in self._clicked:  # whatever it is called
            self.repeats += 1
            return ""
        if row.get("MicrosoftClickId"):
            self._clicked.add((who, moment))
        self._names.setdefault((who, moment), set()).add(row["ConversionName"])
        self.count(who, row, row.get("ConversionValue"))
        return ""

    def _adjust_one(self, row: Mapping[str, Any]) -> str:
        who = _who(row)
        if row["ConversionName"] not in self._names.get((who, row["ConversionTime"]), ()):
            return "ConversionNotFound"
        if _seconds(row["AdjustmentTime"]) < _seconds(row["ConversionTime"]):
            return "InvalidAdjustmentTime"
        is_retraction = row["AdjustmentType"] == "Retract"
        if not is_retraction and number(row.get("AdjustmentValue")) is None:
            return "AdjustmentValueRequired"
        value = 0 if is_retraction else row["AdjustmentValue"]
        self.note(who, row, value)
        return ""


def _who(row: Mapping[str, Any]) -> str:
    return next((str(row[name]) for name in _KEYS if row.get(name)), "")


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _fault(status: int, code: int, name: str) -> Reply:
    error = {"Code": code, "ErrorCode": name, "Message": name}
    return Reply(status, {"TrackingId": "a tracking id", "Type": "AdApiFaultDetail", "Errors": [error]})
