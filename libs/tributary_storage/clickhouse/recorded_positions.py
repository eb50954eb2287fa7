"""How far the event log was recorded, for the guard that refuses an older copy of it."""

from __future__ import annotations

from importlib.resources import files

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.redis.keys import Lane

_STATEMENT = files("tributary_storage.clickhouse").joinpath("queries/recorded_positions.sql").read_text()


class RecordedPositions:
    """The highest place recorded of each stream.

    Args:
        clickhouse: Where `log_positions` is.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def last_positions(self) -> dict[tuple[int, Lane], tuple[int, int]]:
        """Returns (milliseconds, sequence) by shard and lane; streams of which nothing was recorded are missing.

        Raises:
            StorageUnavailableError: ClickHouse does not answer.
        """
        rows = await self._clickhouse.execute(_STATEMENT)
        return {(int(shard), lane): divmod(int(position), 2**64) for shard, lane, position in rows}
