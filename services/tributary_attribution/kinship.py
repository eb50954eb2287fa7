"""A conversion among others of its lead, subscription or order -> whose credit it has, and what it counts for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.affected import NO_KIN, Affected, Kin
from tributary_attribution.credit_settings import declared_for
from tributary_attribution.one_order import NO_ORDER
from tributary_attribution.order_kin import in_order
from tributary_attribution.seen import Find, Seen, seen_of
from tributary_domain.business_keys import plain_order
from tributary_domain.families import (
    Member,
    Membership,
    first_name,
    lead_names,
    may_be_lead,
    order_name,
    subscription_name,
)
from tributary_domain.lead_stages import ROOT, LeadStage, StageStanding, staged
from tributary_domain.renewals import Cycle, inherits_from, is_renewal
from tributary_domain.revision import Cause
from tributary_domain.stand_ins import is_stand_in
from tributary_storage.codec.conversion_parts import ConversionPart


def names_of(one: Affected) -> set[str]:
    """Returns the names of a conversion's families, as far as it knows them itself."""
    names = set(() if one.stored is None else one.stored.families)
    for part in one.parts:
        if part.is_observation:
            conversion = part.event.conversion
            if conversion.HasField("lead"):
                lead = conversion.lead
                names.update(lead_names(lead.lead_id, conversion.store, lead.root_order_id))
            names.update(part.admitted.family_ids)
            if conversion.recurrence.subscription_id:
                names.add(subscription_name(conversion.store, conversion.recurrence.subscription_id))
            if plain := plain_order(one.workspace.id, conversion):
                names.add(first_name(conversion.name, conversion.store, plain[0]))
            elif conversion.order_id and may_lack_cycle(one):
                names.add(first_name(conversion.name, conversion.store, conversion.order_id))
    if one.parts and not any(part.is_observation for part in one.parts):  # nobody told the order so, but for its cycle
        for part in one.parts:
            adjustment = part.event.adjustment
            if adjustment.order_id and not adjustment.cycle:
                names.add(first_name(adjustment.conversion_name, adjustment.store, adjustment.order_id))
    return names


def names_as_lead(one: Affected, *, is_member: bool = False) -> set[str]:
    """Returns the names that a conversion's lead may be known by, as far as it knows them itself.

    A stage that has an order number may be how a lead began that is named by it. Whether anybody named it is kept at
    it, but for what came before it, or was lost with the store: that is to be looked for.

    Args:
        one: With its parts.
        is_member: Whether it was read as one of a lead, and nothing of it may have come first.
    """
    names = {name for name in names_of(one) if may_be_lead(name)}
    if not is_member or one.was_lost:
        told = (part.event.conversion for part in one.parts if part.is_observation)
        names.update(
            order_name(conversion.store, conversion.order_id)
            for conversion in told
            if conversion.HasField("lead") and conversion.order_id and not conversion.HasField("recurrence")
        )
    return names


def may_lack_cycle(one: Affected) -> bool:
    """Tells whether the store may have lost that somebody told an order with its cycle, too: that is looked for."""
    if Cause.RECONCILIATION in one.known_causes:
        return True
    published = b"" if one.stored is None else one.stored.published
    return one.was_lost and (not published or ConversionRevised.FromString(published).state.HasField("merged_into"))


def order_names(one: Affected) -> set[str]:
    """Returns by what the order of a first cycle is named; nothing: it is none."""
    told = (part.event.conversion for part in one.parts if part.is_observation)
    return {
        first_name(conversion.name, conversion.store, plain[0])
        for conversion in told
        if (plain := plain_order(one.workspace.id, conversion))
    }


def inherits(one: Affected) -> bool:
    """Tells whether a conversion is a renewal: whoever it is of decides whose credit it has."""
    seen = seen_of(one)
    return seen is not None and bool(seen.kind) and is_renewal(seen.kind)


