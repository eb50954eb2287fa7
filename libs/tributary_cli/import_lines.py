"""Lines of CSV files -> what is imported: slices of spend, states of deals, exchange rates.

The one rule: what is sent is whole. A line of spend that cannot be read keeps its whole slice back: half a slice would
look like a cheaper month.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tributary.ingestion.v1.deal_pb2 import Deal, DealStatus
from tributary.ingestion.v1.exchange_rate_pb2 import ExchangeRate
from tributary.ingestion.v1.spend_pb2 import SpendKind, SpendLevel, SpendRow, SpendSlice
from tributary_cli.csv_cells import MICROS, PICOS, CellError, Line
from tributary_domain.normalization import normalize_email

SPEND_REQUIRED = frozenset({"date", "cost", "destination", "account_id", "account_time_zone", "currency"})
SPEND_COLUMNS = SPEND_REQUIRED | {
    *("level", "reported_at", "campaign_id", "campaign_name", "adset_id", "ad_id"),
    *("kind", "impressions", "clicks", "source", "medium"),
}
DEAL_REQUIRED = frozenset({"system", "deal_id", "stage", "status", "created_by", "modify_time"})
DEAL_COLUMNS = DEAL_REQUIRED | {
    *("amount", "currency", "order_id", "lead_id", "contact_id", "account_id"),
    *("contact_email", "contact_email_sha256", "close_date", "conversion_name", "store"),
}
RATE_REQUIRED = frozenset({"date", "base_currency", "quote_currency", "rate", "source"})
RATE_COLUMNS = RATE_REQUIRED | {"publish_time"}

ROWS_PER_SLICE = 10_000

Day = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line."""

    line: int
    """In the file, from 1; 0: no one line is to blame."""
    column: str
    message: str


@dataclass(slots=True)
class Statement:
    """One thing to import."""

    message: Any
    """A `SpendSlice`, `Deal` or `ExchangeRate`."""
    lines: list[int]
    """Line of the file per row of a slice; else the one line."""


_HEAD_COLUMNS = ("level", "account_time_zone", "currency")
"""What all lines of a slice say alike."""


@dataclass(slots=True)
class _Slice:
    """A slice as it grows."""

    first: Line
    heads: dict[tuple[str, ...], tuple[Line, list[int]]] = field(default_factory=dict)
    """What lines say of the whole slice: the first that says so, and the numbers of all."""
    rows: dict[Day, list[tuple[int, SpendRow]]] = field(default_factory=dict)
    is_broken: bool = False


def deals_of(lines: Iterable[Line]) -> Iterator[Statement | Problem]:
    """Yields a deal per line, or what is wrong with it."""
    return (_try(line, _deal) for line in lines)


def rates_of(lines: Iterable[Line]) -> Iterator[Statement | Problem]:
    """Yields a rate per line, or what is wrong with it."""
    return (_try(line, _rate) for line in lines)


def slices_of(lines: Iterable[Line], first_day: Day | None, last_day: Day | None) -> Iterator[Statement | Problem]:
    """Yields the slices that the lines of a file make, and what is wrong with lines.

    Args:
        lines: In any order. Each account and time of report is a slice, of one level, time zone and currency.
        first_day: Of every slice; None: the first that has a line.
        last_day: As `first_day`.
    """
    slices: dict[tuple[str, str, int | str], _Slice] = {}
    for line in lines:
        one = slices.setdefault((line.text("destination"), line.text("account_id"), _reported(line)), _Slice(line))
        try:
            row = _spend_row(line)
        except CellError as error:
            one.is_broken = True
            yield Problem(line.number, error.column, error.message)
        else:
            one.heads.setdefault(_head(line), (line, []))[1].append(line.number)
            one.rows.setdefault((row.date.year, row.date.month, row.date.day), []).append((line.number, row))
    for one in slices.values():
        yield from _strangers(one)
        if one.is_broken:
            about = f"{one.first.text('destination')} {one.first.text('account_id')}"
            yield Problem(0, "", f"the slice of {about} was kept back: a line of it cannot be read")
            continue
        crowded = next((rows[0][0] for rows in one.rows.values() if len(rows) > ROWS_PER_SLICE), None)
        if crowded is not None:
            message = f"is a day of more than {ROWS_PER_SLICE:,} lines of this account; import a coarser level"
            yield Problem(crowded, "date", message)
            continue
        try:
            yield from _cut(one, first_day, last_day)
        except CellError as error:
            yield Problem(one.first.number, error.column, error.message)


def _reported(line: Line) -> int | str:
    """Returns what tells times of report apart: two spellings of one are one slice."""
    try:
        return line.time("reported_at").ToNanoseconds()
    except CellError:
        return line.text("reported_at")


