"""What others share with somebody who is erased: a device, an address, an order that both observed. It stays theirs.

The one rule: an event is that of its most telling identifier, a conversion its own person's. What the erased one said
of others' conversions still counts, and names nobody any more; what others did names the erased one's identifiers no
more. In the state store first, then among the recorded events, so that stream and batch go on agreeing.

A refund is its order's, whoever told it. Of an order that nobody told yet it waits for that without who told it: the
order may turn out to be anybody's. Of the erased one's own order it goes with that, by whatever it names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.affected import Affected
from tributary_attribution.anonymous import anonymous_entry, anonymous_observation
from tributary_attribution.credit_settings import conversion_life_seconds
from tributary_attribution.directory import Directory
from tributary_attribution.erased_identifiers import admitted_without
from tributary_attribution.erasure_plans import is_again
from tributary_attribution.orders_of_erased import order_named_by, orders_of, own_names
from tributary_attribution.severed_orders import are_severed
from tributary_domain.erasures import Erasure
from tributary_domain.event_order import event_hash
from tributary_domain.ids import family_id
from tributary_domain.ties import most_telling
from tributary_storage.clickhouse.erasures import ErasureRecords, ToBeStripped
from tributary_storage.codec.conversion_parts import ConversionPart, pack_part, unpack_parts
from tributary_storage.redis.conversions import Conversions, StoredConversion, conversion_key
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

    async def noted(self, erasure: Erasure) -> Erasure:
        """Returns the same with what changes are kept with that name the person, and by what else own orders are named.

        To be kept before anything is stripped: nothing else says where changes wait at the state store.
        """
        names = await self._own_names(erasure)
        rows = await self._records.adjusted(erasure)
        adjusted = {one.conversion_id for one in rows}  # as recorded; as told, it may name an order by an event
        adjusted.update(name for one in rows if (name := AdmittedEvent.FromString(one.admitted).conversion_id))
        return replace(
            erasure,
            own_names=tuple(sorted(names.union(erasure.own_names))),
            adjusted=tuple(sorted(adjusted.union(erasure.adjusted).difference(erasure.conversion_ids))),
        )

    async def _own_names(self, erasure: Erasure) -> set[str]:
        observed = await self._records.orders(erasure)
        names = {one.conversion_id for one in observed}.union(erasure.conversion_ids)
        theirs = await self.whose_are_others(erasure, names.difference(erasure.conversion_ids))
        told = [AdmittedEvent.FromString(one.admitted) for one in observed if one.conversion_id not in theirs]
        numbers = {order_id for _, _, order_id in orders_of(told)}
        of_others = await self._records.orders_of_others(erasure.workspace, names - theirs, numbers)
        return own_names(erasure.workspace, told, of_others).difference(erasure.conversion_ids)

    async def stay(self, erasure: Erasure, events: Sequence[AdmittedEvent]) -> list[bool]:
        """Tells of events whether what each says of a conversion, or changes of it, stays without who said it."""
        told: list[tuple[AdmittedEvent, set[str]]] = []
        for one in events:
            change = one.event.adjustment
            names = {one.conversion_id, change.conversion_id}
            if change.event_id:
                names.add(await self._records.order_of_event(erasure.workspace, change.event_id))
            told.append((one, names - {""}))
        return await self._stay(erasure, told)

    async def _stay(self, erasure: Erasure, told: Sequence[tuple[AdmittedEvent, set[str]]]) -> list[bool]:
        """Tells the same, by all conversions that each may be about."""
        names = set[str]().union(*(own for _, own in told)).difference(erasure.conversion_ids)
        theirs = await self.whose_are_others(erasure, names)
        stay = [not own.isdisjoint(theirs) for _, own in told]
        if all(stay) or is_again(erasure):  # what comes back nobody credits: there it waits for nothing
            return stay
        workspace, mine = self._directory.get(erasure.workspace), {*erasure.conversion_ids, *erasure.own_names}
        severed = await self._records.severed_orders(workspace.id)
        for at, (one, own) in enumerate(told):
            if own and not stay[at] and one.event.HasField("adjustment"):
                order = order_named_by(one)
                is_mine = not mine.isdisjoint((*own, family_id(order)))
                stay[at] = not is_mine and not are_severed(workspace, {*own, order}, severed)
        return stay

    async def strip(self, erasure: Erasure) -> int:
        """Takes out of what the person said of others' conversions who it was; returns of how many events.

        So also out of a refund that they told: it is the order's, also of one that nobody told yet.
        """
        told = [*await self._records.observed_of_others(erasure), *await self._adjusted(erasure)]
        kept = await self._keep(erasure, told, anonymous_observation)
        if kept:
            await self._records.strip_observations(erasure, kept)
        return len(kept)

    async def entries_of_others(self, erasure: Erasure) -> dict[tuple[int, str], bytes]:
        """Returns what is left of what others observed of the person's orders, by event time and id.

        That they were there is theirs: their sessions and paths go on as they were, of an order nothing is said.
        """
        gone = frozenset(erasure.tokens)
        told = await self._records.observed_by_others(erasure)
        left = [anonymous_entry(AdmittedEvent.FromString(one.admitted), gone, one.conversion_id) for one in told]
        return {
            (one.event_micros, one.event_id): entry.SerializeToString(deterministic=True)
            for one, entry in zip(told, left, strict=True)
        }

    async def _adjusted(self, erasure: Erasure) -> list[ToBeStripped]:
        """Returns what the person told that changes conversions and stays, by whatever it names them.

        What has no identifiers any more, a run took them out of that stopped before it was no longer found by them.
        """
        named: dict[str, set[str]] = defaultdict(set)
        events: dict[str, AdmittedEvent] = {}
        adjusted = await self._records.adjusted(erasure)
        for one in adjusted:
            named[one.event_id].add(one.conversion_id)
            events[one.event_id] = AdmittedEvent.FromString(one.admitted)
        told = {
            name: one
            for name, one in events.items()
            if one.identity_tokens and most_telling(one.identity_tokens) in erasure.tokens
        }
        stay = await self._stay(erasure, [(one, named[name]) for name, one in told.items()])
        staying = {name for name, stays in zip(told, stay, strict=True) if stays}
        return [one for one in adjusted if one.event_id in staying]

    async def left(self, erasure: Erasure) -> dict[str, int]:
        """Returns how many changes of conversions name the person at the state store."""
        return {"live_changes": sum(map(len, (await self._waiting(erasure)).values()))}

    async def forget(self, erasure: Erasure) -> int:
        """Takes the person out of the changes of conversions at the state store; returns out of how many.

        Those of their own orders go. Only once these have gone: until then they say what these were worth.
        """
        parts = [(key, part) for key, own in (await self._waiting(erasure)).items() for part in own]
        if not parts:
            return 0
        taken: dict[str, list[bytes]] = defaultdict(list)
        put: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        stay = await self.stay(erasure, [part.admitted for _, part in parts])
        for (key, part), stays in zip(parts, stay, strict=True):
            field = event_field(part.event_hash)
            if most_telling(part.admitted.identity_tokens) not in erasure.tokens:
                left = admitted_without(part.admitted, erasure.tokens)
            elif stays:
                left = anonymous_observation(part.admitted)
            else:
                taken[key].append(field)
                continue
            put[key][field] = pack_part(left, part.accept_time_micros)
        await self._conversions.replace(taken, put)
        return len(parts)

    async def _waiting(self, erasure: Erasure) -> dict[str, list[ConversionPart]]:
        """Returns the changes that name the person, by what they are kept under."""
        if not erasure.adjusted:
            return {}
        gone = frozenset(erasure.tokens)
        keys = [conversion_key(erasure.workspace, name) for name in erasure.adjusted]
        stored = await self._conversions.observe({key: {} for key in keys}, 0)
        found = {key: unpack_parts(one.parts.values()) for key, one in stored.items()}
        return {
            key: [
                part
                for part in parts
                if not part.is_observation
                and part.event_time_micros <= erasure.until_micros
                and not gone.isdisjoint(part.admitted.identity_tokens)
            ]
            for key, parts in found.items()
        }

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
        changes: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        nobodys: dict[str, set[bytes]] = defaultdict(set)
        kept: dict[tuple[int, str], bytes] = {}
        for one in events:
            left = stripped(AdmittedEvent.FromString(one.admitted))
            kept[one.event_micros, one.event_id] = left.SerializeToString(deterministic=True)
            if one.conversion_id:
                key, field = conversion_key(erasure.workspace, one.conversion_id), event_field(event_hash(one.event_id))
                said[key][field] = pack_part(left, one.accept_micros)
                if left.event.HasField("adjustment"):
                    changes[key][field] = said[key][field]
                elif not left.identity_tokens:
                    nobodys[key].add(field)
        if said:
            # A change that came too late for whoever credits counts all the same: whoever looks for it finds it here.
            # So does what was observed, beside what others did; where that is forgotten, all of it is recalled.
            life_seconds = conversion_life_seconds([self._directory.get(erasure.workspace)])
            stored = await self._conversions.observe({key: changes.get(key, {}) for key in said}, life_seconds)
            observed = {key for key, one in stored.items() if _is_observed(one)}
            there = {
                key: {
                    field: part
                    for field, part in parts.items()
                    if field in stored[key].parts or (key in observed and field in nobodys[key])
                }
                for key, parts in said.items()
            }
            await self._conversions.replace({}, {key: parts for key, parts in there.items() if parts})
        return kept


def _is_observed(stored: StoredConversion) -> bool:
    return any(part.is_observation for part in unpack_parts(stored.parts.values()))
