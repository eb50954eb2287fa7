"""What a destination has of a conversion, or may have, and as what it was sent: by the job, else by the ledger.

The one rule: what was sent stays what it was. What follows names it as it was named first, and tells the same value of
it: what the file says by then is for what was not sent yet.
"""

from __future__ import annotations

from dataclasses import replace

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREDIT, DELIVERY_OPERATION_RESTATE, Delivery
from tributary_delivery.candidates import is_superseded
from tributary_delivery.ledger import attempts_at, first_sent, remembered, tried_as, tried_micros
from tributary_delivery.recollection import Recollection
from tributary_delivery.same_orders import LACKED, SameOrders
from tributary_delivery.sender import Sender
from tributary_delivery.sent_values import Told, credited_share, read, told_of
from tributary_runtime.destination_settings import DestinationSettings, SentValue
from tributary_storage.redis.delivery_job import NO_RESIDUAL, PASSED_ON, UNKNOWN_VALUE, Job, KnownAs, Lane, Taken


class SentBefore:
    """Tells it for one lane. Every method raises `StorageUnavailableError` if ClickHouse is needed and does not answer.

    Args:
        lane: Which.
        settings: Of the destination.
        sender: What the destination can be told.
        orders: Which conversion has what was sent of an order that was told in two ways.
    """

    def __init__(self, lane: Lane, settings: DestinationSettings, sender: Sender, orders: SameOrders) -> None:
        self._lane = lane
        self._settings = settings
        self._sender = sender
        self._orders = orders
        self._corrects = DELIVERY_OPERATION_CREDIT not in sender.operations

    async def taken(
        self, job: Job, revised: ConversionRevised, recalled: Recollection
    ) -> tuple[Taken | None, int, int]:
        """Returns what the destination took; what it was tried to be created with; since when an outcome is unknown."""
        may_be_another = revised.state.HasField("merged_from")  # then something may be there that was sent of that
        if job.taken is not None or job.maybe_taken or (job.never_sent and not may_be_another):
            is_same = job.maybe_taken or job.tried_revision == revised.revision
            taken, doubt_micros = job.taken, job.doubt_micros if is_same else 0
            if taken is not None and job.doubt_micros and self._corrects:
                # What was tried may be what is there, whether it holds now or not.
                taken = replace(taken, value_micros=UNKNOWN_VALUE)
            return taken, job.maybe_taken, doubt_micros
        deliveries = await recalled.deliveries(job.conversion_id)
        # The ledger's line of what was refused is as that of what is in doubt: the job knows better.
        taken, maybe_taken = (None, 0) if job.never_sent else remembered(deliveries, self._lane.destination)
        if taken is None and not maybe_taken:
            before = await self._orders.before(job, revised, recalled)
            passed = self._passed_to(revised, before, deliveries, is_certain=job.risks_duplicates)
            doubt_micros = job.doubt_micros if job.tried_revision == revised.revision else 0
            if passed is not None or job.never_sent:
                return passed, 0, doubt_micros
        if taken is not None and await self._was_passed_on(revised, taken, recalled):
            taken = replace(taken, value_micros=PASSED_ON, residual=NO_RESIDUAL)
        doubt_micros = tried_micros(deliveries, self._lane.destination, maybe_taken)
        return taken, maybe_taken, 0 if job.risks_duplicates else doubt_micros

    def _passed_to(
        self, revised: ConversionRevised, before: list[Delivery], own: list[Delivery], *, is_certain: bool
    ) -> Taken | None:
        """Returns what a destination has of a conversion by what it was sent of the order before; None: nothing.

        Args:
            revised: The conversion.
            before: What the ledger has of the order.
            own: What it has of the conversion.
            is_certain: Whether only what certainly was taken counts.
        """
        taken, maybe_taken = remembered(before, self._lane.destination)
        if taken is not None:
            taken, _ = remembered([*before, *own], self._lane.destination)
        elif maybe_taken and not is_certain:  # told as a change: as one of its own it could be a second one
            tried = tried_as(before, self._lane.destination, maybe_taken)
            taken = Taken(maybe_taken, UNKNOWN_VALUE, counted=True, told="" if tried is None else tried.told)
        if taken is None:
            return None
        return replace(taken, revision=min(taken.revision, revised.revision - 1), residual=LACKED)

    async def _was_passed_on(self, revised: ConversionRevised, taken: Taken, recalled: Recollection) -> bool:
        """Tells whether an object was left to a later stage of its lead since it was told: no line says so.

        The revisions do: one of those since was of a stage that another had taken the place of.
        """
        if not self._settings.has_objects or not revised.state.HasField("lead"):
            return False
        before: ConversionRevised | None = revised
        while before is not None and before.previous_revision > taken.revision:
            before = await recalled.revision(revised.state.conversion_id, before.previous_revision)
            if before is None or before.state.counted:
                return False
            if is_superseded(before.state):
                return True
        return False

    async def told(
        self, job: Job, revised: ConversionRevised, taken: Taken | None, maybe_taken: int, recalled: Recollection
    ) -> Told:
        """Returns which value the destination is told: of what it has or may have, that which it was told first."""
        now = told_of(self._settings)
        if not self._corrects or (taken is None and not maybe_taken):
            return now
        if taken is None:
            known_as = await self._known_as(job, maybe_taken, recalled)
            kept = known_as.told if known_as is not None else ""
        else:
            kept = taken.told
        if kept or DELIVERY_OPERATION_RESTATE not in self._sender.operations:
            return read(kept) or now
        first = first_sent(await self._orders.sent(job, revised, recalled), self._lane.destination)
        told = read(first.told) if first is not None else None
        if told is not None or now.value is not SentValue.CREDITED:
            return told or now
        # An earlier version sent it, in the share that it had by then.
        conversion_id, number = (first.conversion_id, first.revision) if first else (job.conversion_id, maybe_taken)
        sent = await recalled.revision(conversion_id, number)
        return now if sent is None else replace(now, frozen=credited_share(sent.state, now))

    async def tried_as(self, job: Job, revised: ConversionRevised, maybe_taken: int, recalled: Recollection) -> KnownAs:
        """Returns by what the destination would know a creation that was tried."""
        known_as = await self._known_as(job, maybe_taken, recalled)
        return known_as or KnownAs(self._sender.visible_id(revised, with_store=False))  # begun by an earlier version

    async def _known_as(self, job: Job, maybe_taken: int, recalled: Recollection) -> KnownAs | None:
        if job.known_as is not None and job.maybe_taken == maybe_taken:
            return job.known_as
        return tried_as(await recalled.deliveries(job.conversion_id), self._lane.destination, maybe_taken)

    async def attempts(self, job: Job, revised: ConversionRevised, recalled: Recollection) -> int:
        """Returns how many attempts at a creation the ledger has of an earlier job, so that no row is written over."""
        if job.tried_revision == revised.revision:
            return 0  # this job counts on by itself
        return attempts_at(await recalled.deliveries(job.conversion_id), self._lane.destination, revised.revision)

    async def attempts_untaken(self, job: Job, revised: ConversionRevised, recalled: Recollection) -> int:
        """Returns how many attempts at a creation an earlier job made that certainly were not taken, likewise."""
        if not job.may_be_tried_before:
            return 0
        if job.attempts_untaken is None:  # by an earlier version, or the destination said so later
            return await self.attempts(job, revised, recalled)
        revision, made = job.attempts_untaken
        return made if revision == revised.revision != job.tried_revision else 0
