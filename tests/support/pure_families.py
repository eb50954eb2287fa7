"""Leads, subscriptions and orders told twice through the rules of stream and batch alone: without stores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.support.attribution import NOON, Admitted
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.affected import Affected
from tributary_attribution.kinship import inherits, kin_of, names_of, order_names
from tributary_attribution.memberships import members_of
from tributary_attribution.order_kin import lent_to
from tributary_domain.conversion import ConversionStatus, conversion_facts, in_lead, in_order
from tributary_domain.conversion_parts import Standing
from tributary_domain.families import Member, Membership, whole
from tributary_domain.ids import family_id
from tributary_domain.reconciled_families import families, heirs
from tributary_domain.reconciled_orders import orders_of
from tributary_domain.reconciled_records import Related, Staged
from tributary_domain.reconciled_shares import OrderPart, shared
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.conversion_parts import ConversionPart, pack_part
from tributary_storage.redis.conversions import StoredConversion
from tributary_storage.redis.journey_layout import event_field


class Outcome(NamedTuple):
    """What becomes of a conversion."""

    is_counted: bool
    amount_micros: int
    origin: str
    """Whose path's credit it has; empty: nobody's, it is taken back."""


def _parts(world: Iterable[Admitted]) -> dict[str, list[ConversionPart]]:
    """Returns what is said of each conversion, in event order."""
    found: dict[str, list[ConversionPart]] = defaultdict(list)
    for _, admitted in world:
        if admitted.event.HasField("conversion") or admitted.event.HasField("adjustment"):
            found[admitted.conversion_id].append(ConversionPart(NOON, admitted))
    for own in found.values():
        own.sort(key=lambda part: (part.event_time_micros, part.event_hash))
    return found


def streamed(workspace: Workspace, world: Sequence[Admitted]) -> dict[str, Outcome]:
    """Returns what becomes of conversions when all is told, as the stream says."""
    parts = _parts(world)
    members: dict[str, dict[Member, None]] = defaultdict(dict)
    named: dict[str, set[str]] = defaultdict(set)
    for conversion_id, own in parts.items():
        for part in own:
            if part.is_observation:
                for member in members_of(workspace, conversion_id, part.event.conversion):
                    ids = tuple(map(family_id, member.names))
                    for family in ids:
                        members[family][member._replace(names=ids)] = None
                    if member.role in (Membership.ROOT, Membership.PLAIN):
                        named[member.conversion_id].update(member.names)
    known = {name: _known(workspace, name, parts.get(name, ()), named[name]) for name in {*parts, *named}}
    names_by = whole(members)

    def theirs(one: Affected) -> list[Member]:
        ids = set().union(*(names_by.get(family_id(name), {family_id(name)}) for name in names_of(one)))
        return [member for family in sorted(ids) for member in members.get(family, ())]

    def lent(own: Iterable[Member]) -> dict[str, Sequence[ConversionPart]]:
        cycles = {member.conversion_id for member in own if member.role is Membership.CYCLE}
        found = {}
        for name in cycles:
            orders = [family_id(order) for order in order_names(known[name])]
            if orders:
                found[name] = lent_to(known[name], [one for order in orders for one in members[order]], known.get)
        return found

    for one in known.values():
        own = theirs(one)
        one.kin = kin_of(one, own, known.get, lent(own) if inherits(one) else {})
    found = {}
    for name, one in known.items():
        if not any(part.is_observation for part in one.parts):
            continue
        own_parts = one.kin.order.with_adjustments(one.parts)
        facts = conversion_facts(
            [part.observation() for part in own_parts if part.is_observation],
            [part.adjustment() for part in own_parts if not part.is_observation],
            told_plainly=[part.observation() for part in one.kin.order.valued],
        )
        facts = in_order(in_lead(facts, one.kin.standing), is_merged=one.kin.order.merged_into is not None)
        origin = one
        while origin.kin.origin is not None:
            origin = known[origin.kin.origin.conversion_id]
        is_counted = facts.status is ConversionStatus.COUNTED
        found[name] = Outcome(is_counted, facts.amount_micros or 0, "" if facts.is_retracted else origin.conversion_id)
    return found


def _known(workspace: Workspace, name: str, parts: Sequence[ConversionPart], families: Iterable[str]) -> Affected:
    one = Affected(workspace, name)
    packed = {}
    for part in parts:
        admitted = AdmittedEvent()
        admitted.CopyFrom(part.admitted)
        packed[event_field(part.event_hash)] = pack_part(admitted, NOON)
    stored = StoredConversion(one.key, packed, 0, 0, b"", {}, NOON, families=tuple(sorted(families)))
    one.take(stored)
    return one


def recomputed(workspace: Workspace, world: Sequence[Admitted]) -> dict[str, Outcome]:
    """Returns the same as the batch says; sums of parts are those of the stream, whose own tests compare them."""
    parts = _parts(world)
    said: dict[str, list[Related]] = defaultdict(list)
    for name, own in parts.items():
        said[name] = [_related(part) for part in own if part.is_observation]
    every = [one for own in said.values() for one in own]
    declared = {one.name for one in workspace.conversions}
    orders = orders_of(workspace.id, every, ())
    found = families(every, declared, (), orders)
    several = orders.several(said)
    changes = shared(several, [_order_part(part) for own in parts.values() for part in own if _counts(part)])
    lent = orders.lent(said) | changes.lent
    lenders: dict[str, list[str]] = defaultdict(list)
    for plain, cycle in lent.items():
        lenders[cycle].append(plain)
    by_id = {part.event.event_id: part for own in parts.values() for part in own}
    staged, amounts, retracted = {}, {}, {}
    for name, own in parts.items():
        observed = [part.observation() for part in own if part.is_observation]
        if not observed:
            continue
        adjusting = [part for part in own if not part.is_observation]
        plainly = [part for plain in lenders[name] for part in parts.get(plain, ())]
        adjusting += [part for part in plainly if not part.is_observation]
        adjusting += [
            by_id[one.event_id].of_amount(one.amount_micros if one.is_part else None)
            for one in changes.shares
            if one.conversion_id == name
        ]
        facts = conversion_facts(
            observed,
            [part.adjustment() for part in adjusting],
            told_plainly=[part.observation() for part in plainly if part.is_observation],
        )
        assert facts.anchor is not None
        is_internal = facts.status is ConversionStatus.UNCOUNTED
        staged[name] = Staged(
            name,
            0,
            0,
            facts.anchor.event_time_micros,
            facts.anchor.event_hash,
            0,
            facts.status is ConversionStatus.COUNTED,
            is_internal,
            facts.original_amount_micros or 0,
            NOON,
            (),
        )
        amounts[name], retracted[name] = facts.amount_micros or 0, facts.is_retracted
    outcomes = {
        name: Outcome(one.counted, amounts[name], "" if retracted[name] else name) for name, one in staged.items()
    }
    for family in found:
        for heir in heirs(family, said, staged, lambda _: True, {}, orders, declared):
            one = staged[heir.conversion_id]
            is_gone = retracted[heir.conversion_id] or (heir.is_lost and one.counted)
            origin = heir.conversion_id if heir.origin is None else heir.origin.conversion_id
            outcomes[heir.conversion_id] = Outcome(
                one.counted and not heir.is_superseded and not heir.is_lost,
                0 if is_gone else amounts[heir.conversion_id],
                "" if is_gone else origin,
            )
    return outcomes


def _amount(part: ConversionPart, share: object) -> int | None:
    return share.amount_micros if share.is_part else None


def _counts(part: ConversionPart) -> bool:
    return part.standing is Standing.GOOD


def _related(part: ConversionPart) -> Related:
    conversion, observation = part.event.conversion, part.observation()
    recurrence = conversion.recurrence
    return Related(
        part.admitted.conversion_id,
        conversion.name,
        conversion.store,
        conversion.order_id,
        conversion.lead.lead_id,
        conversion.lead.root_order_id,
        conversion.lead.stage,
        recurrence.subscription_id,
        recurrence.kind,
        observation.source_rank,
        part.event_time_micros,
        part.event_hash,
        part.standing is not Standing.GOOD,
        recurrence.cycle,
    )


def _order_part(part: ConversionPart) -> OrderPart:
    if part.is_observation:
        seen = part.observation()
        said = seen.amount_micros, seen.currency_code
        return OrderPart(
            part.admitted.conversion_id,
            seen.event_id,
            seen.event_time_micros,
            seen.event_hash,
            True,
            seen.source_rank,
            said[0] is not None,
            said[0] or 0,
            said[1],
            "",
            "",
        )
    one = part.adjustment()
    kind, identity = one.identity
    return OrderPart(
        part.admitted.conversion_id,
        one.event_id,
        one.event_time_micros,
        one.event_hash,
        False,
        2,
        one.amount_micros is not None,
        one.amount_micros or 0,
        one.currency_code,
        kind.upper(),
        identity,
    )
