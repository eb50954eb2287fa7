"""What is imported, as rows: slices of spend, states of deals, exchange rates.

The one rule: a row says what was stated, and nothing that we made of it.
"""

from __future__ import annotations

from datetime import date, timedelta
from hashlib import blake2b
from typing import Any, Final

from tributary.ingestion.v1.deal_pb2 import Deal, DealStatus
from tributary.ingestion.v1.exchange_rate_pb2 import ExchangeRate
from tributary.ingestion.v1.spend_pb2 import SpendKind, SpendLevel, SpendRow, SpendSlice
from tributary_domain.import_checks import day_of
from tributary_storage.clickhouse.names import micros, names_of

Row = tuple[Any, ...]

SPEND_COLUMNS: Final = (
    *("workspace", "date", "destination", "account_id", "level"),
    *("slice_start_date", "slice_end_date", "slice_version", "line", "account_time_zone", "currency"),
    *("campaign_id", "campaign_name", "adset_id", "ad_id", "kind", "cost_micros", "impressions", "clicks"),
    *("reported_names", "reported_count_micros", "reported_value_micros", "reported_bases", "source", "medium"),
    "content_digest",
)
SLICE_COLUMNS: Final = (
    *("workspace", "date", "destination", "account_id", "slice_version", "level"),
    *("slice_start_date", "slice_end_date", "lines", "content_digest"),
)
DEAL_STATE_COLUMNS: Final = (
    *("stage", "status", "currency", "amount_micros", "order_id", "lead_id", "contact_id", "account_id"),
    *("contact_token", "created_by", "close_date", "conversion_name", "store"),
)
DEAL_COLUMNS: Final = ("workspace", "system", "deal_id", "modify_time", *DEAL_STATE_COLUMNS)
RATE_COLUMNS: Final = (
    *("workspace", "date", "base_currency", "quote_currency", "publish_time", "rate_picos", "source"),
)

_LEVELS: Final = names_of(SpendLevel.DESCRIPTOR)
_KINDS: Final = names_of(SpendKind.DESCRIPTOR)
_STATUSES: Final = names_of(DealStatus.DESCRIPTOR)


def days_of(spend: SpendSlice) -> list[date]:
    """Returns the days of a slice, in order."""
    first, last = day_of(spend.start_date), day_of(spend.end_date)
    return [first + timedelta(days) for days in range((last - first).days + 1)]


def in_order(spend: SpendSlice) -> SpendSlice:
    """Returns a slice with its rows, and what is reported of each, in the one order in which they are stored.

    They have none of their own, and an export tells them now in this order and now in that.
    """
    ordered = SpendSlice()
    ordered.CopyFrom(spend)
    for row in ordered.rows:
        row.reported_conversions.sort(key=lambda one: (one.name, one.basis, one.count_micros, one.value_micros))
    ordered.rows.sort(key=lambda row: _spend_row("", ordered, 0, row))
    return ordered


def slice_digest(spend: SpendSlice) -> bytes:
    """Returns 16 bytes of all that a slice says, in the order in which it says it."""
    said = blake2b(digest_size=16, person=b"trb spend slice1")
    for line, row in enumerate(spend.rows):
        said.update(repr(_spend_row("", spend, line, row)).encode() + b"\n")
    said.update(repr((spend.currency_code, spend.account_time_zone, spend.level, *map(str, days_of(spend)))).encode())
    return said.digest()


def spend_rows(workspace: str, spend: SpendSlice) -> list[Row]:
    """Returns the lines of a slice, in the order of `SPEND_COLUMNS`."""
    digest = slice_digest(spend)
    return [(*_spend_row(workspace, spend, line, row), digest) for line, row in enumerate(spend.rows)]


def _spend_row(workspace: str, spend: SpendSlice, line: int, row: SpendRow) -> Row:
    reported = row.reported_conversions
    return (
        *(workspace, day_of(row.date), spend.destination, spend.account_id, _LEVELS[spend.level]),
        *(day_of(spend.start_date), day_of(spend.end_date), micros(spend.reported_at_time), line),
        *(spend.account_time_zone, spend.currency_code),
        *(row.campaign_id, row.campaign_name, row.adset_id, row.ad_id, _KINDS[row.kind]),
        *(row.cost_micros, row.impressions, row.clicks),
        [one.name for one in reported],
        [one.count_micros for one in reported],
        [one.value_micros for one in reported],
        [one.basis for one in reported],
        *(row.source, row.medium),
    )


def slice_rows(workspace: str, spend: SpendSlice) -> list[Row]:
    """Returns a row per day of a slice, lines or none, in the order of `SLICE_COLUMNS`."""
    days, digest = days_of(spend), slice_digest(spend)
    lines = dict.fromkeys(days, 0)
    for row in spend.rows:
        lines[day_of(row.date)] += 1
    return [
        (
            *(workspace, day, spend.destination, spend.account_id, micros(spend.reported_at_time)),
            *(_LEVELS[spend.level], days[0], days[-1], lines[day], digest),
        )
        for day in days
    ]


def deal_state(deal: Deal, contact_token: str, created_by: str) -> Row:
    """Returns what a deal says, in the order of `DEAL_STATE_COLUMNS`.

    Args:
        deal: As sent.
        contact_token: Identity token of the contact's e-mail address; empty: none was sent.
        created_by: Who made it, without personal data.
    """
    has_amount = deal.HasField("amount")
    return (
        *(deal.stage, _STATUSES[deal.status], deal.amount.currency_code),
        deal.amount.amount_micros if has_amount else None,
        *(deal.order_id, deal.lead_id, deal.contact_id, deal.account_id, contact_token, created_by),
        day_of(deal.close_date) if deal.HasField("close_date") else None,
        deal.conversion_name,
        deal.store,
    )


def rate_key(rate: ExchangeRate) -> tuple[date, str, str]:
    """Returns what a rate is of: day, base and quote currency."""
    return day_of(rate.date), rate.base_currency_code, rate.quote_currency_code
