"""Conversions that an erasure destroyed and that are there again: what others told of them, or was told since.

The one rule: what happens after an erasure is somebody new, under the same identifiers too. So its later runs leave
such conversions alone, with what is kept of them in their families: that is of what was told again. Also where a first
run stopped on its way, and is done again: what is there says what it had destroyed, not how far it says it is. What
others had of the destroyed ones goes all the same: it is kept since when they are told again. They may be told again at
any moment of a later run, so each of its steps looks first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import wraps
from typing import Final

from tributary_attribution.affected import Affected
from tributary_attribution.directory import Directory
from tributary_attribution.memberships import kept_of, memberships
from tributary_attribution.shared_orders import SharedOrders
from tributary_attribution.stand_ins import taking_place
from tributary_domain.erasures import Erasure, ErasureState
from tributary_domain.families import Member, Membership
from tributary_domain.ids import conversion_id
from tributary_domain.ties import most_telling
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.codec.event_digests import digest_of_event
from tributary_storage.redis.conversions import FORWARD, Conversions, conversion_key
from tributary_storage.redis.journey_layout import event_field

Step = Callable[[Erasure], Awaitable[Erasure]]
"""Of an erasure."""

_OF_ORDERS: Final = (Membership.ROOT, Membership.PLAIN)
"""What an order may be to a family that it does not know itself."""


class ToldAgain:
    """Knows them. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        conversions: Keeps what was told, and families.
        records: Knows what was published.
        shared: Tells what is others'.
        directory: Knows the workspaces.
    """

    def __init__(
        self, conversions: Conversions, records: ErasureRecords, shared: SharedOrders, directory: Directory
    ) -> None:
        self._directory = directory
        self._conversions = conversions
        self._records = records
        self._shared = shared

    async def left_alone(self, erasure: Erasure) -> Erasure:
        """Returns an erasure without those; of what it has not destroyed yet it has none."""
        if not erasure.conversion_ids:
            return erasure
        there = await self._there(erasure)
        theirs = await self._shared.whose_are_others(erasure, erasure.conversion_ids)
        if erasure.state is ErasureState.REQUESTED:  # a run may have stopped before it came to the state store
            theirs -= {one.conversion_id for one in there.values() if _is_held(one, erasure)}
        published = await self._records.published_since(erasure)
        since = {one.conversion_id for one in there.values() if _is_told_since(one, erasure.until_micros, published)}
        gone = theirs | since
        if not gone:
            return erasure
        # What is still published of the person was not destroyed: it turned out to be another's.
        destroyed = gone - await self._records.once_of_person(replace(erasure, conversion_ids=()))
        kept = {place for one in there.values() if one.conversion_id in gone for place in _kept_of(one)}
        return replace(
            erasure,
            conversion_ids=tuple(one for one in erasure.conversion_ids if one not in gone),
            told_again=tuple(sorted({*erasure.told_again, *_told_when(there.values(), destroyed, erasure)})),
            places=tuple(place for place in erasure.places if place[0] not in gone),
            memberships=tuple(place for place in erasure.memberships if place not in kept),
            relatives=tuple(sorted({*erasure.relatives, *theirs})),
        )

    def looked_for(self, step: Step) -> Step:
        """Returns a step that leaves them alone in a later run, where they were told since the step before."""

        @wraps(step)
        async def after_looking(erasure: Erasure) -> Erasure:
            return await step(await self.left(erasure))

        return after_looking

    async def left(self, erasure: Erasure) -> Erasure:
        """Returns an erasure as a step of such a run is told it: without what was told again since the step before."""
        return erasure if erasure.state is ErasureState.REQUESTED else await self.left_alone(erasure)

    async def held(self, erasure: Erasure) -> tuple[Erasure, set[str]]:
        """Returns what `left` does, and those of its conversions that may be destroyed in the state store.

        Not what a later run finds nothing of: from then on it is of whoever tells it again. So that is read first.
        """
        if erasure.state is ErasureState.REQUESTED:
            return erasure, set(erasure.conversion_ids)
        held = {one.conversion_id for one in (await self._there(erasure)).values() if _is_kept(one)}
        left = await self.left_alone(erasure)
        return left, held.intersection(left.conversion_ids)

    async def stays(self, erasure: Erasure) -> dict[str, set[bytes]]:
        """Returns what stays of an erasure's conversions at the state store, by key: fields.

        What happened after it, as the records keep that: a refund may come before its order is told again, and is of
        the order unless it names that by an event of before, at which it waits. With it, which orders the events of
        since observed. And what a family goes on knowing of an order that was told without its cycle, which waits at
        the order itself.
        """
        stays = defaultdict(set, {key: set(fields) for key, fields in taking_place(erasure).items()})
        for key, one in (await self._there(erasure)).items():
            since = [part for part in one.parts if part.event_time_micros > erasure.until_micros]
            events = {_own_id(erasure.workspace, part) for part in since if part.is_observation}
            gone = set(erasure.own_names) - events
            stays[key].update(event_field(part.event_hash) for part in since if not _is_by_event(part, gone))
            for own_id in events:
                stays[conversion_key(erasure.workspace, own_id)].add(FORWARD)
        return stays

    async def _there(self, erasure: Erasure) -> dict[str, Affected]:
        """Returns an erasure's conversions as they are kept now, by key."""
        workspace = self._directory.get(erasure.workspace)
        there = {one.key: one for one in (Affected(workspace, name) for name in erasure.conversion_ids)}
        if there:
            for key, stored in (await self._conversions.observe({key: {} for key in there}, 0)).items():
                there[key].take(stored)
        return there


