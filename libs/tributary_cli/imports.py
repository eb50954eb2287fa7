"""`tributary import`: spend, deals and exchange rates from CSV files."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from tributary_cli.csv_cells import Line, read_lines
from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.rpc import connection_options, open_channel

if TYPE_CHECKING:
    from tributary_cli.import_lines import Problem, Statement


@click.group("import")
def import_() -> None:
    """Import spend, deals or exchange rates from a CSV file.

    The first line names the columns. Importing a file again is safe: what is known is "duplicate". The exit status is 1
    unless every line was taken; what became of those before is said also where the import ends early.
    """


def _options(command: Any) -> Any:
    """Adds what all imports have."""
    for option in (
        connection_options("ingestion"),
        click.option(
            "--patience", default=60.0, show_default=True, type=click.FloatRange(0.1), help="Seconds a call is retried."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option("--validate-only", is_flag=True, help="Say what is wrong; store nothing."),
        click.argument("file", type=click.File("rb")),
    ):
        command = option(command)
    return command


_DAY = click.DateTime(["%Y-%m-%d"])


@import_.command()
@click.option("--destination", help="For lines that do not say it: google, meta.")
@click.option("--account", "account_id", help="For lines that do not say it: the advertiser's account there.")
@click.option("--level", help="For lines that do not say it: account, campaign, adset or ad. [default: campaign]")
@click.option("--time-zone", "account_time_zone", help="For lines that do not say it: the account's, Europe/Berlin.")
@click.option("--currency", help="For lines that do not say it: EUR.")
@click.option("--reported-at", help="When the destination reported it. [default: when the file was last changed]")
@click.option("--start", type=_DAY, help="First day that the file is about. [default: the first with a line]")
@click.option("--end", type=_DAY, help="Last day that the file is about. [default: the last with a line]")
@_options
def spend(file: BinaryIO, start: datetime | None, end: datetime | None, **options: Any) -> None:
    """What destinations report as spent.

    Per destination and account the lines, all of one level, replace all that was known of their days, campaigns that
    are not in the file included. Columns: date, cost; destination, account_id, account_time_zone, currency (or the
    options); level, reported_at, campaign_id, campaign_name, adset_id, ad_id, kind (media, fee, credit, commission),
    impressions, clicks, source, medium.
    """
    from tributary.ingestion.v1.ingestion_service_pb2 import ImportSpendRequest
    from tributary_cli.import_lines import SPEND_COLUMNS, SPEND_REQUIRED, slices_of

    given = _given(options, ("destination", "account_id", "level", "account_time_zone", "currency", "reported_at"))
    given.setdefault("reported_at", _changed(file))
    lines = read_lines(_text(file), SPEND_COLUMNS, given, SPEND_REQUIRED)
    first, last = _day(start), _day(end)
    read = partial(slices_of, first_day=first, last_day=last)
    _run(lines, read, "slices", "ImportSpend", lambda some: ImportSpendRequest(slices=some), options)


@import_.command()
@click.option("--system", help="For lines that do not say it: the CRM, hubspot.")
@_options
def deals(file: BinaryIO, **options: Any) -> None:
    """What a CRM says became of leads and orders.

    Columns: system (or the option), deal_id, stage, status (open, won, lost), created_by, modify_time; amount,
    currency, order_id, lead_id, contact_id, account_id, contact_email (hashed before it leaves this machine) or
    contact_email_sha256, close_date, conversion_name, store (whose order ids they are).
    """
    from tributary.ingestion.v1.ingestion_service_pb2 import ImportDealsRequest
    from tributary_cli.import_lines import DEAL_COLUMNS, DEAL_REQUIRED, deals_of

    lines = read_lines(_text(file), DEAL_COLUMNS, _given(options, ("system",)), DEAL_REQUIRED)
    _run(lines, deals_of, "deals", "ImportDeals", lambda some: ImportDealsRequest(deals=some), options)


@import_.command()
@click.option("--source", help="For lines that do not say it: who states the rates, ecb.")
@click.option("--publish-time", help="When they were stated. [default: when the file was last changed]")
@_options
def rates(file: BinaryIO, **options: Any) -> None:
    """Exchange rates of civil days.

    Columns: date, base_currency, quote_currency, rate (units of quote per unit of base), source (or the option);
    publish_time.
    """
    from tributary.ingestion.v1.ingestion_service_pb2 import ImportExchangeRatesRequest
    from tributary_cli.import_lines import RATE_COLUMNS, RATE_REQUIRED, rates_of

    given = _given(options, ("source", "publish_time"))
    given.setdefault("publish_time", _changed(file))
    lines = read_lines(_text(file), RATE_COLUMNS, given, RATE_REQUIRED)
    _run(lines, rates_of, "rates", "ImportExchangeRates", lambda some: ImportExchangeRatesRequest(rates=some), options)


def _given(options: dict[str, Any], columns: Sequence[str]) -> dict[str, str]:
    return {column: value for column in columns if (value := options.pop(column))}


def _changed(file: BinaryIO) -> str:
    """Returns when a file was last changed: so that the same file says the same again. Now for a pipe."""
    from tributary_runtime.clock import SystemClock

    about = os.fstat(file.fileno())
    micros = about.st_mtime_ns // 1_000 if stat.S_ISREG(about.st_mode) else SystemClock().unix_micros()
    return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)).isoformat()


def _day(moment: datetime | None) -> tuple[int, int, int] | None:
    return None if moment is None else (moment.year, moment.month, moment.day)


def _text(file: BinaryIO) -> io.TextIOWrapper:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    click.get_current_context().call_on_close(text.close)
    return text


def _run(
    lines: Iterable[Line],
    read: Callable[[Iterable[Line]], Iterable[Statement | Problem]],
    noun: str,
    method: str,
    request: Callable[[list[Any]], Any],
    options: dict[str, Any],
) -> None:
    """Sends what is read from lines, says what became of it, and exits with 1 unless all of it was taken."""
    from tributary_cli.importing import Importer  # heavy: only who imports pays

    address = resolve_target(options["target"], "ingestion", options["data"])
    api_key = resolve_api_key(options["api_key"], options["data"])
    importer = Importer(
        method, request, noun, validate_only=options["validate_only"], patience_seconds=options["patience"]
    )
    try:
        with open_channel(address, tls=options["tls"]) as channel:
            importer.run(read(importer.counted(lines)), channel, api_key, hide=options["as_json"])
    finally:  # where it ends early, too, be it by Ctrl-C: what is stored stays stored
        importer.present(as_json=options["as_json"])
    if importer.problems:
        click.get_current_context().exit(1)
