"""What is checked of a slice of spend before it replaces another.

The one rule: a slice is right as a whole or refused as a whole. Half a slice would look like a cheaper month.
"""

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from tributary_domain.amounts import MAX_AMOUNT_MICROS
from tributary_domain.import_checks import (
    check_currency,
    check_day,
    check_name,
    check_size,
    check_statement_time,
    check_text,
)
from tributary_domain.reasons import Reason, ReasonCode

MAX_ROWS: Final = 10_000
MAX_DAYS: Final = 400
MAX_COUNT: Final = 10**15
_MAX_REPORTED: Final = 50
_HIGHEST_LEVEL: Final = 4
_MEDIA, _FEE, _CREDIT, _COMMISSION = 1, 2, 3, 4
_ROW_IDS: Final = ("campaign_id", "adset_id", "ad_id")
_ROW_WORDS: Final = ("campaign_name", "source", "medium")
_NEEDED_BY_LEVEL: Final = {2: "campaign_id", 3: "adset_id", 4: "ad_id"}
"""Level -> what a row of media must name at it."""


def check_slice(spend: Any, now_micros: int, is_time_zone: Callable[[str], bool]) -> list[Reason]:
    """Returns every reason why a slice can never be right.

    Args:
        spend: An `ingestion.v1.SpendSlice`.
        now_micros: Our clock.
        is_time_zone: Tells whether a name is an IANA time zone.
    """
    found: list[Reason] = []
    check_name(spend.destination, "destination", 64, found, required=True)
    check_name(spend.account_id, "account_id", 128, found, required=True)
    first = check_day(spend, "start_date", found)
    last = check_day(spend, "end_date", found)
    if first is not None and last is not None and not 0 <= (last - first).days < MAX_DAYS:
        message = f"Not before start_date, and at most {MAX_DAYS} days in all."
        found.append(Reason(ReasonCode.FIELD_MALFORMED, "end_date", message))
    if not 1 <= spend.level <= _HIGHEST_LEVEL:
        found.append(Reason(ReasonCode.FIELD_MALFORMED, "level", "Say how fine the rows are."))
    reported_at = spend.reported_at_time if spend.HasField("reported_at_time") else None
    check_statement_time(reported_at, "reported_at_time", now_micros, found)
    if not is_time_zone(spend.account_time_zone):
        message = "An IANA time zone, such as Europe/Berlin: a spend day is the account's day."
        found.append(Reason(ReasonCode.FIELD_MALFORMED, "account_time_zone", message))
    check_currency(spend.currency_code, "currency_code", found)
    if len(spend.rows) > MAX_ROWS:
        message = f"More than {MAX_ROWS}; send fewer days per slice."
        found.append(Reason(ReasonCode.FIELD_TOO_LONG, "rows", message))
    for position, row in enumerate(spend.rows[:MAX_ROWS]):
        _check_row(row, f"rows[{position}].", spend.level, first, last, found)
    return found


def _check_row(row: Any, path: str, level: int, first: date | None, last: date | None, found: list[Reason]) -> None:
    day = check_day(row, "date", found, path)
    if day is not None and first is not None and last is not None and not first <= day <= last:
        found.append(Reason(ReasonCode.FIELD_MALFORMED, f"{path}date", "Outside the slice."))
    for name in _ROW_IDS:
        check_name(getattr(row, name), f"{path}{name}", 256, found)
    for name in _ROW_WORDS:
        check_text(getattr(row, name), f"{path}{name}", 256, found)
    if not _MEDIA <= row.kind <= _COMMISSION:
        found.append(Reason(ReasonCode.FIELD_MALFORMED, f"{path}kind", "Say what kind of cost it is."))
    needed = _NEEDED_BY_LEVEL.get(level)
    if row.kind == _MEDIA and needed is not None and not getattr(row, needed):
        message = "The slice's level says that each row of media names one."
        found.append(Reason(ReasonCode.FIELD_MISSING, f"{path}{needed}", message))
    check_size(row.cost_micros, f"{path}cost_micros", MAX_AMOUNT_MICROS, found)
    if row.kind in (_FEE, _COMMISSION) and row.cost_micros < 0:
        found.append(Reason(ReasonCode.AMOUNT_NEGATIVE, f"{path}cost_micros", "What is given back is a CREDIT."))
    if row.kind == _CREDIT and row.cost_micros > 0:
        found.append(Reason(ReasonCode.FIELD_MALFORMED, f"{path}cost_micros", "A credit is negative, or zero."))
    for name in ("impressions", "clicks"):
        if not 0 <= getattr(row, name) <= MAX_COUNT:
            found.append(Reason(ReasonCode.FIELD_MALFORMED, f"{path}{name}", f"0 to {MAX_COUNT}."))
    if len(row.reported_conversions) > _MAX_REPORTED:
        message = f"More than {_MAX_REPORTED}."
        found.append(Reason(ReasonCode.FIELD_TOO_LONG, f"{path}reported_conversions", message))
    for position, reported in enumerate(row.reported_conversions[:_MAX_REPORTED]):
        inner = f"{path}reported_conversions[{position}]."
        check_text(reported.name, f"{inner}name", 128, found, required=True)
        check_text(reported.basis, f"{inner}basis", 64, found, required=True)
        check_size(reported.count_micros, f"{inner}count_micros", MAX_AMOUNT_MICROS, found)
        check_size(reported.value_micros, f"{inner}value_micros", MAX_AMOUNT_MICROS, found)
