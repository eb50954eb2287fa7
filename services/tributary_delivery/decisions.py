"""Decides what one leased job sends, with what the ledger knows of its conversion.

The one rule: what is sent is what holds now, but for a creation that was tried before. That carries the same content
again, under the same id, name and account, for whoever took it then ignores it now; and what was sent is told the same
value of as it was first, whatever the file says since. A revision that was tried and is not sent again is closed in the
ledger before anything newer is sent: after that nobody knows of it any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_CREDIT,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_OPERATION_TEST,
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_UNSPECIFIED,
    DeliveryOperation,
    IneligibleReason,
)
from tributary_delivery.attempt import Attempt, AttemptRules
from tributary_delivery.candidates import Decision, decide, stands
from tributary_delivery.confirmations import unconfirmed_seconds
from tributary_delivery.destinations.adapter import Permits
from tributary_delivery.doubts import IN_DOUBT, PASSED_ON_TO_ANOTHER, Done, Doubts, not_again
from tributary_delivery.ledger import (
    Ledger,
    first_sent,
    first_tried,
    is_said_wrong,
    left_wrong,
    says_the_same,
    superseded,
    undeliverable,
    untold_of,
)
from tributary_delivery.permissions import why_not
from tributary_delivery.recollection import Recollection
from tributary_delivery.residuals import CORRECTIONS, put_residual
from tributary_delivery.same_orders import LACKED, SameOrders
from tributary_delivery.sender import Sender
from tributary_delivery.sent_before import SentBefore
from tributary_delivery.sent_values import Told, told_of
from tributary_delivery.superseded_stages import Fate, SupersededStages
from tributary_domain.consent import DENIED
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_storage.redis.delivery_job import (
    NO_RESIDUAL,
    PASSED_ON,
    UNKNOWN_VALUE,
    Job,
    Lane,
    Settled,
    Settlement,
    Taken,
)

_DENIED: Final = Permits(DENIED, DENIED)
_AWAIT_SECONDS: Final = 2.0
"""After how long it is looked again whether the order in whose place a conversion counts was taken, or whether the
stage that counts in its place is stored."""
_TOO_LATE: Final = f"{IN_DOUBT}, and the destination would not know it again by now."
_ELSEWHERE: Final = "It was sent to {}, which workspaces.yaml no longer names; what is there now knows nothing of it."
_MAYBE_ELSEWHERE: Final = f"{IN_DOUBT} by {{}}, which workspaces.yaml no longer names."


@dataclass(frozen=True, slots=True)
class Prepared:
    """What becomes of leased jobs."""

    ready: list[Attempt] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)


class Decisions:
    """Decides for one lane.

    Args:
        lane: Which.
        settings: Of the destination.
        sender: What the destination can be told.
        rules: For how long it may be told again.
        clock: Tells whether that is over.
        ledger: Where it is written that a newer revision took the place of one that was tried.
        orders: Which conversion has what was sent of an order that was told in two ways.
        stages: Whose is what was sent of a stage that a later one of its lead took the place of.
    """

    def __init__(
        self,
        lane: Lane,
        settings: DestinationSettings,
        sender: Sender,
        rules: AttemptRules,
        clock: Clock,
        ledger: Ledger,
        orders: SameOrders,
        stages: SupersededStages,
    ) -> None:
        self._lane = lane
        self._settings = settings
        self._sender = sender
        self._rules = rules
        self._clock = clock
        self._ledger = ledger
        self._orders = orders
        self._stages = stages
        self._before = SentBefore(lane, settings, sender, orders)
        self._doubts = Doubts(lane, sender, ledger)
        self._corrects = DELIVERY_OPERATION_CREDIT not in sender.operations

    async def decide(self, job: Job, revised: ConversionRevised, recalled: Recollection, prepared: Prepared) -> None:
        """Puts into `prepared` what becomes of a job whose conversion is `revised` now.

        Raises:
            UnavailableError: Nothing is decided; ClickHouse did not answer.
        """
        if await self._orders.is_awaited(job, revised, recalled):
            prepared.done.append((Settled(job.conversion_id, Settlement.AGAIN, 0, delay_seconds=_AWAIT_SECONDS), None))
            return
        taken, maybe_taken, doubt_micros = await self._before.taken(job, revised, recalled)
        told = await self._before.told(job, revised, taken, maybe_taken, recalled)
        was_sent = taken is not None or maybe_taken > 0
        is_passed_on = was_sent and (
            await self._orders.is_passed_on(revised, recalled) or await self._orders.is_given_back(revised, recalled)
        )
        fate = await self._stages.fate(job, revised, maybe_taken, recalled) if was_sent else Fate.PASSED_ON
        if fate is Fate.AWAITED:
            prepared.done.append((Settled(job.conversion_id, Settlement.AGAIN, 0, delay_seconds=_AWAIT_SECONDS), None))
            return
        changed = {"is_passed_on": is_passed_on, "is_taken_back": fate is Fate.TAKEN_BACK}
        decision = decide(revised, self._settings, taken, maybe_taken=maybe_taken > 0, told=told, **changed)
        if taken is not None and taken.residual == LACKED and decision.operation == DELIVERY_OPERATION_CREDIT:
            decision = replace(decision, operation=DELIVERY_OPERATION_RESTATE)  # told once as this one, whatever it has
        if taken is not None and self._was_told(job, revised, decision):
            taken = replace(taken, value_micros=UNKNOWN_VALUE)
            decision = decide(revised, self._settings, taken, told=told, **changed)
        operation = self._operation(decision, taken)
        about = (job, revised, operation, taken, told, recalled)
        attempt = Attempt(job, revised, operation, taken, maybe_taken, doubt_micros, told=told)
        attempt = replace(attempt, is_passed_on=is_passed_on)
        if decision.is_passed_on:
            prepared.done.append(await self._pass_on(job, revised, taken, recalled))
        elif self._is_withheld(decision, taken, maybe_taken):
            prepared.done.append(await self._left_wrong(*about, reason=decision.reason))
        elif decision.reason and maybe_taken:
            prepared.done.append(await self._never_again(attempt, decision.reason, recalled))
        elif not decision.is_sent or operation not in self._sender.operations:
            if decision.is_sent and self._has_it_wrong(operation, taken):
                prepared.done.append(await self._left_wrong(*about))
            else:
                prepared.done.append(await self._not_sent(job, revised, decision, recalled))
        else:
            attempt = replace(attempt, decided_revision=revised.revision)
            if operation == DELIVERY_OPERATION_TEST:
                await self._supersede(job, revised, recalled)
                prepared.ready.append(attempt)
            elif operation == DELIVERY_OPERATION_CREATE:
                await self._create(attempt, recalled, prepared)
            else:
                await self._correct(attempt, recalled, prepared)

    def _operation(self, decision: Decision, taken: Taken | None) -> DeliveryOperation.ValueType:
        """Returns what is to be said.

        Where a creation is in doubt and the conversion counts no more, it is said once more as it was, and taken back
        when it is certain: to a destination that takes many at once a correction of what it never took would be a
        conversion of its own.
        """
        operations = self._sender.operations
        is_doubtful = decision.operation == DELIVERY_OPERATION_RETRACT and taken is None
        if is_doubtful and DELIVERY_OPERATION_RETRACT in operations and DELIVERY_OPERATION_CREDIT not in operations:
            return DELIVERY_OPERATION_CREATE
        return decision.operation

    def _was_told(self, job: Job, revised: ConversionRevised, decision: Decision) -> bool:
        """Tells whether what looks like no news was tried all the same: nobody knew what the destination has."""
        is_no_news = decision.operation == DELIVERY_OPERATION_CREDIT and not decision.is_known
        return self._corrects and is_no_news and job.tried_revision == revised.revision

    @staticmethod
    def _is_withheld(decision: Decision, taken: Taken | None, maybe_taken: int) -> bool:
        """Tells whether a destination has something wrong and must not be told."""
        was_sent = taken is not None or maybe_taken > 0
        return bool(decision.reason) and was_sent and decision.operation in CORRECTIONS

    @staticmethod
    def _has_it_wrong(operation: DeliveryOperation.ValueType, taken: Taken | None) -> bool:
        """Tells whether a destination that cannot be told of a change has something wrong by it, or had."""
        if operation == DELIVERY_OPERATION_CREDIT:
            return taken is not None and not taken.residual.is_none
        return operation in CORRECTIONS

    async def _pass_on(self, job: Job, revised: ConversionRevised, taken: Taken | None, recalled: Recollection) -> Done:
        """Leaves what was sent to another one: to a later stage of its lead, or to the same order with its cycle.

        Should that be taken back, what it was is said once more.
        """
        await self._supersede(job, revised, recalled)
        conversion_id, number = job.conversion_id, revised.revision
        line = None
        if await self._is_said_wrong(job, taken, recalled):  # the other one says so from now on
            about = (revised, self._lane.destination, DELIVERY_OPERATION_RETRACT, taken, job.plan_micros)
            line = undeliverable(*about, told_of(self._settings), PASSED_ON_TO_ANOTHER)
            put_residual(line, NO_RESIDUAL)
        if taken is None:
            return Settled(conversion_id, Settlement.DROPPED, number), line
        passed = replace(taken, revision=number, value_micros=PASSED_ON, residual=NO_RESIDUAL)
        return Settled(conversion_id, Settlement.TAKEN, number, taken=passed), line

    async def _is_said_wrong(self, job: Job, taken: Taken | None, recalled: Recollection) -> bool:
        """Tells whether the ledger says of a conversion last that the destination has something wrong of it."""
        if taken is not None and taken.value_micros != UNKNOWN_VALUE:
            return not taken.residual.is_none
        return is_said_wrong(await recalled.deliveries(job.conversion_id), self._lane.destination)

    async def _not_sent(self, job: Job, revised: ConversionRevised, decision: Decision, recalled: Recollection) -> Done:
        line = None
        if not decision.is_known and decision.reason:
            metrics.INELIGIBLE.add(1)
            about = (revised, self._lane.destination, decision.operation)
            why = why_not(revised, _DENIED) if decision.reason == INELIGIBLE_REASON_NO_CONSENT else ""
            kept = await self._orders.kept(job, revised, recalled)
            line = untold_of(*about, decision.reason, job.plan_micros, why, kept)
        await self._supersede(job, revised, recalled)
        return Settled(job.conversion_id, Settlement.DROPPED, revised.revision), line

    async def _create(self, attempt: Attempt, recalled: Recollection, prepared: Prepared) -> None:
        """Has a conversion sent first; as it was sent before, if it was."""
        newest, first, attempt = attempt.revised, attempt, await self._as_tried(attempt, recalled)
        attempt = replace(attempt, newest=newest, kept=await self._orders.kept(attempt.job, newest, recalled))
        if attempt.job.risks_duplicates and self._is_elsewhere(attempt):  # where it is sent now, it is another one
            attempts_before = await self._before.attempts(first.job, newest, recalled)
            told = told_of(self._settings)
            attempt = replace(first, maybe_taken=0, attempts_before=attempts_before, told=told)
        await self._supersede(attempt.job, attempt.revised, recalled)
        why = self._why_never_again(attempt)
        if not why:
            prepared.ready.append(attempt)
        else:
            prepared.done.append(await self._doubts.give_up(attempt, newest, why, recalled))

    async def _as_tried(self, attempt: Attempt, recalled: Recollection) -> Attempt:
        """Returns a creation as it was tried before, if it was and that is still known."""
        job, newest, maybe_taken = attempt.job, attempt.revised, attempt.maybe_taken
        if not 0 < maybe_taken <= newest.revision:
            return replace(attempt, attempts_before=await self._before.attempts_untaken(job, newest, recalled))
        as_tried = newest
        if maybe_taken < newest.revision:
            as_tried = await recalled.revision(job.conversion_id, maybe_taken) or newest
        return replace(
            attempt,
            revised=as_tried,
            known_as=await self._before.tried_as(job, as_tried, maybe_taken, recalled),
            attempts_before=await self._before.attempts(job, as_tried, recalled),
        )

    async def _never_again(self, attempt: Attempt, reason: IneligibleReason.ValueType, recalled: Recollection) -> Done:
        """Returns what becomes of a creation that may have been taken, and whose conversion is no longer for here.

        It is a dead letter once: what comes later of a conversion that is one already is a change nobody is told.
        """
        job, newest = attempt.job, attempt.revised
        attempt = await self._as_tried(attempt, recalled)
        is_change = not job.tried_revision and newest.revision != attempt.revised.revision
        if is_change and await self._doubts.is_given_up(attempt, recalled):
            if attempt.is_passed_on:
                return await self._pass_on(job, newest, None, recalled)
            operation = DELIVERY_OPERATION_RESTATE if stands(newest.state) else DELIVERY_OPERATION_RETRACT
            return await self._left_wrong(job, newest, operation, None, attempt.told, recalled, reason=reason)
        await self._supersede(job, attempt.revised, recalled)
        return await self._doubts.give_up(attempt, newest, not_again(reason), recalled, reason=reason)

    def _why_never_again(self, attempt: Attempt) -> str:
        """Returns why an attempt could be taken for a new conversion; "": it could not."""
        if self._rules.is_too_late(attempt, attempt.doubt_micros, self._clock.unix_micros()):
            return _TOO_LATE
        if attempt.known_as is None or not self._is_elsewhere(attempt):
            return ""
        return _MAYBE_ELSEWHERE.format(attempt.known_as.account)

    def _is_elsewhere(self, attempt: Attempt) -> bool:
        """Tells whether what was sent to an account is unknown where is sent now."""
        account = attempt.known_as.account if attempt.known_as is not None else ""
        return bool(account) and account != self._sender.account

    async def _correct(self, attempt: Attempt, recalled: Recollection, prepared: Prepared) -> None:
        """Has a change sent of what the destination has."""
        job, revised = attempt.job, attempt.revised
        if self._corrects:  # it names what it changes
            deliveries = await self._orders.sent(job, revised, recalled)
            now_micros, most_seconds = self._clock.unix_micros(), self._settings.confirmation_seconds
            wait_seconds = unconfirmed_seconds(deliveries, self._lane.destination, now_micros, most_seconds)
            if wait_seconds:
                later = Settled(job.conversion_id, Settlement.AGAIN, 0, delay_seconds=wait_seconds)
                prepared.done.append((later, None))
                return
            destination = self._lane.destination
            pinned = first_sent(deliveries, destination) or first_tried(deliveries, destination)
            attempt = replace(attempt, pinned=pinned, known_as=pinned.known_as if pinned is not None else None)
            if pinned is not None and self._is_elsewhere(attempt):
                about = (job, revised, attempt.operation, attempt.taken, attempt.told, recalled)
                prepared.done.append(await self._left_wrong(*about, message=_ELSEWHERE.format(pinned.account)))
                return
        await self._supersede(job, revised, recalled)
        if not self._rules.is_too_late(attempt, attempt.doubt_micros, self._clock.unix_micros()):
            prepared.ready.append(attempt)
        else:
            prepared.done.append(await self._doubts.give_up(attempt, revised, _TOO_LATE, recalled))

    async def _left_wrong(
        self,
        job: Job,
        revised: ConversionRevised,
        operation: DeliveryOperation.ValueType,
        taken: Taken | None,
        told: Told,
        recalled: Recollection,
        *,
        message: str = "",
        reason: IneligibleReason.ValueType = INELIGIBLE_REASON_UNSPECIFIED,
    ) -> Done:
        """Closes what was tried before, and returns what is said of a change that the destination is not told."""
        await self._supersede(job, revised, recalled)
        if reason:
            metrics.INELIGIBLE.add(1)
        about = (revised, self._lane.destination, operation, taken, job.plan_micros, told, message, reason)
        settled, line = left_wrong(*about)
        if line is None or line.HasField("residual"):
            return settled, line
        deliveries = await recalled.deliveries(job.conversion_id)  # nobody knows by how much: once for each value
        if any(says_the_same(one, line) for one in deliveries):
            return settled, None
        return settled, line

    async def _supersede(self, job: Job, revised: ConversionRevised, recalled: Recollection) -> None:
        """Writes what became of the revision that was tried last, where it is not what is dealt with now."""
        if not job.tried_revision or job.tried_revision == revised.revision:
            return
        deliveries = await recalled.deliveries(job.conversion_id)
        lines = superseded(deliveries, self._lane.destination, job.tried_revision)
        if lines:
            await self._ledger.write([(self._lane.workspace, line) for line in lines])
