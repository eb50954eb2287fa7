"""By what a CRM knows the object of a lead: as it was told first, by the lead's id or by its root order.

The one rule: a lead is one object. What nobody has told there yet claims its name for all that its lead is known by;
where the claims were lost, or an earlier version told it, the ledger knows the name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_TEST, DELIVERY_STATE_ACCEPTED, Delivery
from tributary_delivery.ledger import Memory
from tributary_domain.families import lead_names
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
        unknown = [revised for (revised, _), name in zip(proposed, known, strict=True) if not name]
        past = await self._past_names(unknown) if unknown else {}
        claimed = [
            replace(one, name=past.get(revised.state.conversion_id, name or one.name))
            for one, name, (revised, _) in zip(wanted, known, proposed, strict=True)
        ]
        return await self._stores.claims.names(self._lane, claimed)

    def kind(self, revised: ConversionRevised) -> str:
        """Returns which of the objects of its order, or lead, a conversion is."""
        return self._settings.object_of(revised.state.name, is_stage=revised.state.HasField("lead"))

    def _named(self, revised: ConversionRevised, name: str) -> LeadName:
        known_by = names_of_lead(revised)
        return LeadName((known_by[0], known_by[-1]), ObjectKind(self._settings.account, self.kind(revised)), name)

    async def _past_names(self, conversions: Sequence[ConversionRevised]) -> Mapping[str, str]:
        """Returns what the objects of leads are called by the ledger, by conversion id; without those it has not."""
        names = {name for revised in conversions for name in names_of_lead(revised)}
        members = await self._stores.families.of_names(self._lane.workspace, names)
        ids = {one.member.conversion_id for one in members}
        sent = await self._memory.deliveries_of(self._lane.workspace, ids) if ids else {}
        found = {}
        for revised in conversions:
            own, kind = set(names_of_lead(revised)), self.kind(revised)
            related = {
                one.member.conversion_id
                for one in members
                if own.intersection(one.member.names) and self._settings.object_of(one.name, is_stage=True) == kind
            }
            lines = [line for one in related for line in sent.get(one, ()) if self._is_told(line)]
            if lines:
                first = min(lines, key=lambda line: (line.state != DELIVERY_STATE_ACCEPTED, line.revision))
                found[revised.state.conversion_id] = first.visible_id
        return found

    def _is_told(self, line: Delivery) -> bool:
        """Tells whether a line is about something that the destination was told, in the account that is there now."""
        is_here = line.sent_account in ("", self._settings.account) and line.operation != DELIVERY_OPERATION_TEST
        return line.destination_id == self._lane.destination and is_here and bool(line.attempts and line.visible_id)
