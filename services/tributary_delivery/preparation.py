"""Reads what leased jobs are about and decides what each sends: last thing before the attempt is noted.

The one rule: what is sent is what holds now, but for a creation that was tried before. That carries the same content
again, for its message id is the same, and whoever took it then ignores it now. A revision that was tried and is not
sent again is closed in the ledger before anything newer is sent: after that nobody knows of it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_CREDIT,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    INELIGIBLE_REASON_NO_CONSENT,
    OUTCOME_CLASS_UNKNOWN,
    Delivery,
)
from tributary_delivery.attempt import Attempt, AttemptRules, ledger_line, taken_by
from tributary_delivery.candidates import Decision, decide
from tributary_delivery.destinations.destination import Outcome
from tributary_delivery.ledger import (
    Ledger,
    Memory,
    attempts_at,
    first_sent,
    ineligible,
    left_wrong,
    remembered,
    superseded,
    tried_micros,
    undeliverable,
)
from tributary_delivery.newest import NewestRevisions
from tributary_delivery.permissions import Permissions
from tributary_delivery.sender import Sender
from tributary_delivery.sent_values import Told, credited_share, told_of
from tributary_domain.consent import DENIED, GRANTED
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings, SentValue
from tributary_runtime.errors import UnavailableError
from tributary_storage.redis.delivery_job import Job, Lane, Settled, Settlement, Taken

log = structlog.get_logger(__name__)

_POSTPONE_SECONDS = 5.0
_UNSTORED_SECONDS = 0.5
"""After how long it is looked again for what attribution has published and is about to store."""
_TOO_LATE = "Nobody knows whether an earlier attempt was taken, and the destination would not know it again by now."


Done = tuple[Settled, Delivery | None]
"""Nothing is sent; with the ledger's line if there is something to say."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What becomes of leased jobs."""

    ready: list[Attempt] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)


