"""By what a CRM knows the object of a lead: as it was told first, by the lead's id or by its root order.

The one rule: a lead is one object. What nobody has told there yet claims its name for all that its lead is known by;
where the claims were lost, or an earlier version told it, the ledger knows the name. Where its id and its root order
were each told before a stage named both, it is called as what was told first: from then on by either. What becomes of
the other object: `superseded_stages`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_TEST, DELIVERY_STATE_ACCEPTED, Delivery
from tributary_delivery.ledger import Memory
from tributary_domain.families import Member, Membership, lead_names, whole
from tributary_domain.lead_claims import ObjectKind
from tributary_runtime.crm_destinations import CrmDestination
from tributary_storage.clickhouse.past_families import PastMember
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.first_claims import FirstClaims, LeadName


class Families(Protocol):
    """What ClickHouse knows of leads. Raises `StorageUnavailableError` if it does not answer."""

    async def of_names(self, workspace: str, names: Collection[str]) -> list[PastMember]:
        """Returns the conversions of leads that were ever published."""
        ...


@dataclass(frozen=True, slots=True)
class NameStores:
    """Where it is claimed, and found, by what conversions are known."""

    claims: FirstClaims
    families: Families
    click_key_of: Callable[[str], bytes]
    """Workspace -> what its click ids are claimed under, as `click_digests.click_key`."""


def names_of_lead(revised: ConversionRevised) -> tuple[str, ...]:
    """Returns by what the lead of a conversion is known, at most two; none: it is no stage of one."""
    state = revised.state
    return lead_names(state.lead.lead_id, state.order_key.store, state.lead.root_order_id)


class LeadObjects:
    """Names them for one lane. Every method raises `StorageUnavailableError` if a store does not answer.

    Args:
        lane: Which.
        settings: Of the destination.
        stores: Where names are.
        memory: What was sent.
    """

    def __init__(self, lane: Lane, settings: CrmDestination, stores: NameStores, memory: Memory) -> None:
        self._lane = lane
        self._settings = settings
        self._stores = stores
        self._memory = memory

    async def names(self, proposed: Sequence[tuple[ConversionRevised, str]]) -> list[str]:
        """Returns the name of each lead's object.

        Args:
            proposed: Conversions of leads, and what theirs is called if it was not told yet.
        """
        wanted = [self._named(revised, name) for revised, name in proposed]
        known = await self._stores.claims.known_names(self._lane, wanted)
        unsettled = [revised for (revised, _), names in zip(proposed, known, strict=True) if not _is_settled(names)]
        first = await self._first_names(unsettled) if unsettled else {}
        claimed = []
        for one, names, (revised, _) in zip(wanted, known, proposed, strict=True):
            name = first.get(revised.state.conversion_id) or names[0] or names[1] or one.name
            lost_by_id, lost_by_order = ("" if other == name else other for other in names)
            claimed.append(replace(one, name=name, lost=(lost_by_id, lost_by_order)))
        return await self._stores.claims.names(self._lane, claimed)

    async def name(self, revised: ConversionRevised, deliveries: Sequence[Delivery], proposed: str) -> str:
        """Returns the name of one lead's object, by a stage of it: as that was told, else as `names`.

        Args:
            revised: The stage.
            deliveries: What the ledger has of it, oldest revision first.
            proposed: What the object is called if nobody told it by what the stage knows of it.
        """
        told = [line for line in deliveries if self._is_told(line)]
        if told or not names_of_lead(revised):
            return _first(told).visible_id if told else proposed
        [name] = await self.names([(revised, proposed)])
        return name

    async def holder(self, revised: ConversionRevised, name: str) -> str:
        """Returns the id of the stage that an object of a lead was told of last, by the ledger; "": of none.

        Args:
            revised: A stage of the lead.
            name: What the object is called.
        """
        lines = (await self._told([revised]))[revised.state.conversion_id]
        taken = [line for line in lines if line.state == DELIVERY_STATE_ACCEPTED and line.visible_id == name]
        last = max(taken, key=lambda line: (line.attempt_time.ToMicroseconds(), line.revision), default=None)
        return "" if last is None else last.conversion_id

    def kind(self, revised: ConversionRevised) -> str:
        """Returns which of the objects of its order, or lead, a conversion is."""
        return self._settings.object_of(revised.state.name, is_stage=revised.state.HasField("lead"))

    def _named(self, revised: ConversionRevised, name: str) -> LeadName:
        known_by = names_of_lead(revised)
        return LeadName((known_by[0], known_by[-1]), ObjectKind(self._settings.account, self.kind(revised)), name)

    async def _first_names(self, conversions: Sequence[ConversionRevised]) -> Mapping[str, str]:
        """Returns what objects of leads were called first by the ledger, by conversion id; without those it lacks."""
        told = await self._told(conversions)
        return {conversion_id: _first(lines).visible_id for conversion_id, lines in told.items() if lines}

    async def _told(self, conversions: Sequence[ConversionRevised]) -> Mapping[str, list[Delivery]]:
        """Returns what the destination was told of the objects of leads, by the id of a conversion of theirs."""
        members = await self._members({name for revised in conversions for name in names_of_lead(revised)})
        by_name: dict[str, list[Member]] = {}
        for one in members:
            for name in one.member.names:
                by_name.setdefault(name, []).append(one.member)
        ids = {one.member.conversion_id for one in members}
        sent = await self._memory.deliveries_of(self._lane.workspace, ids) if ids else {}
        found, families = {}, whole(by_name)
        for revised in conversions:
            own, kind = names_of_lead(revised), self.kind(revised)
            names = {name for one in own for name in families.get(one, {one})}
            related = {
                one.member.conversion_id
                for one in members
                if names.intersection(one.member.names) and self._settings.object_of(one.name, is_stage=True) == kind
            }
            lines = [line for one in sorted(related) for line in sent.get(one, ()) if self._is_told(line)]
            found[revised.state.conversion_id] = lines
        return found

    async def _members(self, names: set[str]) -> Collection[PastMember]:
        """Returns all stages of leads: those too that only another one's names lead to."""
        found: dict[PastMember, None] = {}
        asked, left = set[str](), names
        while left:
            found |= dict.fromkeys(await self._stores.families.of_names(self._lane.workspace, left))
            asked |= left
            left = {name for one in found if one.member.role is Membership.STAGE for name in one.member.names} - asked
        return found

    def _is_told(self, line: Delivery) -> bool:
        """Tells whether a line is about something that the destination was told, in the account that is there now."""
        is_here = line.sent_account in ("", self._settings.account) and line.operation != DELIVERY_OPERATION_TEST
        return line.destination_id == self._lane.destination and is_here and bool(line.attempts and line.visible_id)


def _is_settled(names: tuple[str, str]) -> bool:
    """Tells whether what was claimed by a lead's id and by its root order is one name, as far as it was claimed."""
    return any(names) and ("" in names or names[0] == names[1])


def _first(told: Sequence[Delivery]) -> Delivery:
    """Returns what was told first of an object that was taken, if one was."""
    return min(told, key=lambda line: (line.state != DELIVERY_STATE_ACCEPTED, line.revision))
