"""Stores what is imported: slices of spend, states of deals, exchange rates.

The one rule: read before written. What is known already is not written again, because the time at which a row was
written says since when it is known. Two callers that import the same at once both write it, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from tributary.ingestion.v1.exchange_rate_pb2 import ExchangeRate
from tributary.ingestion.v1.spend_pb2 import SpendSlice
from tributary_domain.ids import person_id
from tributary_runtime import metrics
from tributary_storage.clickhouse import import_rows
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.names import micros
from tributary_storage.clickhouse.statements import statement

_NAMING: Final = ("system", "deal_id", "store", "order_id", "lead_id", "contact_token")
"""By what deals name conversions and people."""

Subject = tuple[Any, ...]
"""What statements are of: (destination, account, day), (system, deal), (day, base, quote)."""


class Known(NamedTuple):
    """What is known of one subject."""

    newest_micros: int
    """When its newest statement was made; 0: there is none."""
    contents: dict[int, Hashable]
    """What was stated at the times asked for."""
    is_erased: bool = False
    """Whether it is a deal whose person was erased."""


class Imports:
    """Asks and writes ClickHouse. Every method raises `StorageUnavailableError` if it does not answer.

    Args:
        clickhouse: Where they are kept.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def known_spend(self, workspace: str, slices: Sequence[SpendSlice]) -> dict[Subject, Known]:
        """Returns what is known of the days of some slices; a content is the digest of a slice."""
        days = [day for spend in slices for day in import_rows.days_of(spend)]
        parameters = {
            "workspace": workspace,
            "accounts": tuple({(spend.destination, spend.account_id) for spend in slices}),
            "versions": tuple({micros(spend.reported_at_time) for spend in slices}),
            "first": min(days),
            "last": max(days),
        }
        rows = await self._clickhouse.execute(statement("known_spend_slices"), parameters)
        return {
            tuple(subject): Known(newest, {version: bytes.fromhex(digest) for version, digest in known})
            for *subject, newest, known in rows
        }

    async def known_deals(
        self, workspace: str, deals: Iterable[tuple[str, str]], times: Iterable[int]
    ) -> dict[Subject, Known]:
        """Returns what is known of some deals at some times; a content is a row of `DEAL_STATE_COLUMNS`."""
        parameters = {"workspace": workspace, "deals": tuple(set(deals)), "times": tuple(set(times))}
        rows = await self._clickhouse.execute(statement("known_deals"), parameters)
        return {tuple(subject): Known(newest, dict(known), bool(erased)) for *subject, newest, known, erased in rows}

    async def erased_until(self, workspace: str, tokens: Iterable[str]) -> dict[str, int]:
        """Returns, of identity tokens of people who were erased, until when what happened is gone."""
        named = {person_id(workspace, token): token for token in tokens}
        if not named:
            return {}
        asked = {"workspace": workspace, "keys": list(named)}
        rows = await self._clickhouse.execute(statement("erased_until"), asked)
        return {named[key]: int(until) for key, until in rows}

    async def of_erased(
        self, workspace: str, deals: Iterable[import_rows.Row], key: tuple[int, int]
    ) -> set[tuple[str, str]]:
        """Returns those of some deals, by system and id, that name conversions of people who were erased.

        Args:
            workspace: Whose.
            deals: Rows of `DEAL_COLUMNS`, of deals of which nothing is known yet.
            key: As of `severed_orders.deal_key`.
        """
        rows = [dict(zip(import_rows.DEAL_COLUMNS, row, strict=True)) for row in deals]
        naming = [row for row in rows if row["order_id"] or row["lead_id"]]
        if not naming:
            return set()
        asked = {"workspace": workspace, "first": key[0], "second": key[1]}
        for name in ("deals_with_erased_number", "deals_of_erased"):  # the second reads conversions, and only of these
            deals = [tuple(row[one] for one in _NAMING) for row in rows]
            found = await self._clickhouse.execute(statement(name), {**asked, "deals": deals})
            suspects = {(str(system), str(deal_id)) for system, deal_id in found}
            if not suspects:
                break
            rows = [row for row in rows if (row["system"], row["deal_id"]) in suspects]
        return suspects

    async def known_rates(self, workspace: str, rates: Sequence[ExchangeRate]) -> dict[Subject, Known]:
        """Returns what is known of some rates; a content is (rate, source)."""
        parameters = {
            "workspace": workspace,
            "rates": tuple({import_rows.rate_key(rate) for rate in rates}),
            "times": tuple({micros(rate.publish_time) for rate in rates}),
        }
        return _read(await self._clickhouse.execute(statement("known_exchange_rates"), parameters))

    async def write_spend(self, workspace: str, slices: Sequence[SpendSlice]) -> None:
        """Stores slices: first their lines, which nobody reads before their days say so."""
        lines = [row for spend in slices for row in import_rows.spend_rows(workspace, spend)]
        days = [row for spend in slices for row in import_rows.slice_rows(workspace, spend)]
        await self._insert(metrics.Table.SPEND, import_rows.SPEND_COLUMNS, lines)
        await self._insert(metrics.Table.SPEND_SLICES, import_rows.SLICE_COLUMNS, days)

    async def write_deals(self, rows: Sequence[import_rows.Row]) -> None:
        """Stores states of deals, each a row of `DEAL_COLUMNS`."""
        await self._insert(metrics.Table.DEALS, import_rows.DEAL_COLUMNS, rows)

    async def write_rates(self, workspace: str, rates: Sequence[ExchangeRate]) -> None:
        """Stores exchange rates."""
        rows = [
            (workspace, *import_rows.rate_key(rate), micros(rate.publish_time), rate.rate_picos, rate.source)
            for rate in rates
        ]
        await self._insert(metrics.Table.EXCHANGE_RATES, import_rows.RATE_COLUMNS, rows)

    async def _insert(self, table: metrics.Table, columns: Sequence[str], rows: Sequence[import_rows.Row]) -> None:
        if rows:
            written = await self._clickhouse.insert(table.value, columns, list(zip(*rows, strict=True)))
            metrics.WRITTEN_ROWS.add(written, table=table)


def _read(rows: Iterable[Sequence[Any]]) -> dict[Subject, Known]:
    return {tuple(subject): Known(newest, dict(known)) for *subject, newest, known in rows}
