"""The newest revision of conversions: from where they are published, or from ClickHouse once that has forgotten.

The one rule: nobody is told what ClickHouse may lack. A revision that is still marked as unpublished is no answer yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_delivery.ledger import Memory
from tributary_storage.redis.conversions import Conversions, conversion_key


@dataclass(frozen=True, slots=True)
class Newest:
    """Conversions as they are now; those that nobody knows are in neither."""

    revisions: dict[str, ConversionRevised] = field(default_factory=dict)
    """The newest by conversion id."""
    unstored: set[str] = field(default_factory=set)
    """Conversion ids whose newest revision is not in ClickHouse yet: ask again in a moment."""


class NewestRevisions:
    """Reads conversions as they are now.

    Args:
        conversions: Where attribution publishes.
        memory: Where old ones are found.
    """

    def __init__(self, conversions: Conversions, memory: Memory) -> None:
        self._conversions = conversions
        self._memory = memory

    async def read(self, workspace: str, conversion_ids: Sequence[str]) -> Newest:
        """Returns the newest revisions of conversions.

        Raises:
            StorageUnavailableError: Redis or ClickHouse did not answer.
        """
        wanted = {conversion_key(workspace, one): one for one in conversion_ids}
        found = await self._conversions.observe({key: {} for key in wanted}, life_seconds=0)
        newest, forgotten = Newest(), list[str]()
        for key, conversion_id in wanted.items():
            stored = found[key]
            if stored.revision in stored.pending:
                newest.unstored.add(conversion_id)
            elif stored.published:
                newest.revisions[conversion_id] = ConversionRevised.FromString(stored.published)
            else:
                forgotten.append(conversion_id)
        if forgotten:
            newest.revisions.update(await self._memory.newest(workspace, forgotten))
        return newest

    async def published(self, workspace: str, conversion_ids: Sequence[str]) -> dict[str, ConversionRevised]:
        """Returns conversions as they are published, whether ClickHouse has that yet or not: to ask whose they are.

        Raises:
            StorageUnavailableError: Redis or ClickHouse did not answer.
        """
        wanted = {one: conversion_key(workspace, one) for one in conversion_ids}
        found = await self._conversions.observe({key: {} for key in wanted.values()}, life_seconds=0)
        published = {
            one: ConversionRevised.FromString(found[key].published)
            for one, key in wanted.items()
            if found[key].published
        }
        forgotten = [one for one in wanted if one not in published]
        return published | (dict(await self._memory.newest(workspace, forgotten)) if forgotten else {})
