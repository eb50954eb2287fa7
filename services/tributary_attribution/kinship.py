"""A conversion among the others of its lead or subscription -> whose credit it has, and what it counts for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.affected import NO_KIN, Affected, Kin
from tributary_attribution.credit_settings import declared_for
from tributary_attribution.pinned_values import default_value
from tributary_domain.conversion import ConversionFacts, ConversionStatus, conversion_facts
from tributary_domain.event_order import OrderKey
from tributary_domain.families import Member, Membership, lead_names, subscription_name
from tributary_domain.lead_stages import ROOT, LeadStage, StageStanding, staged
from tributary_domain.renewals import Cycle, inherits_from, is_renewal
from tributary_domain.stand_ins import is_stand_in

Find = Callable[[str], Affected | None]
"""Conversion id -> what was read of it; None: nothing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a conversion's own parts say of it, as far as its family wants to know."""

    facts: ConversionFacts
    event_time_micros: int
    event_hash: int
    is_good: bool
    stage: str
    """Empty: it is no stage."""
    kind: int
    """A `CycleKind`; 0: it is no cycle."""

    @property
    def order_key(self) -> OrderKey:
        """Its place in event order."""
        return self.event_time_micros, self.event_hash


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
    return names


def kin_of(one: Affected, members: Collection[Member], find: Find) -> Kin:
    """Says what its family is to a conversion.

    Args:
        one: With its parts.
        members: Of all its families.
        find: What was read of them; the conversion itself too.
    """
    standing, root, staging = _in_lead(one, members, find)
    origin, renewing = _in_subscription(one, members, find)
    relatives = tuple(sorted({*staging, *renewing}))
    if is_stand_in(one.conversion_id):  # its credit is frozen: only what it counts for may change
        root = origin = None
    if standing is not None:
        return Kin(root, is_lead=True, standing=standing, relatives=relatives)
    return NO_KIN if origin is None and not relatives else Kin(origin, relatives=relatives)


def _in_lead(
    one: Affected, members: Collection[Member], find: Find
) -> tuple[StageStanding | None, Affected | None, set[str]]:
    """Returns the standing among the stages of its lead, whose credit they have if not its own, and the others."""
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
    for found in staged([*stages.values(), *firsts]) if stages else ():
        if found.conversion_id == one.conversion_id:
            is_root = found.root_id == one.conversion_id
            return found.standing, None if is_root else find(found.root_id), others
    return None, None, others


def _in_subscription(one: Affected, members: Collection[Member], find: Find) -> tuple[Affected | None, set[str]]:
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
        other = seen_of(find(conversion_id))
        if other is not None and other.kind:
            cycles.append(_as_cycle(conversion_id, other))
    rule = declared_for(one.workspace, seen.event_time_micros).renewal_credit
    origin = inherits_from(cycles[0], cycles, rule)
    return None if origin is None else find(origin.conversion_id), relatives


def seen_of(one: Affected | None) -> Seen | None:
    """Returns what its own parts say; None: nobody observed it."""
    if one is None:
        return None
    observed = {part.event.event_id: part for part in one.parts if part.is_observation}
    name = next((part.event.conversion.name for part in observed.values()), "")
    published = b"" if one.stored is None else one.stored.published
    facts = conversion_facts(
        [part.observation() for part in observed.values()],
        [part.adjustment() for part in one.parts if not part.is_observation],
        default_value(one.workspace, name, ConversionRevised.FromString(published).state if published else None),
    )
    if facts.anchor is None:
        return None
    ranked = sorted(facts.observations, key=lambda observation: -observation.source_rank)
    said = [observed[observation.event_id].event.conversion for observation in ranked]
    return Seen(
        facts=facts,
        event_time_micros=facts.anchor.event_time_micros,
        event_hash=facts.anchor.event_hash,
        is_good=facts.status is ConversionStatus.COUNTED,
        stage=next((conversion.lead.stage for conversion in said if conversion.HasField("lead")), ""),
        kind=next((conversion.recurrence.kind for conversion in said if conversion.HasField("recurrence")), 0),
    )


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
