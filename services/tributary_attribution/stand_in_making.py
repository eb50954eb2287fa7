"""What stands in for the conversions of somebody who is erased, made before they are severed.

The one rule: it is stored in ClickHouse, with what changed its order (`order_changes`), while no family has it yet:
whoever brings families back that the state store lost reads either a conversion or what stands in for it, never both.
Where conversions go altogether, nothing stands in for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.affected import Affected, Kin
from tributary_attribution.anonymous import anonymous_events, anonymous_revision, rename_others
from tributary_attribution.assessment import assess
from tributary_attribution.credit_settings import journey_life_seconds
from tributary_attribution.directory import Directory
from tributary_attribution.kinship import names_as_lead, names_of
from tributary_attribution.memberships import kept_of, members_of
from tributary_attribution.order_changes import OrderChanges
from tributary_attribution.publishing import Publisher
from tributary_attribution.seen import Seen, seen_of
from tributary_attribution.severed_orders import counts_on, is_only_told_again, severed_orders
from tributary_attribution.views import Views
from tributary_domain.erasures import Erasure
from tributary_domain.event_order import event_hash
from tributary_domain.families import Member, Membership, may_be_lead
from tributary_domain.ids import family_id
from tributary_domain.stand_ins import is_stand_in, place_of, to_the_minute
from tributary_runtime.clock import Clock
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.stand_ins import StandIn, StandInRecords
from tributary_storage.codec.conversion_parts import pack_part
from tributary_storage.redis.conversions import Conversions, StoredConversion, conversion_key
from tributary_storage.redis.journey_layout import event_field


class StandInMaking:
    """Makes them. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        conversions: Keeps parts and families.
        publisher: Reads and credits conversions.
        records: ClickHouse's part of it.
        changes: Keep what changed orders.
        directory: Knows the workspaces.
        clock: Tells when.
    """

    def __init__(
        self,
        conversions: Conversions,
        publisher: Publisher,
        records: StandInRecords,
        changes: OrderChanges,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self._conversions = conversions
        self._publisher = publisher
        self._records = records
        self._changes = changes
        self._directory = directory
        self._clock = clock

    async def lead_families(self, erasure: Erasure) -> tuple[str, ...]:
        """Returns the ids of what the leads of an erasure's conversions are known by."""
        mine = [Affected(self._directory.get(erasure.workspace), one) for one in erasure.conversion_ids]
        await self._publisher.read(mine, may_lack_sources=True)
        return _lead_families(erasure, mine)

    async def prepare(self, erasure: Erasure, late: Collection[str] = ()) -> Erasure:
        """Stores what is to stand in for the conversions of an erasure; returns the same with what follows from it.

        Args:
            erasure: Whose.
            late: Those that began anew after they were severed: what stands in for them is frozen, and stays.
        """
        workspace = self._directory.get(erasure.workspace)
        mine = [Affected(workspace, one) for one in erasure.conversion_ids]
        views = await self._publisher.read(mine, may_lack_sources=True)
        orders = severed_orders(erasure, workspace, mine)
        erasure = replace(erasure, families=_lead_families(erasure, mine), severed_orders=orders)
        related = [(one, seen) for one in mine if names_of(one) and (seen := seen_of(one)) is not None]
        if not related and not any(one.kin.order.living for one in mine):
            return erasure
        touches = {touch.event_id for one, _ in related for touch in _published(one).state.touches}
        ids, hashes = await self._records.random_ids(erasure, erasure.conversion_ids, sorted(touches))
        erasure = await self._changes.store(erasure, mine, ids, self._clock.unix_micros())
        if not related:
            return erasure
        relatives = {name for one, _ in related for name in one.kin.relatives}.difference(erasure.conversion_ids)
        own = {ids[one.conversion_id] for one, _ in related}  # of a run that stopped, or of what began anew since
        others = await self._places(workspace, relatives - own)
        placed = _places_of(erasure)
        standing = {ids[one.conversion_id] for one, _ in related if one.conversion_id in placed}.intersection(relatives)
        made = await self._records.contents(workspace.id, standing)
        forgotten: set[tuple[str, str]] = set()
        members: set[Member] = set()
        stand_ins: list[StandIn] = []
        for one, seen in sorted(related, key=lambda pair: pair[1].order_key):
            for member in _members(workspace, one):
                for key, fields in kept_of(member, workspace.id).items():
                    forgotten.update((key, field.hex()) for field in fields)
                renamed = _renamed(member, ids)
                is_told_again = is_only_told_again(one, member)
                if not (is_told_again or (erasure.removes and is_stand_in(renamed.conversion_id))):
                    members.add(renamed)
                if is_told_again or (member.role is Membership.PLAIN and counts_on(one, erasure)):
                    members.add(_renamed(member, {}))  # the cycles say so, too: it may be adjusted, or told again
            if erasure.removes:
                continue
            related_keys = {name: place for name, place in others.items() if name in one.kin.relatives}
            before = [name for name, place in related_keys.items() if place < seen.order_key]
            times = [placed[name][1] if name in placed else others[name][0] for name in before]
            place = place_of(seen.event_time_micros, times)
            revision = 0 if one.stored is None else one.stored.revision
            stays = one.is_severed or one.conversion_id in late
            if ids[one.conversion_id] in one.kin.relatives and one.conversion_id in placed:
                place = placed[one.conversion_id][1]  # it stands there already: a run got so far and no further
                # The conversion may be in no family any more, so that nothing tells what it counts for.
                stays = stays or _is_of(made.get(ids[one.conversion_id]), revision, place)
            placed[one.conversion_id], others[one.conversion_id] = (revision, place), seen.order_key
            is_told = seen.is_observed and bool(one.kin.order.told_otherwise)  # taken back, too
            if revision and (seen.is_good or is_told) and not stays:
                stand_ins.append(await self._content(one, seen, ids, place, hashes, views))
        await self._records.prepare(workspace.id, stand_ins, self._clock.unix_micros())
        return replace(
            erasure,
            memberships=tuple(sorted({*erasure.memberships, *forgotten})),
            members=tuple(sorted({*erasure.members, *((one, int(role), names) for one, role, names in members)})),
            places=tuple((name, *place) for name, place in sorted(placed.items())),
            relatives=tuple(sorted({*erasure.relatives, *await self._whole(workspace, relatives, erasure)})),
        )

    async def _whole(self, workspace: Workspace, relatives: set[str], erasure: Erasure) -> set[str]:
        """Returns relatives with those of theirs, and so on: credit may be handed on from family to family."""
        found, pending = set(relatives), sorted(relatives)
        while pending:
            some = [Affected(workspace, name) for name in pending]
            await self._publisher.read(some, may_lack_sources=True)
            further = {name for one in some for name in one.kin.relatives}
            pending = sorted(further.difference(found, erasure.conversion_ids))
            found.update(pending)
        return found

    async def _places(self, workspace: Workspace, names: set[str]) -> dict[str, tuple[int, int]]:
        """Returns the places of conversions in event order, of those that anybody observed."""
        if not names:
            return {}
        others = {conversion_key(workspace.id, name): Affected(workspace, name) for name in sorted(names)}
        for key, stored in (await self._conversions.observe({key: {} for key in others}, 0)).items():
            others[key].take(stored)
        found = {one.conversion_id: seen_of(one) for one in others.values()}
        return {name: seen.order_key for name, seen in found.items() if seen is not None}

    async def _content(
        self, one: Affected, seen: Seen, ids: dict[str, str], place: int, hashes: dict[str, int], views: Views
    ) -> StandIn:
        """Returns what stands in for a conversion."""
        name = ids[one.conversion_id]
        life_seconds = journey_life_seconds([one.workspace])
        assessed = assess(replace(one.known(), standing=None), views, life_seconds)
        if assessed is None or one.stored is None:
            raise RuntimeError("what was published was observed")
        facts = assessed.facts
        observed = next(part for part in one.parts if part.is_observation)
        families = sorted(map(family_id, names_of(one) | names_as_lead(one)))
        events = anonymous_events(name, families, place, seen, facts, observed.admitted)
        accept = to_the_minute(observed.accept_time_micros)
        revised = anonymous_revision(one.stored.published, name, place, seen, hashes)
        content = tuple(event.SerializeToString(deterministic=True) for event in events)
        order = replace(one.kin.order, adjustments=(), observations=())
        latest = one.kin.superseded_by
        kin = Kin(is_lead=one.kin.is_lead, standing=one.kin.standing, superseded_by=latest, order=order)
        stand_in = Affected(one.workspace, name, kin=kin)
        stand_in.take(
            StoredConversion(
                key=stand_in.key,
                parts=parts_of(events, accept),
                revision=revised.revision,
                journey_version=0,
                published=revised.SerializeToString(deterministic=True),
                pending={},
                redis_time_micros=one.stored.redis_time_micros,
            )
        )
        _, computed = await self._publisher.computed(stand_in, views)
        if computed is not None:  # in the words in which it would be published, so that nothing is published for words
            computed.revision, computed.previous_revision = revised.revision, revised.previous_revision
            rename_others(computed.state, ids)
            revised = ConversionRevised(
                workspace=computed.workspace,
                revision=revised.revision,
                previous_revision=revised.previous_revision,
                state=computed.state,
            )
        return StandIn(
            conversion_id=name,
            name=observed.event.conversion.name,
            store=observed.event.conversion.store,
            currency=facts.currency_code,
            amount_micros=facts.amount_micros or 0,
            original_micros=facts.original_amount_micros or 0,
            stage=seen.stage,
            kind=seen.kind,
            time_micros=place,
            event_hash=event_hash(name),
            accept_micros=accept,
            admitted=content,
            revised=revised.SerializeToString(deterministic=True),
            source_rank=events[0].source_rank,
            is_retracted=facts.is_retracted,
        )


