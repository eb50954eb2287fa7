"""Orders that were told with and without the cycle of a subscription: a destination has each once.

The one rule: what was sent of an order before it counted with its cycle is, from then on, the other conversion's. It is
told under the name that it has there, as a change of what is there, as far as there is a way to say one. Who was sent
both before anybody knew that they are one is told to take the plain one back.
"""

from __future__ import annotations

from typing import Final, Protocol

from tributary.attribution.v1.conversion_pb2 import MatchResolution, SameOrder
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE, Delivery
from tributary_delivery.ledger import remembered
from tributary_delivery.recollection import Recollection
from tributary_delivery.visible_ids import shared_id
from tributary_domain.stand_ins import is_stand_in
from tributary_runtime.destination_settings import DestinationSettings
from tributary_storage.redis.delivery_job import Job, Lane, Residual

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


class SameOrders:
    """Tells of one lane which conversion has what was sent. Every method raises `StorageUnavailableError`.

    Args:
        lane: Which.
        settings: Of the destination.
        jobs: What is under way there.
    """

    def __init__(self, lane: Lane, settings: DestinationSettings, jobs: Jobs) -> None:
        self._lane = lane
        self._settings = settings
        self._jobs = jobs

    async def is_passed_on(self, revised: ConversionRevised, recalled: Recollection) -> bool:
        """Tells whether what was sent of a plain order is that conversion's which counts in its place, or will be."""
        state = revised.state
        if not state.HasField("merged_into") or not self._settings.shares_ids:
            return False
        if self._settings.has_newest or self._is_one(state.merged_into, revised.match):
            return True
        if not self._may_share(state.merged_into):
            return False
        counted = state.merged_into.conversion_id
        is_own = self._was_created(await recalled.deliveries(counted))
        return not is_own and not await self._jobs.is_begun(self._lane, counted, is_creation=True)

    async def is_awaited(self, job: Job, revised: ConversionRevised, recalled: Recollection) -> bool:
        """Tells whether something is on its way of the order in whose place a conversion counts: that comes first."""
        if job.taken is not None or job.maybe_taken or not await self._takes_over(revised, recalled):
            return False
        plain = revised.state.merged_from.conversion_id
        return await self._jobs.is_begun(self._lane, plain, is_creation=False)

    async def sent(self, revised: ConversionRevised, recalled: Recollection) -> list[Delivery]:
        """Returns what the ledger has of a conversion, after what it has of the order that became it.

        Of that only what was taken: what never was is nothing that could be this one's.
        """
        own = await recalled.deliveries(revised.state.conversion_id)
        if not await self._takes_over(revised, recalled):
            return own
        before = await recalled.deliveries(revised.state.merged_from.conversion_id)
        taken, _ = remembered(before, self._lane.destination)
        return own if taken is None or not taken.counted else [*before, *own]

    async def _takes_over(self, revised: ConversionRevised, recalled: Recollection) -> bool:
        state = revised.state
        if not state.HasField("merged_from") or not self._settings.shares_ids or self._settings.has_newest:
            return False
        if is_stand_in(state.merged_from.conversion_id):  # nobody knows what it was sent as
            return False
        may_share = self._may_share(revised.match) or self._is_one(revised.match, state.merged_from)
        return may_share and not self._was_created(await recalled.deliveries(state.conversion_id))

    def _is_one(self, one: MatchResolution | SameOrder, other: MatchResolution | SameOrder) -> bool:
        """Tells whether browser tags told both by one id."""
        named = shared_id(one, self._settings.id)
        return bool(named) and named == shared_id(other, self._settings.id)

    def _may_share(self, counted: MatchResolution | SameOrder) -> bool:
        """Tells whether what counts may go by the other's name: not where its own tag has told it by another."""
        return not shared_id(counted, self._settings.id)

    def _was_created(self, deliveries: list[Delivery]) -> bool:
        """Tells whether a destination was, or may have been, sent a conversion as one of its own."""
        return any(
            one.destination_id == self._lane.destination and one.operation == DELIVERY_OPERATION_CREATE and one.attempts
            for one in deliveries
        )
