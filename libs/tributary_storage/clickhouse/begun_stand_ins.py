"""Stand-ins of conversions that are still there: a first run of their erasure has stored them, and has not severed yet.

The one rule: whoever brings back families that were lost reads either a conversion or what stands in for it, never
both. So what was begun is taken back before that, and the erasure makes it anew, under the same ids.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tributary_domain.erasures import Erasure, ErasureState
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement


class BegunStandIns:
    """Finds them. Every method may run twice, and raises `StorageUnavailableError` if ClickHouse does not answer.

    Args:
        clickhouse: Through which.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def of(self, erasure: Erasure) -> list[str]:
        """Returns the ids of what may stand in for an erasure's conversions that are there.

        Of a later run none: what the first one severed is frozen, whoever tells the same order again.
        """
        if erasure.state is not ErasureState.REQUESTED or not erasure.conversion_ids:
            return []
        first, second = erasure.secret
        values: dict[str, Any] = {"workspace": erasure.workspace, "first": first, "second": second}
        values |= {"conversions": list(erasure.conversion_ids), "touches": ["-"]}
        [(copies, _)] = await self._clickhouse.execute(statement("erasure/random_ids"), values)
        found = await self._clickhouse.execute(statement("erasure/begun_stand_ins"), {**values, "copies": copies})
        return [row[0] for row in found]

    async def take_back(self, workspace: str, stand_ins: Collection[str]) -> None:
        """Deletes stand-ins."""
        if stand_ins:
            asked = {"workspace": workspace, "copies": list(stand_ins)}
            await self._clickhouse.execute(statement("erasure/take_back_stand_ins"), asked)
