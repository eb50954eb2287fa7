"""Google Ads' older uploads: rows fail alone, corrections name the order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from tributary_cli.demo.fakes.fake import DAY_SECONDS, Ask, Fake, Reply

_MOST_ADJUSTED_DAYS: Final = 54


class FakeGoogleAds(Fake):
    """One customer: an order id is one conversion; of what adjusts it the latest by its own time holds."""

    name = "google_ads"

    def __init__(self, token: str, unix_seconds: Callable[[], float] | None = None) -> None:
        super().__init__(token, unix_seconds)
        self.too_recent: set[str] = set()
        """Order ids whose click it does not know yet."""
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
        if row["orderId"] in self.too_recent:
            return "TOO_RECENT_EVENT"
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
