"""Google Ads' older uploads: rows fail alone, corrections name the order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from tributary_cli.demo.fakes.fake import DAY_SECONDS, Ask, Fake, Reply, is_hash, number

_MOST_ROWS: Final = 2_000
_MOST_DAYS: Final = 90
_MOST_ADJUSTED_DAYS: Final = 54
_MOST_IDENTIFIERS: Final = 5
_CONVERSION: Final = "conversionUploadError"
_ADJUSTMENT: Final = "conversionAdjustmentUploadError"
_REQUIRED: Final = {"fieldError": "REQUIRED"}
_ACTION: Final = re.compile(r"customers/[0-9]+/conversionActions/[0-9]+")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d")
_CLICKS: Final = ("gclid", "gbraid", "wbraid")
_IDENTIFIERS: Final = ("hashedEmail", "hashedPhoneNumber")


class FakeGoogleAds(Fake):
    """One customer: an order id is one conversion; of what adjusts it the latest by its own time holds."""

    name = "google_ads"

    def __init__(self, token: str, unix_seconds: Callable[[], float] | None = None) -> None:
        super().__init__(token, unix_seconds)
        self.too_recent: set[str] = set()
        """Order ids whose click it does not know yet."""
        self.foreign: set[str] = set()
        """Order ids whose click is another customer's."""
        self.retracted: set[str] = set()
        """Order ids that were taken back, for ever."""
        self._adjusted: dict[str, datetime] = {}
        self._conversions: dict[str, Mapping[str, Any]] = {}

    def take(self, ask: Ask) -> Reply:
        """Takes what is valid."""
        if ask.headers.get("authorization") != f"Bearer {self.token}" or not ask.headers.get("developer-token"):
            return Reply(401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}})
        call = ask.path.rpartition(":")[2]
        said = ask.json()
        if said.get("partialFailure") is not True:
            return _refused(400, "INVALID_ARGUMENT", {"requestError": "INVALID_INPUT"})
        is_conversions = call == "uploadClickConversions"
        rows, name = said.get("conversions"), "conversions"
        if not is_conversions:
            rows, name = said.get("conversionAdjustments"), "conversion_adjustments"
        if not rows:
            return _refused(400, "INVALID_ARGUMENT", _REQUIRED)
        if len(rows) > _MOST_ROWS:
            what = "CONVERSIONS" if is_conversions else "ADJUSTMENTS"
            kind = _CONVERSION if is_conversions else _ADJUSTMENT
            return _refused(400, "INVALID_ARGUMENT", {kind: f"TOO_MANY_{what}_IN_REQUEST"})
        find = self._why_invalid if is_conversions else _why_no_adjustment
        codes = [find(row) for row in rows]
        if not said.get("validateOnly"):  # else there are no results, and nothing is counted
            codes = [
                code or self._take(row, is_conversions=is_conversions) for code, row in zip(codes, rows, strict=True)
            ]
        errors = [
            {"errorCode": code, "location": {"fieldPathElements": [{"fieldName": name, "index": index}]}}
            for index, code in enumerate(codes)
            if code
        ]
        results = [
            {} if code or said.get("validateOnly") else {"conversionAction": row["conversionAction"]}
            for code, row in zip(codes, rows, strict=True)
        ]
        failure = {"partialFailureError": {"code": 3, "details": [{"errors": errors}]}} if errors else {}
        return Reply(200, {"results": results, **failure})

    def too_many(self) -> Reply:
        """Too many calls have a code of their own."""
        return _refused(429, "RESOURCE_EXHAUSTED", {"quotaError": "RESOURCE_EXHAUSTED"})

    def _take(self, row: Mapping[str, Any], *, is_conversions: bool) -> dict[str, str]:
        kind, name = (_CONVERSION, self._take_one(row)) if is_conversions else (_ADJUSTMENT, self._adjust_one(row))
        return {kind: name} if name else {}

    def _why_invalid(self, row: Mapping[str, Any]) -> dict[str, str]:
        clicks, identifiers = [row[name] for name in _CLICKS if row.get(name)], row.get("userIdentifiers") or []
        if not row.get("orderId") or not row.get("conversionAction") or not (clicks or identifiers):
            return _REQUIRED
        if wrong := _why_no_action_or_time(row, "conversionDateTime"):
            return wrong
        if row.get("gbraid") and row.get("wbraid"):
            return {_CONVERSION: "GBRAID_WBRAID_BOTH_SET"}
        if len(clicks) > 1:
            return {"fieldError": "VALUE_MUST_BE_UNSET"}
        if len(identifiers) > _MOST_IDENTIFIERS:
            return {"collectionSizeError": "TOO_MANY"}
        if not all(len(one) == 1 and any(is_hash(one.get(name)) for name in _IDENTIFIERS) for one in identifiers):
            return {_CONVERSION: "INVALID_USER_IDENTIFIER"}
        if row.get("conversionValue") is not None and not (
            number(row["conversionValue"]) is not None and row.get("currencyCode")
        ):
            return _REQUIRED
        age_seconds = self.unix_seconds() - datetime.fromisoformat(row["conversionDateTime"]).timestamp()
        return {_CONVERSION: "EXPIRED_EVENT"} if age_seconds > _MOST_DAYS * DAY_SECONDS else {}

    def _take_one(self, row: Mapping[str, Any]) -> str:
        if row["orderId"] in self.poison:
            return "UNPARSEABLE_GCLID"
        if row["orderId"] in self.counted:
            self.repeats += 1
            return "ORDER_ID_ALREADY_IN_USE"
        if row["orderId"] in self.too_recent:
            return "TOO_RECENT_EVENT"
        if row["orderId"] in self.foreign:
            return "INVALID_CUSTOMER_FOR_CLICK"
        self._conversions[row["orderId"]] = row
        self.count(row["orderId"], row, row.get("conversionValue"))
        return ""

    def _adjust_one(self, row: Mapping[str, Any]) -> str:
        order_id = row["orderId"]
        known = self._conversions.get(order_id)
        if known is None or known["conversionAction"] != row["conversionAction"]:
            return "CONVERSION_NOT_FOUND"
        adjusted, happened = map(datetime.fromisoformat, (row["adjustmentDateTime"], known["conversionDateTime"]))
        if adjusted <= happened:
            return "ADJUSTMENT_PRECEDES_CONVERSION"
        if self.unix_seconds() - happened.timestamp() > _MOST_ADJUSTED_DAYS * DAY_SECONDS:
            return "CONVERSION_EXPIRED"
        if order_id in self.retracted:
            return "CONVERSION_ALREADY_RETRACTED"
        is_retraction = row["adjustmentType"] == "RETRACTION"
        if (last := self._adjusted.get(order_id)) is not None and adjusted <= last:
            return "RESTATEMENT_ALREADY_EXISTS" if adjusted == last else "MORE_RECENT_RESTATEMENT_FOUND"
        self._adjusted[order_id] = adjusted
        if is_retraction:
            self.retracted.add(order_id)
        self.note(order_id, row, 0 if is_retraction else row["restatementValue"]["adjustedValue"])
        return ""


def _why_no_adjustment(row: Mapping[str, Any]) -> dict[str, str]:
    kind = row.get("adjustmentType")
    if not row.get("orderId") or not row.get("conversionAction") or kind not in ("RESTATEMENT", "RETRACTION"):
        return _REQUIRED
    if wrong := _why_no_action_or_time(row, "adjustmentDateTime"):
        return wrong
    value = row.get("restatementValue")
    if kind == "RETRACTION":
        return {"fieldError": "VALUE_MUST_BE_UNSET"} if value else {}
    return {} if value and number(value.get("adjustedValue")) is not None else _REQUIRED


def _why_no_action_or_time(row: Mapping[str, Any], name: str) -> dict[str, str]:
    if not _ACTION.fullmatch(str(row["conversionAction"])):
        return {"requestError": "RESOURCE_NAME_MALFORMED"}
    return {} if _TIME.fullmatch(str(row.get(name, ""))) else {"dateError": "INVALID_STRING_DATE_TIME"}


def _refused(status: int, name: str, code: Mapping[str, str]) -> Reply:
    return Reply(status, {"error": {"code": status, "status": name, "details": [{"errors": [{"errorCode": code}]}]}})
