"""What an erasure does not reach by itself: what waits for a decision before it, and what stays, for it is another's.

The one rule: it only asks. Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Collection

from tributary_domain.erasures import Erasure
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.pending_values import OTHER_REASONS
from tributary_storage.clickhouse.severed_rows import values_of
from tributary_storage.clickhouse.statements import statement
from tributary_storage.redis.click_ids import LIFE_SECONDS as CLICK_LIFE_SECONDS


class ErasureBounds:
    """Asks for it.

    Args:
        clickhouse: Through which; statements may take minutes.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def waiting_orders(self, erasure: Erasure) -> set[str]:
        """Returns the orders of a person that wait in quarantine for their amount alone, as they would be called."""
        asked = {**values_of(erasure), "other_reasons": OTHER_REASONS}
        return {row[0] for row in await self._clickhouse.execute(statement("erasure/waiting_orders"), asked)}

    async def unlinked_identifiers(self, erasure: Erasure) -> int:
        """Returns how many identifiers a person's own events name that are not linked with the person."""
        [(identifiers,)] = await self._clickhouse.execute(statement("erasure/unlinked_identifiers"), values_of(erasure))
        return int(identifiers)

    async def clicks_of_others(self, erasure: Erasure, clicks: Collection[int]) -> set[int]:
        """Returns those of some click ids, by number, that recorded events carry which are none of a person's.

        What somebody else who is erased carried is stripped by now, or they come to it later: who is last finds none.
        """
        asked = {**values_of(erasure), "clicks": list(clicks), "life_seconds": CLICK_LIFE_SECONDS}
        rows = await self._clickhouse.execute(statement("erasure/clicks_of_others"), asked)
        return {int(row[0]) for row in rows}
