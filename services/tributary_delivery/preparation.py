"""Reads what leased jobs are about and decides what each sends: last thing before the attempt is noted.

The one rule: what is sent is what holds now, but for a creation that was tried before. That carries the same content
again, for its message id is the same, and whoever took it then ignores it now. A revision that was tried and is not
sent again is closed in the ledger before anything newer is sent: after that nobody knows of it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE, INELIGIBLE_REASON_NO_CONSENT, Delivery
from tributary_delivery.attempt import Attempt
from tributary_delivery.candidates import decide
from tributary_delivery.ledger import Ledger, Memory, attempts_at, ineligible, remembered, superseded
from tributary_delivery.newest import NewestRevisions
from tributary_delivery.permissions import Permissions
from tributary_runtime import metrics
from tributary_runtime.destination_settings import WebhookDestination
from tributary_runtime.errors import UnavailableError
from tributary_storage.redis.delivery_jobs import Job, Lane, Settled, Settlement, Taken

log = structlog.get_logger(__name__)

_POSTPONE_SECONDS = 5.0
_UNSTORED_SECONDS = 0.5
"""After how long it is looked again for what attribution has published and is about to store."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What becomes of leased jobs."""

    ready: list[Attempt] = field(default_factory=list)
    done: list[tuple[Settled, Delivery | None]] = field(default_factory=list)
    """Nothing is sent; with the ledger's line if there is something to say."""


class Preparation:
    """Prepares the jobs of one lane.

    Args:
        lane: Which.
        settings: Of the destination.
        newest: Where conversions are read as they are now.
        memory: What ClickHouse knows of them.
        ledger: Where it is written that a newer revision took the place of one that was tried.
        permissions: What people allow now.
    """

    def __init__(
        self,
        lane: Lane,
        settings: WebhookDestination,
        newest: NewestRevisions,
        memory: Memory,
        ledger: Ledger,
        permissions: Permissions,
    ) -> None:
        self._permissions = permissions
        self._lane = lane
        self._settings = settings
        self._newest = newest
        self._memory = memory
        self._ledger = ledger

    async def prepare(self, jobs: Sequence[Job]) -> Prepared:
        """Decides about jobs; one that ClickHouse is needed for while it is out holds no other up.

        Raises:
            StorageUnavailableError: The conversions, or what people allow, cannot be read.
        """
        newest = await self._newest.read(self._lane.workspace, [job.conversion_id for job in jobs])
        prepared = Prepared()
        known = []
        for job in jobs:
            if job.conversion_id in newest.unstored:
                unstored = Settled(job.conversion_id, Settlement.AGAIN, 0, delay_seconds=_UNSTORED_SECONDS)
                prepared.done.append((unstored, None))
                continue
            revised = newest.revisions.get(job.conversion_id)
            if revised is not None:
                known.append(self._decide_or_postpone(job, revised, prepared))
                continue
            # Neither Redis nor ClickHouse knows it: erased, or of an installation that was reset.
            log.warning("delivery_dropped", destination=self._lane.destination, conversion_id=job.conversion_id)
            prepared.done.append((Settled(job.conversion_id, Settlement.DROPPED, job.revision), None))
        await asyncio.gather(*known)
        return await self._permitted(prepared)

    async def _permitted(self, prepared: Prepared) -> Prepared:
        """Returns the same without what people do not allow to leave: asked last."""
        if not prepared.ready:
            return prepared
        ready = prepared.ready
        denied = await self._permissions.denied(self._lane.workspace, [one.revised for one in ready])
        done = list(prepared.done)
        for one in ready:
            if one.job.conversion_id in denied:
                metrics.INELIGIBLE.add(1)
                line = ineligible(
                    one.revised,
                    self._lane.destination,
                    one.operation,
                    INELIGIBLE_REASON_NO_CONSENT,
                    one.job.plan_micros,
                )
                done.append((Settled(one.job.conversion_id, Settlement.DROPPED, one.revised.revision), line))
        return Prepared([one for one in ready if one.job.conversion_id not in denied], done)

    async def _decide_or_postpone(self, job: Job, revised: ConversionRevised, prepared: Prepared) -> None:
        try:
            await self._decide(job, revised, prepared)
        except UnavailableError as outage:
            log.warning("delivery_postponed", destination=self._lane.destination, reason=str(outage))
            again = Settled(job.conversion_id, Settlement.AGAIN, 0, delay_seconds=_POSTPONE_SECONDS)
            prepared.done.append((again, None))

    async def _decide(self, job: Job, revised: ConversionRevised, prepared: Prepared) -> None:
        taken, maybe_taken = await self._taken(job)
        decision = decide(revised, self._settings, taken, maybe_taken=maybe_taken > 0)
        if decision.is_sent:
            before = 0
            if decision.operation == DELIVERY_OPERATION_CREATE and 0 < maybe_taken <= revised.revision:
                if maybe_taken < revised.revision:
                    revised = await self._as_tried(revised, maybe_taken)
                before = await self._attempts_before(job, revised)
            await self._supersede(job, revised)
            prepared.ready.append(Attempt(job, revised, decision.operation, taken, maybe_taken, before))
            return
        line = None
        if not decision.is_known:
            metrics.INELIGIBLE.add(1)
            line = ineligible(revised, self._lane.destination, decision.operation, decision.reason, job.plan_micros)
        await self._supersede(job, revised)
        prepared.done.append((Settled(job.conversion_id, Settlement.DROPPED, revised.revision), line))

    async def _attempts_before(self, job: Job, revised: ConversionRevised) -> int:
        """Returns how many attempts at a creation the ledger has of an earlier job, so that no row is written over."""
        if job.tried_revision == revised.revision:
            return 0  # this job counts on by itself
        deliveries = await self._memory.deliveries(self._lane.workspace, job.conversion_id)
        return attempts_at(deliveries, self._lane.destination, revised.revision)

    async def _supersede(self, job: Job, revised: ConversionRevised) -> None:
        """Writes what became of the revision that was tried last, where it is not what is dealt with now."""
        if not job.tried_revision or job.tried_revision == revised.revision:
            return
        deliveries = await self._memory.deliveries(self._lane.workspace, job.conversion_id)
        lines = superseded(deliveries, self._lane.destination, job.tried_revision)
        if lines:
            await self._ledger.write([(self._lane.workspace, line) for line in lines])

    async def _taken(self, job: Job) -> tuple[Taken | None, int]:
        if job.taken is not None or job.maybe_taken or job.never_sent:
            return job.taken, job.maybe_taken
        deliveries = await self._memory.deliveries(self._lane.workspace, job.conversion_id)
        return remembered(deliveries, self._lane.destination)

    async def _as_tried(self, revised: ConversionRevised, revision: int) -> ConversionRevised:
        """Returns the conversion as it was when its creation was tried first; as it is where that is forgotten."""
        revisions = await self._memory.revisions(self._lane.workspace, revised.state.conversion_id)
        return next((one for one in revisions if one.revision == revision), revised)
