"""Changes of orders in ClickHouse of which somebody is erased, as far as others of the order are changed by them.

The one rule: rows name nobody, and go with the last who is of the order. Every method may run twice, and raises
`StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement


class OrderChange(NamedTuple):
    """An adjustment of an order, as it is kept with what stands in for one of its conversions."""

    conversion_id: str
    """Of the stand-in."""
    event_id: str
    is_share: bool
    """Whether it is the part of a cycle."""
    is_named: bool
    """Likewise: whether it names the cycle, too, so that none of it is another's."""
    time_micros: int
    event_hash: int
    kind: str
    identity: str
    has_amount: bool
    amount_micros: int
    currency: str
    tax_micros: int
    """-1: not sent; likewise the next two."""
    shipping_micros: int
    cost_of_goods_micros: int
    accept_micros: int
    admitted: bytes
    """A serialised `AdmittedEvent`."""


class KeptChange(NamedTuple):
    """What of one is read back."""

    conversion_id: str
    event_id: str
    accept_micros: int
    admitted: bytes


_COLUMNS: Final = (
    *("workspace", "version", "conversion_id", "event_id", "is_share", "is_named", "time", "hash", "kind", "identity"),
    *("has_amount", "amount_micros", "currency", "tax_micros", "shipping_micros", "cost_of_goods_micros"),
    *("accept_time", "admitted"),
)


class OrderChangeRecords:
    """Reads, writes and deletes `order_changes`."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Uses this client."""
        self._clickhouse = clickhouse

    async def write(self, workspace: str, changes: Iterable[OrderChange], now_micros: int) -> None:
        """Stores changes."""
        rows = [(workspace, now_micros, *one) for one in changes]
        if rows:
            table = metrics.Table.ORDER_CHANGES
            columns = [list(column) for column in zip(*rows, strict=True)]
            metrics.WRITTEN_ROWS.add(await self._clickhouse.insert(table.value, _COLUMNS, columns), table=table)

    async def of(self, workspace: str, stand_ins: Collection[str]) -> list[KeptChange]:
        """Returns the changes that are kept with stand-ins, by their ids; of each in event order."""
        if not stand_ins:
            return []
        asked = {"workspace": workspace, "conversion_ids": list(stand_ins)}
        rows = await self._clickhouse.execute(statement("erasure/order_changes"), asked, raw_strings=True)
        return [KeptChange(one.decode(), event.decode(), int(accept), content) for one, event, accept, content in rows]

    async def delete(self, workspace: str, stand_ins: Collection[str]) -> None:
        """Deletes the changes that are kept with stand-ins."""
        asked = {"workspace": workspace, "conversion_ids": list(stand_ins)}
        await self._clickhouse.execute(statement("erasure/delete_order_changes"), asked)
