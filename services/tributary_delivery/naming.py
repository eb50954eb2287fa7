"""By what a destination knows a conversion: as it was sent first; else as is decided here, once, before it is.

The one rule: the same for ever. Whoever sends it again, or tells of a change, takes it from the job or the ledger; and
what two conversions must share, or must not, is claimed before the first of them is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE, INELIGIBLE_REASON_INDISTINCT
from tributary_delivery.attempt import Attempt
from tributary_delivery.destinations.adapter import Adapter
from tributary_delivery.destinations.placing import Places, Placing
from tributary_delivery.lead_objects import LeadObjects, NameStores, names_of_lead
from tributary_delivery.ledger import Memory
from tributary_delivery.sender import Formed, Refused
from tributary_delivery.sent_values import written
from tributary_delivery.visible_ids import is_named, object_id, visible_id
from tributary_domain.click_digests import click_digest, old_click_digest
from tributary_domain.contact_digests import CONTACT_FIELD, contact_digest
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.crm_destinations import CrmDestination
from tributary_storage.redis.delivery_job import KnownAs, Lane
from tributary_storage.redis.first_claims import WantedSecond

_SECOND: Final = 1_000_000
_INDISTINCT: Final = (
    "it takes two conversions of one click and second for one, and each second that will do has another"
)


class Naming:
    """Names the conversions of one lane.

    Args:
        lane: Which.
        settings: Of the destination.
        adapter: Its language.
        stores: Where it is claimed what conversions share, or must not.
        memory: What was sent before.
    """

    def __init__(
        self, lane: Lane, settings: BatchDestination, adapter: Adapter, stores: NameStores, memory: Memory
    ) -> None:
        self._lane = lane
        self._settings = settings
        self._adapter = adapter
        self._policy = adapter.policy
        self._claims = stores.claims
        self._click_key = stores.click_key_of(lane.workspace)
        self.leads: LeadObjects | None = None
        """Names the objects of leads; None: it is no CRM."""
        if isinstance(settings, CrmDestination):
            self.leads = LeadObjects(lane, settings, stores, memory)

    async def name(self, attempts: Sequence[Attempt], formed: Formed, now_micros: int) -> list[Attempt]:
        """Returns attempts with what their conversions are known by.

        Without those that cannot be told apart from others there, and those whose second is yet to come: `formed` has
        them.

        Raises:
            StorageUnavailableError: Nothing is sent: it could be taken for something else.
        """
        leads = await self._named_leads(attempts)
        named = [replace(one, known_as=self._known_as(one, leads.get(one.job.conversion_id, ""))) for one in attempts]
        return await self._placed(named, formed, now_micros) if isinstance(self._adapter, Placing) else named

    def visible_id(self, revised: ConversionRevised, *, with_store: bool = True) -> str:
        """Returns the id by which the destination knows a conversion that it is told of first."""
        policy, state, destination = self._policy, revised.state, self._lane.destination
        most = policy.most_id_characters
        if self.leads is not None and with_store:  # else it is one of an earlier version
            return object_id(revised, destination, self.leads.kind(revised), most_characters=most)
        name = state.name if with_store and self._settings.shares_name(state.name) else ""
        return visible_id(
            revised, destination, id_is_order=policy.id_is_order, most_characters=most, with_store=with_store, name=name
        )

    def contact(self, email: str) -> dict[str, str]:
        """Returns by what it is remembered which contact is told, for the ledger."""
        return {CONTACT_FIELD: contact_digest(self._click_key, email)}

    def _known_as(self, attempt: Attempt, lead_name: str) -> KnownAs:
        """Returns it as it was sent first, in whatever job or ledger know of that."""
        name = attempt.revised.state.name
        before = attempt.known_as or KnownAs(lead_name or self.visible_id(attempt.revised))
        return KnownAs(
            before.visible_id,
            before.name or self._settings.name_of(name) or name,
            before.account or self._settings.account,
            before.told or written(attempt.told, attempt.revised.state),
            before.time_micros,
        )

    async def _named_leads(self, attempts: Sequence[Attempt]) -> Mapping[str, str]:
        """Returns the names of leads' objects, by conversion id: of those that were not sent yet, and say no name."""
        new = [one for one in attempts if one.known_as is None and not one.is_test and names_of_lead(one.revised)]
        if self.leads is None or not new:
            return {}
        names = await self.leads.names([(one.revised, self.visible_id(one.revised)) for one in new])
        return {
            one.job.conversion_id: name
            for one, name in zip(new, names, strict=True)
            if not is_named(one.revised.match, self._lane.destination)
        }

    async def _placed(self, named: Sequence[Attempt], formed: Formed, now_micros: int) -> list[Attempt]:
        """Returns attempts with the second that each conversion has of its click, claimed where it had none."""
        new = {one.job.conversion_id: places for one in named if (places := self._places(one)) is not None}
        wanted = [
            WantedSecond(
                *(name, click_digest(self._click_key, one.click_id), old_click_digest(one.click_id)),
                *(one.best, one.step, one.earliest, one.latest),
            )
            for name, one in new.items()
        ]
        claimed = dict(zip(new, await self._claims.seconds(self._lane, wanted), strict=True))
        placed = []
        for one in named:
            if one.job.conversion_id not in claimed or one.known_as is None:
                placed.append(one)
                continue
            second = claimed[one.job.conversion_id]
            if second is None:
                formed.refused.append(Refused(one, INELIGIBLE_REASON_INDISTINCT, _INDISTINCT))
            elif second * _SECOND > max(now_micros, one.revised.state.conversion_time.ToMicroseconds()):
                formed.later.append(one)
            else:
                placed.append(replace(one, known_as=replace(one.known_as, time_micros=second * _SECOND)))
        return placed

    def _places(self, attempt: Attempt) -> Places | None:
        """Returns which seconds will do for a conversion that is sent first; None: it is not, or needs none."""
        is_known = attempt.known_as is not None and attempt.known_as.time_micros
        if attempt.operation != DELIVERY_OPERATION_CREATE or is_known or not isinstance(self._adapter, Placing):
            return None
        return self._adapter.places(attempt.revised)
