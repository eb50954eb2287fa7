"""What others share with somebody who is erased: a device, an address, an order that both observed. It stays theirs.

The one rule: an event is that of its most telling identifier, a conversion its own person's. What the erased one said
of others' conversions still counts, and names nobody any more; what others did names the erased one's identifiers no
more. In the state store first, then among the recorded events, so that stream and batch go on agreeing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.affected import Affected
from tributary_attribution.anonymous import anonymous_observation
from tributary_attribution.directory import Directory
from tributary_attribution.erased_identifiers import admitted_without
from tributary_domain.erasures import Erasure
from tributary_domain.event_order import event_hash
from tributary_storage.clickhouse.erasures import ErasureRecords, ToBeStripped
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

    async def whose_are_others(self, erasure: Erasure, conversion_ids: Collection[str]) -> set[str]:
        """Returns the same, also of what the state store has forgotten."""
        if not conversion_ids:
            return set()
        of_these = replace(erasure, conversion_ids=tuple(sorted(conversion_ids)))
        return await self.of_others(erasure, conversion_ids) | await self._records.of_others(of_these)

    async def told_of_others(self, erasure: Erasure, events: Sequence[AdmittedEvent]) -> list[bool]:
        """Tells of events whether what each says of a conversion, or changes of it, is about somebody else's."""
        named: list[set[str]] = []
        for one in events:
            change = one.event.adjustment
            names = {one.conversion_id, change.conversion_id}
            if change.event_id:
                names.add(await self._records.order_of_event(erasure.workspace, change.event_id))
            named.append(names.difference(("", *erasure.conversion_ids)))
        theirs = await self.whose_are_others(erasure, set().union(*named))
        return [not names.isdisjoint(theirs) for names in named]

    async def strip(self, erasure: Erasure) -> int:
        """Takes out of what the person said of others' conversions who it was; returns of how many events.

        So also out of a refund that they told: it is the order's.
        """
        told = [*await self._records.observed_of_others(erasure), *await self._adjusted(erasure)]
        kept = await self._keep(erasure, told, anonymous_observation)
        if kept:
            await self._records.strip_observations(erasure, kept)
        return len(kept)

    async def _adjusted(self, erasure: Erasure) -> list[ToBeStripped]:
        """Returns what the person told that changes others' conversions, by whatever it names them."""
        told = await self._records.adjusted(erasure)
        theirs = await self.whose_are_others(
            erasure, {one.conversion_id for one in told}.difference(erasure.conversion_ids)
        )
        of_others = {one.event_id for one in told if one.conversion_id in theirs}
        return [one for one in told if one.event_id in of_others]

    async def strip_identifiers(self, erasure: Erasure) -> int:
        """Takes the person's identifiers out of what others did; returns of how many events."""
        gone = frozenset(erasure.tokens)
        named = await self._records.naming(erasure)
        kept = await self._keep(erasure, named, partial(admitted_without, gone=gone))
        if kept:
            await self._records.strip_identifiers(erasure, kept)
        return len(kept)

    async def _keep(
        self,
        erasure: Erasure,
        events: Sequence[ToBeStripped],
        stripped: Callable[[AdmittedEvent], AdmittedEvent],
    ) -> dict[tuple[int, str], bytes]:
        """Keeps of events what is left of each in the conversions that they observe; returns it by time and id."""
        said: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        kept: dict[tuple[int, str], bytes] = {}
        for one in events:
            left = stripped(AdmittedEvent.FromString(one.admitted))
            kept[one.event_micros, one.event_id] = left.SerializeToString(deterministic=True)
            if one.conversion_id:
                field = event_field(event_hash(one.event_id))
                said[conversion_key(erasure.workspace, one.conversion_id)][field] = pack_part(left, one.accept_micros)
        if said:
            stored = await self._conversions.observe({key: {} for key in said}, 0)
            there = {
                key: {field: part for field, part in parts.items() if field in stored[key].parts}
                for key, parts in said.items()
            }
            await self._conversions.replace({}, {key: parts for key, parts in there.items() if parts})
        return kept
