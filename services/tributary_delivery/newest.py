"""The newest revision of conversions: from where they are published, or from ClickHouse once that has forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_delivery.ledger import Memory
from tributary_storage.redis.conversions import Conversions, conversion_key


class NewestRevisions:
    """Reads conversions as they are now.

    Args:
        conversions: Where attribution publishes.
        memory: Where old ones are found.
    """

    def __init__(self, conversions: Conversions, memory: Memory) -> None:
        self._conversions = conversions
        self._memory = memory

    async def read(self, workspace: str, conversion_ids: Sequence[str]) -> dict[str, ConversionRevised]:
        """Returns the newest revision by conversion id; those that nobody knows are left out.

        Raises:
            StorageUnavailableError: Redis or ClickHouse did not answer.
        """
        wanted = {conversion_key(workspace, one): one for one in conversion_ids}
        records = await self._conversions.observe({key: {} for key in wanted}, life_seconds=0)
        newest: dict[str, ConversionRevised] = {}
        for key, conversion_id in wanted.items():
            published = records[key].published
            if published:
                newest[conversion_id] = ConversionRevised.FromString(published)
            elif revisions := await self._memory.revisions(workspace, conversion_id):
                newest[conversion_id] = revisions[-1]
        return newest
