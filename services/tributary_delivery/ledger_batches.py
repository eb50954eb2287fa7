"""The ledger for many lanes at once: what they write at the same time becomes one insert.

ClickHouse wants few large inserts, lanes want to settle soon. So one insert is made at a time; whatever comes meanwhile
is written by the next.
"""

from __future__ import annotations

import asyncio
from typing import Final

from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary_delivery.ledger import Ledger
from tributary_runtime.errors import StorageUnavailableError, TributaryError, UnavailableError

_GATHER_SECONDS: Final = 0.05
"""How long an insert waits for company."""

Lines = list[tuple[str, Delivery]]


class LedgerBatches:
    """A `Ledger` that gathers.

    Args:
        ledger: What is written to.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: list[tuple[Lines, asyncio.Future[None]]] = []
        self._writing = asyncio.Lock()

    async def write(self, deliveries: Lines) -> None:
        """Returns when all are stored; with them whatever others wrote at the same time. May run twice.

        Raises:
            StorageUnavailableError: Write the same again.
            TributaryError: These lines are refused; other callers' are not affected.
        """
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((deliveries, mine))
        async with self._writing:
            if not mine.done():  # whoever held the lock before may have written it
                await asyncio.sleep(_GATHER_SECONDS)
                batch, self._waiting = self._waiting, []
                await self._write_all(batch)
        await mine

    async def _write_all(self, batch: list[tuple[Lines, asyncio.Future[None]]]) -> None:
        try:
            await self._ledger.write([line for lines, _ in batch for line in lines])
        except UnavailableError as outage:
            for _, written in batch:
                _end(written, outage)
        except TributaryError:  # somebody's line is refused: whose, shows when each is written alone
            for lines, written in batch:
                _end(written, await self._write_one(lines))
        except asyncio.CancelledError:
            for _, written in batch:
                _end(written, StorageUnavailableError("The ledger was being closed; write the same again."))
            raise
        else:
            for _, written in batch:
                _end(written, None)

    async def _write_one(self, lines: Lines) -> TributaryError | None:
        try:
            await self._ledger.write(lines)
        except TributaryError as error:
            return error
        return None


def _end(written: asyncio.Future[None], error: TributaryError | None) -> None:
    if written.done():  # its caller has left
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)
