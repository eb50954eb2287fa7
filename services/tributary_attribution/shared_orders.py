"""Conversions of others that somebody who is erased observed too, on a device that they share: these stay.

The one rule: a conversion is its own person's. What the erased one said of it still counts, and names nobody any more:
in the state store first, then among the recorded events, so that stream and batch go on agreeing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.affected import Affected
from tributary_attribution.anonymous import anonymous_observation
from tributary_attribution.directory import Directory
from tributary_domain.erasures import Erasure
from tributary_domain.event_order import event_hash
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.codec.conversion_parts import pack_part
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.journey_layout import event_field


class SharedOrders:
    """Keeps them. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        conversions: Keeps what events say of conversions.
        records: Keeps the events.
        directory: Knows the workspaces.
    """

    def __init__(self, conversions: Conversions, records: ErasureRecords, directory: Directory) -> None:
        self._conversions = conversions
        self._records = records
        self._directory = directory

    async def of_others(self, erasure: Erasure, conversion_ids: Collection[str]) -> set[str]:
        """Returns those of some conversions that belong to somebody else."""
        if not conversion_ids:
            return set()
        workspace = self._directory.get(erasure.workspace)
        ones = {one.key: one for one in (Affected(workspace, name) for name in conversion_ids)}
        for key, stored in (await self._conversions.observe({key: {} for key in ones}, 0)).items():
            ones[key].take(stored)
        places = {one.conversion_id: one.place() for one in ones.values()}
        return {name for name, place in places.items() if place is not None and place[1] not in erasure.tokens}

    async def strip(self, erasure: Erasure) -> int:
        """Takes out of what the person said of others' conversions who it was; returns of how many events."""
        observed = await self._records.observed_of_others(erasure)
        said: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        kept: dict[tuple[int, str], bytes] = {}
        for one in observed:
            anonymous = anonymous_observation(AdmittedEvent.FromString(one.admitted))
            kept[one.event_micros, one.event_id] = anonymous.SerializeToString(deterministic=True)
            field = event_field(event_hash(one.event_id))
            said[conversion_key(erasure.workspace, one.conversion_id)][field] = pack_part(anonymous, one.accept_micros)
        if said:
            stored = await self._conversions.observe({key: {} for key in said}, 0)
            there = {
                key: {field: part for field, part in parts.items() if field in stored[key].parts}
                for key, parts in said.items()
            }
            await self._conversions.replace({}, {key: parts for key, parts in there.items() if parts})
            await self._records.strip_observations(erasure, kept)
        return len(kept)
