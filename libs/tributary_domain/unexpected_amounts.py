"""Which amounts a workspace wants looked at before they count, and which were held against nothing.

The one rule: where a conversion has ranges, no amount passes unsaid: one of a currency without a range is told of, or
waits for a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tributary_domain.event_shape import EventLike
from tributary_domain.reasons import Reason, ReasonCode

_TAKE_OFF: Final = frozenset({1, 3, 4})
"""Refund, retraction, chargeback."""

_ADJUSTED: Final = "adjustment.amount.amount_micros"
_UNEXPECTED: Final = Reason(
    ReasonCode.AMOUNT_UNEXPECTED,
    "conversion.value.amount_micros",
    "The amount is outside the range the workspace expects for this conversion; it waits for a release.",
)
_OTHER_CURRENCY: Final = _UNEXPECTED._replace(
    message="The workspace expects no amount of this conversion in this currency; it waits for a release."
)
_UNCHECKED: Final = Reason(
    ReasonCode.AMOUNT_UNCHECKED,
    "conversion.value.currency_code",
    "The workspace has a range for this conversion, but none in this currency: the amount was held against nothing.",
)


class ExpectedAmounts(NamedTuple):
    """What a workspace expects of the amounts of its conversions."""

    ranges: Mapping[tuple[str, str], tuple[int, int]]
    """(conversion name, currency) -> smallest and largest expected amount in micros, both included."""
    other_currencies: Mapping[str, bool] = {}
    """Conversion names with ranges -> whether an amount in a currency without one is suspicious, or only told of."""

    def suspect(self, event: EventLike, kind: str | None, found: list[Reason]) -> None:
        """Adds a reason to quarantine an event for its amount."""
        if kind == "conversion" and event.conversion.HasField("value"):
            name, value = event.conversion.name, event.conversion.value
            limits = self.ranges.get((name, value.currency_code))
            if limits is None:
                if self.other_currencies.get(name):
                    found.append(_OTHER_CURRENCY)
            elif not limits[0] <= value.amount_micros <= limits[1]:
                found.append(_UNEXPECTED)
        elif kind == "adjustment" and event.adjustment.HasField("amount"):
            self._suspect_adjustment(event.adjustment, found)

    def warn(self, event: EventLike, kind: str | None, found: list[Reason]) -> None:
        """Adds a reason if an amount was held against nothing, though its conversion has ranges.

        An adjustment without a name may be of any that has some.
        """
        if kind == "conversion" and event.conversion.HasField("value"):
            name, currency = event.conversion.name, event.conversion.value.currency_code
            if self.other_currencies.get(name) is False and (name, currency) not in self.ranges:
                found.append(_UNCHECKED)
        elif kind == "adjustment" and event.adjustment.HasField("amount") and event.adjustment.reason not in _TAKE_OFF:
            name, currency = event.adjustment.conversion_name, event.adjustment.amount.currency_code
            is_told_of = self.other_currencies.get(name) is False if name else True
            if is_told_of and not self._largest(name, currency):
                found.append(_UNCHECKED._replace(field="adjustment.amount.currency_code"))

    def _suspect_adjustment(self, adjustment: Any, found: list[Reason]) -> None:
        """Adds a reason if an adjustment gives a value that no conversion of its name may have.

        One that takes off is none of it: what it leaves is never more. Without a name, the widest range decides.
        """
        if adjustment.reason in _TAKE_OFF:
            return
        name, currency = adjustment.conversion_name, adjustment.amount.currency_code
        largest = self._largest(name, currency)
        if largest and adjustment.amount.amount_micros > max(largest):
            found.append(_UNEXPECTED._replace(field=_ADJUSTED))
        elif not largest and self.other_currencies.get(name):
            found.append(_OTHER_CURRENCY._replace(field=_ADJUSTED))

    def _largest(self, name: str, currency: str) -> list[int]:
        """Returns the largest amounts that are expected in a currency, of one name or of any."""
        return [most for (of, unit), (_, most) in self.ranges.items() if unit == currency and (not name or of == name)]