def kin_of(
    one: Affected,
    members: Collection[Member],
    find: Find,
    lent: Mapping[str, Sequence[ConversionPart]] = MappingProxyType({}),
) -> Kin:
    """Says what its family is to a conversion.

    Args:
        one: With its parts.
        members: Of all its families.
        find: What was read of them; the conversion itself too.
        lent: By id of a first cycle, as `lent_to` says; of a renewal's.
    """
    standing, root, latest, staging, lead = _in_lead(one, members, find)
    origin, renewing = _in_subscription(one, members, find, lent)
    order, credited, told = in_order(one, members, find)
    relatives = tuple(sorted({*staging, *renewing, *told}))
    if is_stand_in(one.conversion_id):  # its credit is frozen: only what it counts for may change
        root = origin = credited = None
    if standing is not None:
        superseded_by = latest if standing is StageStanding.SUPERSEDED else ""
        kin = Kin(root, is_lead=True, standing=standing, superseded_by=superseded_by, lead=lead)
        return replace(kin, relatives=relatives, order=order)
    if credited is not None:
        return Kin(credited, relatives=relatives, order=replace(order, is_credited=True))
    is_alone = origin is None and not relatives and order is NO_ORDER
    return NO_KIN if is_alone else Kin(origin, relatives=relatives, order=order)


def _in_lead(
    one: Affected, members: Collection[Member], find: Find
) -> tuple[StageStanding | None, Affected | None, str, set[str], tuple[str, ...]]:
    """Returns the standing among the stages of its lead, whose credit they have, which counts, and the others, twice.

    Whose credit: None: its own. Which counts: empty: none. The others: all that may be of the lead; those that are.
    """
    stages: dict[str, LeadStage] = {}
    others: set[str] = set()
    for conversion_id in {member.conversion_id for member in members if member.role is Membership.STAGE}:
        seen = seen_of(find(conversion_id))
        others.add(conversion_id)
        if seen is not None and seen.stage:
            stages[conversion_id] = _as_stage(conversion_id, seen, seen.stage)
    roots: dict[str, list[LeadStage]] = {}
    for member in members:
        if member.role is Membership.ROOT and member.conversion_id not in stages:
            seen = seen_of(find(member.conversion_id))
            if seen is not None:
                others.add(member.conversion_id)
            if seen is not None and seen.is_good:
                roots.setdefault(member.names[0], []).append(_as_stage(member.conversion_id, seen, ROOT))
    firsts = [min(found, key=lambda stage: (stage.order_key, stage.conversion_id)) for found in roots.values()]
    others.discard(one.conversion_id)
    # Where all stages were taken back there is no lead: orders that it was named by count each for itself.
    standings = staged([*stages.values(), *firsts]) if any(stage.is_good for stage in stages.values()) else []
    latest = next((found.conversion_id for found in standings if found.standing is StageStanding.LATEST), "")
    for found in standings:
        if found.conversion_id == one.conversion_id:
            is_root = found.root_id == one.conversion_id
            lead = tuple(other.conversion_id for other in standings if other is not found)
            return found.standing, None if is_root else find(found.root_id), latest, others, lead
    return None, None, "", others, ()


def _in_subscription(
    one: Affected, members: Collection[Member], find: Find, lent: Mapping[str, Sequence[ConversionPart]]
) -> tuple[Affected | None, set[str]]:
    """Returns whose credit a renewal has, and who may have that of this conversion."""
    deciding = {member.conversion_id for member in members if member.role is Membership.CYCLE}
    relatives: set[str] = set()
    if one.conversion_id in deciding:
        relatives = {member.conversion_id for member in members if member.role is Membership.RENEWAL} - {
            one.conversion_id
        }
    seen = seen_of(one)
    if seen is None or not seen.is_good or not seen.kind or not is_renewal(seen.kind):
        return None, relatives
    cycles = [_as_cycle(one.conversion_id, seen)]
    for conversion_id in deciding - {one.conversion_id}:
        other = seen_of(find(conversion_id), lent.get(conversion_id, ()))
        if other is not None and other.kind:
            cycles.append(_as_cycle(conversion_id, other))
    rule = declared_for(one.workspace, seen.event_time_micros).renewal_credit
    origin = inherits_from(cycles[0], cycles, rule)
    return None if origin is None else find(origin.conversion_id), relatives


def _as_stage(conversion_id: str, seen: Seen, stage: str) -> LeadStage:
    return LeadStage(
        conversion_id=conversion_id,
        stage=stage,
        event_time_micros=seen.event_time_micros,
        event_hash=seen.event_hash,
        amount_micros=seen.facts.amount_micros,
        is_good=seen.is_good,
    )


def _as_cycle(conversion_id: str, seen: Seen) -> Cycle:
    return Cycle(
        conversion_id=conversion_id,
        event_time_micros=seen.event_time_micros,
        event_hash=seen.event_hash,
        kind=seen.kind,
        amount_micros=seen.facts.original_amount_micros or 0,
        is_good=seen.is_good,
    )
