"""Orders that were told with and without the cycle of a subscription: a destination has each once.

The one rule: what was sent of an order before it counted with its cycle is, from then on, the other conversion's. It is
told under the name that it has there, as a change of what is there, as far as there is a way to say one; also where
nobody knows whether it is there: under another name it would be a second one for certain. Who was sent
both before anybody knew that they are one is told to take the plain one back. A person's contact that was told of the
plain one keeps that, where another contact is told of the other: what is wrong by that is written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from tributary.attribution.v1.conversion_pb2 import MatchResolution, SameOrder
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE, DELIVERY_STATE_ACCEPTED, Delivery
from tributary_delivery.ledger import is_refused, remembered
from tributary_delivery.recollection import Recollection
from tributary_delivery.visible_ids import shared_id
from tributary_domain.contact_digests import CONTACT_FIELD
from tributary_domain.stand_ins import is_stand_in
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_storage.redis.delivery_job import Job, Lane, Residual, Taken

_PLANNED_TOGETHER_MICROS: Final = 60 * 1_000_000
"""How far apart what was published together is planned, at most."""
LACKED: Final = Residual(conversions=-1)
"""What a destination has too little of a conversion until it is told that what it has of another is this one's."""


class Jobs(Protocol):
    """Knows what is under way."""

    async def is_begun(self, lane: Lane, conversion_id: str, *, is_creation: bool) -> bool:
        """Tells whether something was tried of a conversion, or to create it, and is not settled.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        ...

    async def is_untaken(self, lane: Lane, conversion_id: str) -> bool:
        """Tells whether it is known that no attempt at a creation was taken; raises likewise."""
        ...

    async def is_planned(self, lane: Lane, conversion_id: str) -> bool:
        """Tells whether anything of a conversion waits, or is under way; raises likewise."""
        ...


class SameOrders:
    """Tells of one lane which conversion has what was sent. Every method raises `StorageUnavailableError`.

    Args:
        lane: Which.
        settings: Of the destination.
        jobs: What is under way there.
        clock: Tells how long one was planned before the other.
    """

    def __init__(self, lane: Lane, settings: DestinationSettings, jobs: Jobs, clock: Clock) -> None:
        self._lane = lane
        self._settings = settings
        self._jobs = jobs
        self._clock = clock

    async def is_passed_on(self, revised: ConversionRevised, recalled: Recollection) -> bool:
        """Tells whether what was sent of a plain order is that conversion's which counts in its place, or will be."""
        state = revised.state
        if not state.HasField("merged_into") or not self._settings.shares_ids:
            return False
        if self._settings.has_newest:
            return not await self._is_at_another(state.conversion_id, state.merged_into.conversion_id, recalled)
        if self._is_one(state.merged_into, revised.match):
            return True
        if not self._may_share(state.merged_into):
            return False
        counted = state.merged_into.conversion_id
        is_own = await self._may_be_there(counted, recalled)
        return not is_own and not await self._jobs.is_begun(self._lane, counted, is_creation=True)

    async def is_given_back(self, revised: ConversionRevised, recalled: Recollection) -> bool:
        """Tells whether what was sent of a conversion is that order's again in whose place it counts no more.

        It never was sent as one of its own: what that order is now is said of it by that one alone.
        """
        state = revised.state
        if not state.order_key.cycle or state.HasField("merged_from"):
            return False
        if not self._settings.shares_ids or self._settings.has_newest:
            return False
        lines = await recalled.deliveries(state.conversion_id)
        own = [one for one in lines if one.destination_id == self._lane.destination]
        return bool(own) and not any(one.attempts and one.operation == DELIVERY_OPERATION_CREATE for one in own)

    async def is_awaited(self, job: Job, revised: ConversionRevised, recalled: Recollection) -> bool:
        """Tells whether something is on its way of the same order as it is told otherwise: that comes first.

        Of one in whose place a conversion counts all, and of one that counts in its place that it is created: should
        that be refused, what was sent stays. Of contacts, that it is told at all: to which one, decides.
        """
        state = revised.state
        if state.HasField("merged_into") and self._settings.has_newest:
            is_kept = bool(self._contact_of(await recalled.deliveries(job.conversion_id)))
            return is_kept and await self._is_to_be_told(state.merged_into.conversion_id, job.plan_micros, recalled)
        if state.HasField("merged_into") and self._settings.shares_ids:
            return await self._jobs.is_begun(self._lane, state.merged_into.conversion_id, is_creation=True)
        if job.taken is not None or job.maybe_taken or not await self._takes_over(job, revised, recalled):
            return False
        plain = revised.state.merged_from.conversion_id
        return await self._jobs.is_begun(self._lane, plain, is_creation=False)

    async def sent(self, job: Job, revised: ConversionRevised, recalled: Recollection) -> list[Delivery]:
        """Returns what the ledger has of a conversion, after what it has of the order that became it."""
        own = await recalled.deliveries(job.conversion_id)
        return [*await self.before(job, revised, recalled), *own]

    async def before(self, job: Job, revised: ConversionRevised, recalled: Recollection) -> list[Delivery]:
        """Returns what the ledger has of the order that became a conversion, and that is that one's now.

        Of that only what was taken, or may have been: what never was is nothing that could be this one's.
        """
        if not await self._takes_over(job, revised, recalled):
            return []
        plain = revised.state.merged_from.conversion_id
        before = await recalled.deliveries(plain)
        taken, _ = remembered(before, self._lane.destination)
        is_there = taken.counted if taken is not None else await self._may_be_there(plain, recalled)
        return before if is_there else []

    async def kept(self, job: Job, revised: ConversionRevised, recalled: Recollection) -> Taken | None:
        """Returns what stays of the order that became a conversion where that is not told: at a person's contact.

        That holds the conversion which it was told last, and so is told of this one as of any other.
        """
        state = revised.state
        if not state.HasField("merged_from") or not self._settings.has_newest or job.taken is not None:
            return None
        own, _ = remembered(await recalled.deliveries(job.conversion_id), self._lane.destination)
        if own is not None:
            return None
        taken, _ = remembered(await recalled.deliveries(state.merged_from.conversion_id), self._lane.destination)
        return taken if taken is not None and taken.counted else None

    async def _is_at_another(self, plain: str, counted: str, recalled: Recollection) -> bool:
        """Tells whether another contact was told what counts: then the one of the plain order keeps what it has."""
        contacts = [self._contact_of(await recalled.deliveries(name)) for name in (plain, counted)]
        return all(contacts) and len(set(contacts)) > 1

    def _contact_of(self, lines: Sequence[Delivery]) -> str:
        """Returns which contact has a conversion; "": none, or it is not known."""
        own = [one for one in lines if one.destination_id == self._lane.destination and one.attempts]
        taken = [one for one in own if one.state == DELIVERY_STATE_ACCEPTED]
        return taken[-1].identifier_digests.get(CONTACT_FIELD, "") if taken else ""

    async def _is_to_be_told(self, counted: str, plan_micros: int, recalled: Recollection) -> bool:
        """Tells whether a contact is yet to be told what counts in an order's place, or not to be told.

        Both were published together, and are planned one after the other.
        """
        if await self._jobs.is_planned(self._lane, counted):
            return True
        lines = await recalled.deliveries(counted)
        is_new = self._clock.unix_micros() - plan_micros < _PLANNED_TOGETHER_MICROS
        return is_new and not any(one.destination_id == self._lane.destination for one in lines)

    async def _takes_over(self, job: Job, revised: ConversionRevised, recalled: Recollection) -> bool:
        state = revised.state
        if not state.HasField("merged_from") or not self._settings.shares_ids or self._settings.has_newest:
            return False
        if is_stand_in(state.merged_from.conversion_id):  # nobody knows what it was sent as
            return False
        may_share = self._may_share(revised.match) or self._is_one(revised.match, state.merged_from)
        if not may_share or job.maybe_taken:
            return False
        return job.never_sent or not await self._may_be_there(job.conversion_id, recalled)

    def _is_one(self, one: MatchResolution | SameOrder, other: MatchResolution | SameOrder) -> bool:
        """Tells whether browser tags told both by one id."""
        named = shared_id(one, self._settings.id)
        return bool(named) and named == shared_id(other, self._settings.id)

    def _may_share(self, counted: MatchResolution | SameOrder) -> bool:
        """Tells whether what counts may go by the other's name: not where its own tag has told it by another."""
        return not shared_id(counted, self._settings.id)

    async def _may_be_there(self, conversion_id: str, recalled: Recollection) -> bool:
        """Tells whether a destination has, or may have, a conversion as one of its own."""
        lines = await recalled.deliveries(conversion_id)
        own = [one for one in lines if one.destination_id == self._lane.destination and one.attempts]
        taken = next((one for one in own if one.state == DELIVERY_STATE_ACCEPTED), None)
        if taken is not None:  # a change first: it took what was there of another
            return taken.operation == DELIVERY_OPERATION_CREATE
        is_tried = any(one.operation == DELIVERY_OPERATION_CREATE and not is_refused(one) for one in own)
        return is_tried and not await self._jobs.is_untaken(self._lane, conversion_id)