def _strangers(one: _Slice) -> Iterator[Problem]:
    """Yields the lines that say another thing of the slice than most do, and leaves what most say as its first.

    Lines that differ would make two slices of one account and time, which contradict each other. The first line may be
    the wrong one.
    """
    if not one.heads:
        return
    usual = max(one.heads, key=lambda head: len(one.heads[head][1]))  # of several the first
    one.first, _ = one.heads[usual]
    for head, (_, numbers) in one.heads.items():
        if head == usual:
            continue
        one.is_broken = True
        column = next(name for name, said, most in zip(_HEAD_COLUMNS, head, usual, strict=True) if said != most)
        message = f"differs from line {one.first.number}, which is of the same account and report"
        yield from (Problem(number, column, message) for number in numbers)


def _head(line: Line) -> tuple[str, ...]:
    level, *others = (line.text(column) for column in _HEAD_COLUMNS)
    return (level.upper() or "CAMPAIGN", *others)


def _cut(one: _Slice, first_day: Day | None, last_day: Day | None) -> Iterator[Statement]:
    """Yields a slice, cut between days where it has too many rows for one."""
    days = sorted(one.rows)
    start, end = first_day or days[0], last_day or days[-1]
    parts: list[list[Day]] = [[]]
    held = 0
    for day in days:
        if parts[-1] and held + len(one.rows[day]) > ROWS_PER_SLICE:
            parts.append([])
            held = 0
        parts[-1].append(day)
        held += len(one.rows[day])
    for position, part in enumerate(parts):
        spend = _slice(one.first)
        _set_day(spend.start_date, start if position == 0 else part[0])
        _set_day(spend.end_date, end if part is parts[-1] else part[-1])
        placed = [row for day in part for row in one.rows[day]]
        spend.rows.extend(row for _, row in placed)
        yield Statement(spend, [number for number, _ in placed])


def _set_day(target: Any, day: Day) -> None:
    target.year, target.month, target.day = day


def _slice(line: Line) -> SpendSlice:
    levels = _words(SpendLevel, "SPEND_LEVEL_") | {"": SpendLevel.Value("SPEND_LEVEL_CAMPAIGN")}
    return SpendSlice(
        destination=line.text("destination"),
        account_id=line.text("account_id"),
        level=line.choice("level", levels),
        reported_at_time=line.time("reported_at"),
        account_time_zone=line.text("account_time_zone"),
        currency_code=line.text("currency"),
    )


def _spend_row(line: Line) -> SpendRow:
    _check_width(line)
    if not line.text("cost"):
        raise CellError("cost", "is empty; write 0 where nothing was spent")
    kinds = _words(SpendKind, "SPEND_KIND_") | {"": SpendKind.Value("SPEND_KIND_MEDIA")}
    return SpendRow(
        date=line.day("date"),
        campaign_id=line.text("campaign_id"),
        campaign_name=line.text("campaign_name"),
        adset_id=line.text("adset_id"),
        ad_id=line.text("ad_id"),
        kind=line.choice("kind", kinds),
        cost_micros=_fits(line.scaled("cost", MICROS), "cost"),
        impressions=_fits(line.whole("impressions"), "impressions"),
        clicks=_fits(line.whole("clicks"), "clicks"),
        source=line.text("source"),
        medium=line.text("medium"),
    )


def _deal(line: Line) -> Deal:
    deal = Deal(
        system=line.text("system"),
        deal_id=line.text("deal_id"),
        stage=line.text("stage"),
        status=line.choice("status", _words(DealStatus, "DEAL_STATUS_")),
        order_id=line.text("order_id"),
        lead_id=line.text("lead_id"),
        contact_id=line.text("contact_id"),
        account_id=line.text("account_id"),
        contact_email_sha256=line.text("contact_email_sha256"),
        created_by=line.text("created_by"),
        modify_time=line.time("modify_time"),
        conversion_name=line.text("conversion_name"),
        store=line.text("store"),
    )
    if line.text("contact_email"):  # leaves this machine hashed only
        email = normalize_email(line.text("contact_email"))
        if email is None:
            raise CellError("contact_email", "is no e-mail address; leave it empty where there is none")
        deal.contact_email_sha256 = hashlib.sha256(email.encode()).hexdigest()
    if line.text("amount"):
        deal.amount.currency_code = line.text("currency")
        deal.amount.amount_micros = _fits(line.scaled("amount", MICROS), "amount")
    if line.text("close_date"):
        deal.close_date.CopyFrom(line.day("close_date"))
    return deal


def _rate(line: Line) -> ExchangeRate:
    return ExchangeRate(
        date=line.day("date"),
        base_currency_code=line.text("base_currency"),
        quote_currency_code=line.text("quote_currency"),
        rate_picos=_fits(line.scaled("rate", PICOS), "rate"),
        source=line.text("source"),
        publish_time=line.time("publish_time"),
    )


def _try(line: Line, read: Any) -> Statement | Problem:
    try:
        _check_width(line)
        return Statement(read(line), [line.number])
    except CellError as error:
        return Problem(line.number, error.column, error.message)


def _check_width(line: Line) -> None:
    if line.text(""):
        raise CellError("", "has more cells than the header has columns")


def _fits(number: int, column: str) -> int:
    if not -(2**63) <= number < 2**63:
        raise CellError(column, "is too large")
    return number


def _words(enum: Any, prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in enum.items() if number}