def _own_id(workspace: str, observation: ConversionPart) -> str:
    """Returns the conversion that an event would be by itself: by this, refunds name its order."""
    return conversion_id(digest_of_event(workspace, observation.admitted))


def _is_by_event(part: ConversionPart, own_ids: Collection[str]) -> bool:
    """Tells whether something changes its order as that of an event, of some."""
    return bool(part.event.adjustment.event_id) and part.admitted.conversion_id in own_ids


def _is_kept(one: Affected) -> bool:
    """Tells whether anything is kept of a conversion, whoever told it."""
    if (stored := one.stored) is None:
        return False
    return any((stored.parts, stored.revision, stored.pending, stored.families, stored.forward, stored.causes))


def _is_held(one: Affected, erasure: Erasure) -> bool:
    """Tells whether an observation of the person's, of before the erasure, is still kept."""
    return any(
        part.is_observation
        and part.event_time_micros <= erasure.until_micros
        and part.admitted.identity_tokens  # what is kept of who was erased before is nobody's
        and most_telling(part.admitted.identity_tokens) in erasure.tokens
        for part in one.parts
    )


def _is_told_since(one: Affected, until_micros: int, published: Collection[str]) -> bool:
    """Tells whether every observation is later than a moment; if the store has forgotten them, as it is published."""
    times = [part.event_time_micros for part in one.parts if part.is_observation]
    return min(times) > until_micros if times else one.conversion_id in published


def _told_when(ones: Iterable[Affected], destroyed: Collection[str], erasure: Erasure) -> Iterator[tuple[str, int]]:
    """Yields `Erasure.told_again`: nobody had anything of what is there now before it was accepted.

    Nor before the erasure, where it was on its way then.
    """
    for one in ones:
        if one.conversion_id in destroyed:
            accepted = (part.accept_time_micros for part in one.parts if part.is_observation)
            yield one.conversion_id, max(min(accepted, default=0), erasure.request_micros)


def _kept_of(one: Affected) -> Iterator[tuple[str, str]]:
    """Yields, as `Erasure.memberships`, what is kept of a conversion as it is now, in its families and at it."""
    workspace = one.workspace
    families = () if one.stored is None else one.stored.families
    kept: list[Mapping[str, Mapping[bytes, bytes]]] = [
        kept_of(Member(one.conversion_id, role, (name,)), workspace.id) for name in families for role in _OF_ORDERS
    ]
    observed = [part.event.conversion for part in one.parts if part.is_observation]
    kept += [memberships(workspace, one.conversion_id, conversion) for conversion in observed]
    for fields_by_key in kept:
        for key, fields in fields_by_key.items():
            yield from ((key, field.hex()) for field in fields)
