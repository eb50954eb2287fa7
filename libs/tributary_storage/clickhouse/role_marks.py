"""How far the Redis roles *state* and *jobs* were, as ClickHouse knows: for the guards that refuse an older copy.

Every method raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement


class PublishedMarks:
    """The highest revision published of each shard of conversions, of those with new ones.

    Of what is left of conversions whose people were erased nobody can tell the shard; it is told of `any`.

    Args:
        clickhouse: Where `conversion_revisions` is.
        shards: Of the epoch.
    """

    def __init__(self, clickhouse: ClickHouse, shards: int) -> None:
        self._clickhouse = clickhouse
        self._shards = shards

    async def marks(self) -> dict[str, int]:
        """Returns them by the shard's number as text, as `Conversions.marks` does."""
        rows = await self._clickhouse.execute(statement("published_marks"), {"shards": self._shards})
        return {shard: int(highest) for shard, highest in rows}


class TriedMarks:
    """The highest revision that was tried at each destination.

    Args:
        clickhouse: Where `deliveries` is.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def marks(self) -> dict[str, int]:
        """Returns them by `<workspace>/<destination>`, as `DeliveryJobs.marks` does."""
        rows = await self._clickhouse.execute(statement("tried_marks"))
        return {f"{workspace}/{destination}": int(highest) for workspace, destination, highest in rows}
