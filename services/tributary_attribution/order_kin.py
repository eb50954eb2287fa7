"""An order that was told with and without its cycle, perhaps as several -> what each is to the others. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from tributary_attribution.affected import Affected
from tributary_attribution.one_order import NO_ORDER, OneOrder, adjustments_of, same_order
from tributary_attribution.seen import Find, seen_of
from tributary_domain.conversion import ConversionStatus
from tributary_domain.conversion_parts import AdjustmentKind, Standing
from tributary_domain.event_order import OrderKey
from tributary_domain.families import Member, Membership
from tributary_domain.renewals import CycleKind
from tributary_domain.shared_adjustments import FirstCycle, shared_out
from tributary_domain.split_orders import Told, split_order
from tributary_domain.stand_ins import is_stand_in
from tributary_storage.codec.conversion_parts import ConversionPart


def lent_to(one: Affected, members: Collection[Member], find: Find) -> tuple[ConversionPart, ...]:
    """Returns what changes a first cycle though it names its order without the cycle.

    Args:
        one: The cycle.
        members: Of the family of its order.
        find: As of `kin_of`.
    """
    return in_order(one, members, find)[0].adjustments


def in_order(one: Affected, members: Collection[Member], find: Find) -> tuple[OneOrder, Affected | None, set[str]]:
    """Returns what the same order, told in another way, is to a conversion, whose credit it has, and the others."""
    plains = {member.conversion_id: member.names for member in members if member.role is Membership.PLAIN}
    families = {name for member in members if member.role is Membership.PLAIN for name in member.names}
    cycles = {
        member.conversion_id
        for member in members
        if member.role is Membership.CYCLE and not families.isdisjoint(member.names)
    }
    if one.conversion_id not in plains and one.conversion_id not in cycles:
        return NO_ORDER, None, set()
    is_plain = one.conversion_id in plains
    own_families = plains[one.conversion_id] if is_plain else ()
    others = {name for name in {*plains, *cycles} - {one.conversion_id} if seen_of(find(name)) is not None}
    told = [way for name in sorted(plains) if (way := _as_told(find(name)))]
    # What was told again of what is severed is nothing to the others: they count, or what they count as is left.
    counting = {name for name in cycles if one.is_severed or not _is_severed(find(name))}
    firsts = [way for name in sorted(counting) if (way := _as_told(find(name), CycleKind.FIRST))]
    plain = next(iter(told), None)
    split = split_order(plain, firsts)
    named = (*plains, *(way.conversion_id for way in firsts))
    ways = [name for name in named if (found := find(name)) is not None and found.parts]
    order = OneOrder(
        plain_families=own_families,
        living=tuple(sorted(name for name in ways if not is_stand_in(name))),
        frozen=tuple(sorted(filter(is_stand_in, ways))),
    )
    if split is None or one.conversion_id not in {way.conversion_id for way in (*told, *firsts)}:
        return order, None, others
    known = [found for name in sorted(plains) if (found := find(name)) is not None]
    frozen = [found for found in known if is_stand_in(found.conversion_id)]
    parts = [part for found in known if found not in frozen for part in found.parts]
    changes = (*adjustments_of(parts), *(part for found in frozen for part in found.changes))
    is_shared = plain is not None and plain.conversion_id == split.credited_id and not plain.is_frozen
    observed = tuple(_good(parts))
    valued = (*observed, *(part for found in frozen for part in _good(found.parts)))
    observations = observed if is_shared else ()
    credited = find(split.credited_id) if split.credited_id not in ("", one.conversion_id) else None
    if is_plain:
        counted = find(split.counted_id)
        known_by = [*observations, *(() if counted is None else _good(counted.parts))]
        into = same_order(split.counted_id, sorted(known_by, key=_place))
        seen = None if counted is None else seen_of(counted, lent_to(counted, members, find))
        is_taken_back = seen is not None and seen.facts.is_retracted
        order = replace(order, merged_into=into, is_taken_back=is_taken_back, told_otherwise=tuple(cycles))
        return order, credited, others
    order = replace(order, told_otherwise=tuple(plains))
    if one.conversion_id == split.counted_id:
        instead = None if plain is None else same_order(plain.conversion_id, sorted(observed, key=_place))
        order = replace(order, merged_from=instead, observations=observations)
    if is_stand_in(one.conversion_id):
        return order, credited, others
    if split.adjusted_ids == (one.conversion_id,):
        order = replace(order, adjustments=changes, changes=changes, valued=valued)
    elif one.conversion_id in split.adjusted_ids:
        adjusted = [found for name in split.adjusted_ids if (found := find(name)) is not None]
        order = replace(order, adjustments=_share_of(one, adjusted, changes), changes=changes)
    return order, credited, others


def _share_of(
    one: Affected, adjusted: Iterable[Affected], adjusting: Sequence[ConversionPart]
) -> tuple[ConversionPart, ...]:
    """Returns what changes one of several first cycles of what changes their order, with its part of the amounts.

    Args:
        one: Of `adjusted`, and no stand-in.
        adjusted: In event order.
        adjusting: What names the order without a cycle.
    """
    if not adjusting:
        return ()
    cycles = [
        FirstCycle(
            found.conversion_id,
            [part.observation() for part in found.parts if part.is_observation],
            [part.adjustment() for part in found.parts if not part.is_observation],
            *(_had(found) if is_stand_in(found.conversion_id) else ()),
        )
        for found in adjusted
    ]
    shares = shared_out((part.adjustment() for part in adjusting), cycles)[one.conversion_id]
    by_id = {part.event.event_id: part for part in adjusting}
    return tuple(by_id[share.event_id].of_amount(share.amount_micros) for share in shares)


def _had(one: Affected) -> tuple[dict[tuple[str, str], int | None], set[tuple[str, str]]]:
    """Returns what of changes of its order was the part of what stands in for a cycle, and which of them named it."""
    changes = [(part.adjustment(), part.admitted.names_cycle) for part in one.changes]
    had = {change.identity: change.amount_micros for change, is_named in changes if not is_named}
    return had, {change.identity for change, is_named in changes if is_named}


def _as_told(one: Affected | None, kind: int | None = None) -> Told | None:
    """Returns a way in which an order was told; None: nobody told it so, or as a cycle of another kind."""
    seen = seen_of(one)
    if one is None or seen is None or not seen.is_observed or kind not in (None, seen.kind):
        return None
    rank = min(observation.source_rank for observation in seen.facts.observations)
    retracted = seen.facts.status is ConversionStatus.RETRACTED
    changes = (part.adjustment() for part in one.changes if not part.admitted.names_cycle)
    gone = retracted and any(change.kind is AdjustmentKind.RETRACTION for change in changes)
    return Told(one.conversion_id, seen.order_key, rank, is_stand_in(one.conversion_id), retracted and not gone, gone)


def _is_severed(one: Affected | None) -> bool:
    return one is not None and one.is_severed


def _good(parts: Iterable[ConversionPart]) -> list[ConversionPart]:
    """Returns what was observed for good."""
    return [part for part in parts if part.is_observation and part.observation().standing is Standing.GOOD]


def _place(part: ConversionPart) -> OrderKey:
    return part.event_time_micros, part.event_hash