def _is_of(made: StandIn | None, revision: int, place: int) -> bool:
    """Tells whether what stands in for a conversion was made of a revision, and stands at a place."""
    if made is None or made.time_micros != place:
        return False
    return ConversionRevised.FromString(made.revised).revision == revision


def _lead_families(erasure: Erasure, conversions: Iterable[Affected]) -> tuple[str, ...]:
    """Returns the ids of what the leads of conversions are known by, with those that an erasure knew before."""
    names = {name for one in conversions for name in names_of(one) if may_be_lead(name)}
    return tuple(sorted({*erasure.families, *map(family_id, names)}))


def _published(one: Affected) -> ConversionRevised:
    return ConversionRevised() if one.stored is None else ConversionRevised.FromString(one.stored.published)


def _members(workspace: Workspace, one: Affected) -> set[Member]:
    """Returns what a conversion is to its families, and what its lead's first conversion would be.

    A stage with an order number is how its lead began to whoever names that by the order from now on.
    """
    plain = one.kin.order.plain_families
    families = set(() if one.stored is None else one.stored.families)
    families |= {name for name in names_of(one) if family_id(name) in plain}  # the store may have lost that it has them
    own = {
        Member(one.conversion_id, Membership.PLAIN if family_id(name) in plain else Membership.ROOT, (name,))
        for name in families
    }
    own |= {Member(one.conversion_id, Membership.ROOT, (name,)) for name in names_as_lead(one) - names_of(one)}
    observed = (part.event.conversion for part in one.parts if part.is_observation)
    return own.union(*(members_of(workspace, one.conversion_id, conversion) for conversion in observed))


def _renamed(member: Member, ids: dict[str, str]) -> Member:
    """Returns the same without names."""
    names = tuple(map(family_id, member.names))
    return Member(ids.get(member.conversion_id, member.conversion_id), member.role, names)


def parts_of(events: Iterable[AdmittedEvent], accept_micros: int) -> dict[bytes, bytes]:
    """Returns events as what is kept of a conversion."""
    return {event_field(event_hash(one.event.event_id)): pack_part(one, accept_micros) for one in events}


def _places_of(erasure: Erasure) -> dict[str, tuple[int, int]]:
    return {name: (revision, micros) for name, revision, micros in erasure.places}
