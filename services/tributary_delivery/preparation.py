"""Reads what leased jobs are about and what people allow: last thing before the attempt is noted.

The one rule: consent is asked last, after everything else was decided, and again for each part of a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_OUT_OF_SCOPE,
    IneligibleReason,
)
from tributary_delivery.attempt import Attempt, AttemptRules
from tributary_delivery.candidates import consent_basis, in_scope
from tributary_delivery.decisions import Decisions, Prepared
from tributary_delivery.destinations.adapter import Permits
from tributary_delivery.doubts import Done, Doubts, not_again
from tributary_delivery.ledger import Ledger, Memory, left_wrong, untold_of
from tributary_delivery.newest import NewestRevisions
from tributary_delivery.people_told_of import PeopleToldOf
from tributary_delivery.permissions import Permissions, why_not
from tributary_delivery.recollection import Recollection
from tributary_delivery.same_orders import Jobs, SameOrders
from tributary_delivery.sender import Refused, Sender
from tributary_delivery.superseded_stages import SupersededStages
from tributary_delivery.withheld import without
from tributary_domain.consent import DENIED, GRANTED
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import UnavailableError
from tributary_storage.redis.delivery_job import Job, Lane, Settled, Settlement

log = structlog.get_logger(__name__)

_CLICK_WITHHELD: Final = "a consent string of the person did not name the destination when they clicked (tcf_vendor)"
_POSTPONE_SECONDS = 5.0
_UNSTORED_SECONDS = 0.5
"""After how long it is looked again for what attribution has published and is about to store."""


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
        jobs: What is under way.
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
        jobs: Jobs,
    ) -> None:
        self._lane = lane
        self._settings = settings
        self._sender = sender
        self._newest = newest
        self._memory = memory
        self._permissions = permissions
        self._people = PeopleToldOf(newest, memory)
        self._clock = clock
        self._doubts = Doubts(lane, sender, ledger)
        orders = SameOrders(lane, settings, jobs, clock)
        stages = SupersededStages(lane, settings, sender, newest)
        self._decisions = Decisions(lane, settings, sender, rules, clock, ledger, orders, stages)

    async def prepare(self, jobs: Sequence[Job]) -> Prepared:
        """Decides about jobs; one that ClickHouse is needed for while it is out holds no other up.

        Raises:
            StorageUnavailableError: The conversions, or what people allow, cannot be read.
        """
        newest = await self._newest.read(self._lane.workspace, [job.conversion_id for job in jobs])
        prepared, recalled = Prepared(), Recollection(self._memory, self._lane.workspace)
        known = []
        for job in jobs:
            if job.conversion_id in newest.unstored:
                unstored = Settled(job.conversion_id, Settlement.AGAIN, 0, delay_seconds=_UNSTORED_SECONDS)
                prepared.done.append((unstored, None))
                continue
            revised = newest.revisions.get(job.conversion_id)
            if revised is not None:
                known.append(self._decide_or_postpone(job, revised, recalled, prepared))
                continue
            # Neither Redis nor ClickHouse knows it: erased, or of an installation that was reset.
            log.warning("delivery_dropped", destination=self._lane.destination, conversion_id=job.conversion_id)
            prepared.done.append((Settled(job.conversion_id, Settlement.DROPPED, job.revision), None))
        await asyncio.gather(*known)
        allowed, withheld = await self.permitted(prepared.ready)
        return Prepared(allowed, prepared.done + withheld)

    async def not_sent_again(self, refused: Sequence[Refused]) -> list[Done]:
        """Returns what becomes of creations that cannot be sent, though an attempt before may have been taken.

        Raises:
            StorageUnavailableError: What was sent before cannot be read.
        """
        if not refused:
            return []
        recalled = Recollection(self._memory, self._lane.workspace)
        newest = await self._newest.read(self._lane.workspace, [one.attempt.job.conversion_id for one in refused])
        given_up = []
        for one in refused:
            attempt, why = one.attempt, not_again(one.reason, one.message)
            # What is not stored yet, and newer than what is given up, stays to be done.
            now = newest.revisions.get(attempt.job.conversion_id, attempt.revised)
            given_up.append(self._doubts.give_up(attempt, now, why, recalled, reason=one.reason))
        return await asyncio.gather(*given_up)

    async def permitted(self, attempts: Sequence[Attempt]) -> tuple[list[Attempt], list[Done]]:
        """Returns those that people allow to leave, without what they withhold, and what becomes of the others.

        They are asked last.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        if not attempts:
            return [], []
        now_seconds = self._clock.monotonic_seconds()
        permits = await self._permitted(attempts)
        allowed: list[Attempt] = []
        withheld: list[Done] = []
        doubtful: list[Refused] = []
        for one in attempts:
            own = permits[one.job.conversion_id]
            told = without(one.revised, own.withheld_until_micros)
            if not (own.basis == GRANTED or (own.basis != DENIED and not self._sender.needs_grant)):
                refused = Refused(one, INELIGIBLE_REASON_NO_CONSENT, why_not(one.revised, own))
            elif told is not one.revised and self._lacks_its_scope(one, told):
                refused = Refused(one, INELIGIBLE_REASON_OUT_OF_SCOPE, _CLICK_WITHHELD)
            else:
                allowed.append(replace(one, revised=told, permits=own, ask_seconds=now_seconds))
                continue
            if one.is_doubtful:
                doubtful.append(refused)
            else:
                metrics.INELIGIBLE.add(1)
                withheld.append(self._withheld(one, own, refused.reason, refused.message))
        return allowed, withheld + await self.not_sent_again(doubtful)

    async def _permitted(self, attempts: Sequence[Attempt]) -> dict[str, Permits]:
        workspace, revisions = self._lane.workspace, [one.revised for one in attempts]
        others = await self._people.others(workspace, attempts)
        named = {one.job.conversion_id: one.named for one in attempts}
        return await self._permissions.read(workspace, revisions, self._sender.tcf_vendor, others, named)

    async def changed(self, attempts: Sequence[Attempt]) -> set[str]:
        """Returns the conversions whose people allow something else by now than when attempts were put into words.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        permits = await self._permitted(attempts)
        ids = {one.job.conversion_id: one.permits for one in attempts}
        return {conversion_id for conversion_id, before in ids.items() if permits[conversion_id] != before}

    async def outdated(self, attempts: Sequence[Attempt]) -> set[str]:
        """Returns the conversions that have changed since it was decided what is said of them.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        newest = await self._newest.read(self._lane.workspace, [one.job.conversion_id for one in attempts])
        decided = {one.job.conversion_id: one.decided_revision for one in attempts}
        newer = {name for name, one in newest.revisions.items() if one.revision > decided[name]}
        return newest.unstored | newer

    def _lacks_its_scope(self, one: Attempt, told: ConversionRevised) -> bool:
        """Tells whether what is to be told first is not for the destination without what its person withholds."""
        is_first = not (one.is_correction or one.is_doubtful)
        return is_first and not in_scope(told, self._settings)

    def _withheld(self, one: Attempt, permits: Permits, reason: IneligibleReason.ValueType, why: str) -> Done:
        """Returns what is said of what its person does not allow: of a correction, what the destination has wrong."""
        about = (one.revised, self._lane.destination, one.operation)
        if one.operation in (DELIVERY_OPERATION_RESTATE, DELIVERY_OPERATION_RETRACT):
            return left_wrong(*about, one.taken, one.job.plan_micros, one.told, why, reason=reason)
        line = untold_of(*about, reason, one.job.plan_micros, why, one.kept)
        line.consent_basis = consent_basis(one.revised, permits)
        is_untaken = one.was_refused and not one.maybe_taken
        return Settled(one.job.conversion_id, Settlement.DROPPED, one.last_revision, is_untaken=is_untaken), line

    async def _decide_or_postpone(
        self, job: Job, revised: ConversionRevised, recalled: Recollection, prepared: Prepared
    ) -> None:
        try:
            await self._decisions.decide(job, revised, recalled, prepared)
        except UnavailableError as outage:
            log.warning("delivery_postponed", destination=self._lane.destination, reason=str(outage))
            again = Settled(job.conversion_id, Settlement.AGAIN, 0, delay_seconds=_POSTPONE_SECONDS)
            prepared.done.append((again, None))