class Preparation:
    """Prepares the jobs of one lane.

    Args:
        lane: Which.
        settings: Of the destination.
        sender: What the destination can be told.
        rules: For how long it may be told again.
        clock: Tells whether that is over.
        newest: Where conversions are read as they are now.
        memory: What ClickHouse knows of them.
        ledger: Where it is written that a newer revision took the place of one that was tried.
        permissions: What people allow now.
    """

    def __init__(
        self,
        lane: Lane,
        settings: DestinationSettings,
        sender: Sender,
        rules: AttemptRules,
        clock: Clock,
        newest: NewestRevisions,
        memory: Memory,
        ledger: Ledger,
        permissions: Permissions,
    ) -> None:
        self._permissions = permissions
        self._lane = lane
        self._settings = settings
        self._sender = sender
        self._rules = rules
        self._clock = clock
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
        allowed, withheld = await self.permitted(prepared.ready)
        return Prepared(allowed, prepared.done + withheld)

    async def permitted(self, attempts: Sequence[Attempt]) -> tuple[list[Attempt], list[Done]]:
        """Returns those that people allow to leave, and what becomes of the others: asked last.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        if not attempts:
            return [], []
        permits = await self._permissions.read(self._lane.workspace, [one.revised for one in attempts])
        allowed: list[Attempt] = []
        withheld: list[Done] = []
        for one in attempts:
            own = permits[one.job.conversion_id]
            if own.ad_user_data == GRANTED or (own.ad_user_data != DENIED and not self._sender.needs_grant):
                allowed.append(replace(one, permits=own))
            else:
                metrics.INELIGIBLE.add(1)
                about = (one.revised, self._lane.destination, one.operation)
                line = ineligible(*about, INELIGIBLE_REASON_NO_CONSENT, one.job.plan_micros)
                withheld.append((Settled(one.job.conversion_id, Settlement.DROPPED, one.revised.revision), line))
        return allowed, withheld

    async def _decide_or_postpone(self, job: Job, revised: ConversionRevised, prepared: Prepared) -> None:
        try:
            await self._decide(job, revised, prepared)
        except UnavailableError as outage:
            log.warning("delivery_postponed", destination=self._lane.destination, reason=str(outage))
            again = Settled(job.conversion_id, Settlement.AGAIN, 0, delay_seconds=_POSTPONE_SECONDS)
            prepared.done.append((again, None))

    async def _decide(self, job: Job, revised: ConversionRevised, prepared: Prepared) -> None:
        taken, maybe_taken, doubt_micros = await self._taken(job, revised)
        told = await self._told(job, taken, maybe_taken)
        decision = decide(revised, self._settings, taken, maybe_taken=maybe_taken > 0, told=told)
        if self._is_undeliverable(taken, decision):
            await self._supersede(job, revised)
            prepared.done.append(await self._left_wrong(job, revised, taken, decision, told))
            return
        line = None
        if decision.is_sent and decision.operation in self._sender.operations:
            newest, before = revised, 0
            if decision.operation == DELIVERY_OPERATION_CREATE and 0 < maybe_taken <= revised.revision:
                if maybe_taken < revised.revision:
                    revised = await self._as_tried(revised, maybe_taken)
                before = await self._attempts_before(job, revised)
            await self._supersede(job, revised)
            attempt = Attempt(job, revised, decision.operation, taken, maybe_taken, doubt_micros, before, told=told)
            await self._admit(attempt, newest, prepared)
            return
        if not decision.is_known and decision.reason:
            metrics.INELIGIBLE.add(1)
            line = ineligible(revised, self._lane.destination, decision.operation, decision.reason, job.plan_micros)
        await self._supersede(job, revised)
        prepared.done.append((Settled(job.conversion_id, Settlement.DROPPED, revised.revision), line))

    def _is_undeliverable(self, taken: Taken | None, decision: Decision) -> bool:
        """Tells whether the destination has something wrong and no way to be told, or had.

        A correction of what it may never have taken would be a conversion of its own to a destination that takes many
        at once.
        """
        operations, operation = self._sender.operations, decision.operation
        if not decision.is_sent or operation == DELIVERY_OPERATION_CREATE:
            return False
        if operation == DELIVERY_OPERATION_CREDIT:
            return operation not in operations and taken is not None and taken.residual_micros != 0
        return operation not in operations or (taken is None and DELIVERY_OPERATION_CREDIT not in operations)

    async def _told(self, job: Job, taken: Taken | None, maybe_taken: int) -> Told:
        """Returns which value the destination is told: of what it has, in the share that it was sent first."""
        told = told_of(self._settings)
        if told.value is not SentValue.CREDITED or (taken is None and not maybe_taken):
            return told
        workspace, conversion_id = self._lane.workspace, job.conversion_id
        first = first_sent(await self._memory.deliveries(workspace, conversion_id), self._lane.destination)
        revision = first.revision if first is not None else maybe_taken
        revisions = await self._memory.revisions(workspace, conversion_id)
        sent = next((one for one in revisions if one.revision == revision), None)
        return told if sent is None else replace(told, frozen=credited_share(sent.state, told))

    async def _left_wrong(
        self, job: Job, revised: ConversionRevised, taken: Taken | None, decision: Decision, told: Told
    ) -> Done:
        about = (revised, self._lane.destination, decision.operation)
        settled, line = left_wrong(*about, taken, job.plan_micros, told)
        if line is not None and not line.HasField("residual"):  # nobody knows by how much: once for each value
            deliveries = await self._memory.deliveries(self._lane.workspace, job.conversion_id)
            if any(_says_the_same(one, line) for one in deliveries):
                return settled, None
        return settled, line

    async def _admit(self, attempt: Attempt, newest: ConversionRevised, prepared: Prepared) -> None:
        """Takes an attempt, unless it comes too late to be made; then nothing newer can be told either.

        Of one that is too late the ledger may know that it was taken: its process died before it settled the job.
        """
        if not self._rules.is_too_late(attempt, attempt.doubt_micros, self._clock.unix_micros()):
            prepared.ready.append(attempt)
            return
        job, revision = attempt.job, attempt.revised.revision
        line = await self._last_line(attempt)
        if line.state == DELIVERY_STATE_ACCEPTED:
            taken = taken_by(replace(attempt, maybe_taken=0))
            prepared.done.append((Settled(job.conversion_id, Settlement.TAKEN, revision, taken=taken), None))
            return
        line.state, line.outcome, line.message = DELIVERY_STATE_DEAD, OUTCOME_CLASS_UNKNOWN, _TOO_LATE
        line.ClearField("due_time")
        if newest.revision != revision:
            await self._ledger.write([(self._lane.workspace, line)])
            about = (newest, self._lane.destination, DELIVERY_OPERATION_RESTATE)
            line = undeliverable(*about, None, job.plan_micros, attempt.told)
        prepared.done.append((Settled(job.conversion_id, Settlement.GIVEN_UP, newest.revision), line))

    async def _last_line(self, attempt: Attempt) -> Delivery:
        """Returns the ledger's line of the attempt that was made last."""
        job, revision = attempt.job, attempt.revised.revision
        deliveries = await self._memory.deliveries(self._lane.workspace, job.conversion_id)
        line = next(
            (one for one in deliveries if (one.destination_id, one.revision) == (self._lane.destination, revision)),
            None,
        )
        if line is None or not line.attempts:  # its process died before it could write anything down
            made = max(1, job.attempts if job.tried_revision == revision else attempt.attempts_before)
            visible_id = self._sender.visible_id(attempt.revised)
            unwritten = replace(attempt, number=made, visible_id=visible_id, now_micros=attempt.doubt_micros)
            line = ledger_line(unwritten, Outcome(OUTCOME_CLASS_UNKNOWN))
            line.destination_id = self._lane.destination
        return line

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

    async def _taken(self, job: Job, revised: ConversionRevised) -> tuple[Taken | None, int, int]:
        """Returns what the destination took; what it was tried to be created with; since when an outcome is unknown."""
        if job.taken is not None or job.maybe_taken or job.never_sent:
            is_same = job.maybe_taken or job.tried_revision == revised.revision
            return job.taken, job.maybe_taken, job.doubt_micros if is_same else 0
        deliveries = await self._memory.deliveries(self._lane.workspace, job.conversion_id)
        taken, maybe_taken = remembered(deliveries, self._lane.destination)
        return taken, maybe_taken, tried_micros(deliveries, self._lane.destination, maybe_taken)

    async def _as_tried(self, revised: ConversionRevised, revision: int) -> ConversionRevised:
        """Returns the conversion as it was when its creation was tried first; as it is where that is forgotten."""
        revisions = await self._memory.revisions(self._lane.workspace, revised.state.conversion_id)
        return next((one for one in revisions if one.revision == revision), revised)


def _says_the_same(one: Delivery, line: Delivery) -> bool:
    """Tells whether the ledger says already of a destination what is to be written."""
    is_same_place = (one.destination_id, one.state) == (line.destination_id, line.state)
    return is_same_place and one.value == line.value and one.operation == line.operation
