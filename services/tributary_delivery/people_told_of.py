"""Of whom else something is said when a destination is told of a conversion: they are asked as its own person is.

The one rule: whose match keys or click leave has a say in it. An order that counts with its cycle is recognised by what
was known of it without, and corrected as what was sent of that first; either may be somebody else's, whom nobody has
linked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_delivery.attempt import Attempt
from tributary_delivery.ledger import Memory
from tributary_delivery.newest import NewestRevisions


class PeopleToldOf:
    """Finds the conversions of others from which something is said with one's own.

    Args:
        newest: Where conversions are read as they are now.
        memory: What was published.
    """

    def __init__(self, newest: NewestRevisions, memory: Memory) -> None:
        self._newest = newest
        self._memory = memory

    async def others(self, workspace: str, attempts: Sequence[Attempt]) -> Mapping[str, Sequence[ConversionRevised]]:
        """Returns by conversion id the revisions of others that it takes something from.

        Args:
            workspace: Whose.
            attempts: What is to be told, with what each correction names.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        plain = {
            one.job.conversion_id: one.revised.state.merged_from.conversion_id
            for one in attempts
            if one.revised.state.HasField("merged_from")
        }
        first = {
            one.job.conversion_id: (one.pinned.conversion_id, one.pinned.revision)
            for one in attempts
            if one.pinned is not None and one.job.conversion_id in plain
        }
        now = await self._newest.published(workspace, sorted(set(plain.values()))) if plain else {}
        sent = await self._memory.revisions_of(workspace, sorted(set(first.values()))) if first else {}
        found: dict[str, list[ConversionRevised]] = {}
        for name, before in plain.items():
            others = (now.get(before), sent.get(first.get(name, ("", 0))))
            found[name] = [other for other in others if other is not None]
        return found
