"""Lanes that write at the same time share one insert, and nobody another's fault."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary_delivery.ledger_batches import LedgerBatches
from tributary_runtime.errors import StorageUnavailableError, TributaryError


@dataclass
class Insert:
    """A table that refuses some lines."""

    inserts: list[list[str]] = field(default_factory=list)
    refused: str = ""
    is_out: bool = False

    async def write(self, deliveries: list[tuple[str, Delivery]]) -> None:
        if self.is_out:
            raise StorageUnavailableError("out")
        workspaces = [workspace for workspace, _ in deliveries]
        if self.refused in workspaces:
            raise TributaryError("refused")
        self.inserts.append(workspaces)


async def test_what_comes_at_once_is_one_insert() -> None:
    table = Insert()
    ledger = LedgerBatches(table)
    await asyncio.gather(*[ledger.write([(str(number), Delivery())]) for number in range(5)])
    assert table.inserts == [["0", "1", "2", "3", "4"]]


async def test_what_comes_later_is_another() -> None:
    table = Insert()
    ledger = LedgerBatches(table)
    await ledger.write([("a", Delivery())])
    await ledger.write([("b", Delivery())])
    assert table.inserts == [["a"], ["b"]]


async def test_a_refused_line_fails_its_writer_only() -> None:
    table = Insert(refused="bad")
    ledger = LedgerBatches(table)
    told = await asyncio.gather(
        *[ledger.write([(one, Delivery())]) for one in ("a", "bad", "b")], return_exceptions=True
    )
    assert [type(one) for one in told] == [type(None), TributaryError, type(None)]
    assert table.inserts == [["a"], ["b"]]


async def test_an_outage_is_told_to_everybody_and_passes() -> None:
    table = Insert(is_out=True)
    ledger = LedgerBatches(table)
    told = await asyncio.gather(*[ledger.write([(one, Delivery())]) for one in "ab"], return_exceptions=True)
    assert [type(one) for one in told] == [StorageUnavailableError] * 2
    table.is_out = False
    await ledger.write([("a", Delivery())])
    assert table.inserts == [["a"]]


async def test_a_writer_that_leaves_takes_nobody_with_it() -> None:
    table = Insert()
    ledger = LedgerBatches(table)
    leaving = asyncio.create_task(ledger.write([("a", Delivery())]))
    await asyncio.sleep(0)
    staying = asyncio.create_task(ledger.write([("b", Delivery())]))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await staying
    assert table.inserts == [["a", "b"]]
