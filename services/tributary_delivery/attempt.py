"""One attempt, from the job as it was leased to what becomes of it. Decides everything; keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_CREDIT,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_OPERATION_TEST,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_PENDING,
    DELIVERY_STATE_UNDELIVERABLE_CORRECTION,
    OUTCOME_CLASS_CONFIG,
    OUTCOME_CLASS_PERMANENT,
    OUTCOME_CLASS_UNKNOWN,
    Delivery,
    DeliveryOperation,
)
from tributary_delivery.candidates import consent_basis
from tributary_delivery.destinations.adapter import Mapped, Permits, Pinned
from tributary_delivery.destinations.destination import Outcome
from tributary_delivery.destinations.policy import never
from tributary_delivery.residuals import CORRECTIONS, put_residual, residual
from tributary_delivery.sent_values import FULL, Told, sent_micros, sent_value
from tributary_domain.backoff import Backoff, Chance, is_over
from tributary_storage.redis.delivery_job import (
    UNKNOWN_VALUE,
    Job,
    KnownAs,
    Noted,
    Residual,
    Settled,
    Settlement,
    Taken,
    Tried,
)

CONFIG_PAUSE_SECONDS: Final = 600.0
"""How long a destination is left alone whose configuration is wrong; then it is tried again, somebody may have mended
it."""

_HOPELESS: Final = frozenset({OUTCOME_CLASS_PERMANENT, OUTCOME_CLASS_UNKNOWN})
STILL_COUNTED: Final = "It has no way to take a conversion back: it was told a value of 0, and counts it still."


@dataclass(frozen=True, slots=True)
class AttemptRules:
    """When to try again, and how long."""

    backoff: Backoff
    chance: Chance
    horizon_seconds: float
    """How long what fails is tried, from the first attempt; time when it was due and nobody tried does not count."""
    resend_seconds: float | None = None
    """For how long after an attempt whose outcome is unknown another may be made; None: as long as the horizon."""
    forgets: Callable[[ConversionRevised], bool] = never
    """Whether the destination would not know a conversion again at all, so that no other attempt at its creation may
    be made."""
    retracts_by_value: bool = False
    """Whether the destination takes no conversion back: it is told a value of 0, and counts it still."""

    def is_too_late(self, attempt: Attempt, doubt_micros: int, due_micros: int) -> bool:
        """Tells whether another attempt could be taken for a new conversion.

        Args:
            attempt: The one before, or which would be made.
            doubt_micros: Since when an outcome is unknown; 0: none is.
            due_micros: When it would be made.
        """
        if not doubt_micros or attempt.is_test:
            return False
        if attempt.operation == DELIVERY_OPERATION_CREATE and self.forgets(attempt.revised):
            return True
        return self.resend_seconds is not None and due_micros - doubt_micros > self.resend_seconds * 1e6


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is tried."""

    job: Job
    revised: ConversionRevised
    """What is sent."""
    operation: DeliveryOperation.ValueType
    taken: Taken | None = None
    """What the destination took before; None: nothing that is certain."""
    maybe_taken: int = 0
    """The revision that the creation carried first; 0: this is its first attempt, or no creation."""
    doubt_micros: int = 0
    """Since when it is not known whether the destination has this; 0: it is known."""
    attempts_before: int = 0
    """How many were made at this message under a job that is no more."""
    number: int = 0
    """Of attempts at this message, from 1."""
    known_as: KnownAs | None = None
    """By what the destination knows the conversion; None: it was not sent it yet, it will be as it is called now."""
    pinned: Pinned | None = None
    """Of a correction: how it was sent first; None: not known."""
    now_micros: int = 0
    decided_revision: int = 0
    """The newest revision when this was decided: what is sent may be an older one, sent once more."""
    newest: ConversionRevised | None = None
    """Of a creation: what was true when this was decided, where what is sent may be older."""
    told: Told = FULL
    """Which value it tells."""
    is_passed_on: bool = False
    """Of a creation in doubt: whether what was sent is another conversion's, should it have been taken."""
    kept: Taken | None = None
    """Of a creation: what the destination goes on having of the conversion in whose place this one counts, where this
    one is not told."""
    permits: Permits | None = None
    """What the person allows; None: not asked yet."""
    ask_seconds: float = 0.0
    """Of the monotonic clock: when that was asked."""
    named: Mapping[str, int] = field(default_factory=dict)
    """The identifiers among its match keys, by `ties.person_key`, each with when it was left, as `permissions` asks."""
    lacks_keys: bool = False
    """Whether some of them are left out, as whose they are do not allow it."""
    mapped: Mapped = field(default=Mapped({}))
    """How it was said, where several share a request."""
    event: bytes = field(default=b"", repr=False)
    """The same in the destination's language."""

    @property
    def visible_id(self) -> str:
        """By which the destination knows it; "" before it was said."""
        return self.known_as.visible_id if self.known_as is not None else ""

    @property
    def is_test(self) -> bool:
        """Whether it is a test: nothing is remembered of it, for it counts nowhere."""
        return self.operation == DELIVERY_OPERATION_TEST

    @property
    def is_correction(self) -> bool:
        """Whether it is about what the destination has."""
        return self.operation != DELIVERY_OPERATION_CREATE and not self.is_test

    @property
    def is_doubtful(self) -> bool:
        """Whether it is a creation that may have been taken already: if it is not sent again, nobody knows."""
        return self.operation == DELIVERY_OPERATION_CREATE and (self.maybe_taken > 0 or self.doubt_micros > 0)

    @property
    def was_refused(self) -> bool:
        """Of what is made once more in the same call: whether the attempt before certainly was not taken."""
        return self.number > 0 and not self.doubt_micros

    @property
    def last_revision(self) -> int:
        """The newest revision that this is about: what is sent may be an older one, sent once more."""
        return max(self.job.revision, self.revised.revision)


def tried(attempt: Attempt) -> Tried:
    """Returns what is noted of an attempt before it is made."""
    return Tried(
        attempt.job.conversion_id,
        attempt.revised.revision,
        attempt.operation == DELIVERY_OPERATION_CREATE,
        attempt.attempts_before,
        attempt.known_as,
        is_refused_before=attempt.was_refused,
        newest_revision=attempt.decided_revision if attempt.revised.revision < attempt.decided_revision else 0,
        is_value_unknown=attempt.taken is not None and attempt.taken.value_micros == UNKNOWN_VALUE,
    )


def after_split(attempt: Attempt, outcome: Outcome) -> Attempt:
    """Returns what is tried once more in a smaller request: in doubt, unless nothing of the whole was taken."""
    if outcome.is_untaken:
        return attempt
    maybe_taken = attempt.maybe_taken
    if attempt.operation == DELIVERY_OPERATION_CREATE:
        maybe_taken = maybe_taken or attempt.revised.revision
    return replace(attempt, maybe_taken=maybe_taken, doubt_micros=attempt.doubt_micros or attempt.now_micros)


def settle(attempt: Attempt, outcome: Outcome, rules: AttemptRules) -> tuple[Settled, Delivery]:
    """Returns what becomes of the job, and the ledger's line."""
    job, revised = attempt.job, attempt.revised
    delivery = ledger_line(attempt, outcome)
    if outcome.is_ok:
        delivery.state = DELIVERY_STATE_ACCEPTED
        if attempt.is_test:
            return Settled(job.conversion_id, Settlement.DROPPED, revised.revision, is_untaken=True), delivery
        if rules.retracts_by_value and attempt.operation == DELIVERY_OPERATION_RETRACT:
            delivery.residual_conversions, delivery.message = 1, delivery.message or STILL_COUNTED
        taken = taken_by(attempt)
        return Settled(job.conversion_id, Settlement.TAKEN, taken.revision, taken=taken), delivery
    if outcome.is_gone:
        return _gone(attempt, delivery)
    noted = Noted.UNSENT if outcome.is_unsent else Noted.MADE
    is_creation = attempt.operation == DELIVERY_OPERATION_CREATE
    untaken = attempt.is_test or (outcome.is_untaken and is_creation and not attempt.maybe_taken)
    pause = _pause_seconds(attempt, outcome, rules)
    due_micros = attempt.now_micros + round(pause * 1e6)
    doubt_micros = attempt.doubt_micros or (0 if outcome.is_untaken else attempt.now_micros)
    is_hopeless = outcome.outcome in _HOPELESS
    since_micros = job.try_micros if job.tried_revision == revised.revision else 0
    if not is_hopeless and rules.is_too_late(attempt, doubt_micros, due_micros):
        is_hopeless, delivery.outcome = True, OUTCOME_CLASS_UNKNOWN
    first_micros = since_micros or attempt.now_micros  # it may be the first attempt at this message
    if is_hopeless or is_over(first_micros / 1e6, due_micros / 1e6, rules.horizon_seconds):
        delivery.state = DELIVERY_STATE_DEAD
        # What was newer already when this was tried first would only have it tried once more: it is given up as well.
        was_newer = first_micros > job.newest_plan_micros > 0
        revision = attempt.last_revision if was_newer else revised.revision
        left = left_by(attempt, outcome, delivery)
        if is_hopeless and attempt.is_doubtful and revision > revised.revision:
            # Nobody is told what is true since, and nobody knows whether that is needed.
            delivery.outcome = OUTCOME_CLASS_UNKNOWN
        what = (job.conversion_id, Settlement.GIVEN_UP, revision)
        return Settled(*what, taken=left, is_untaken=untaken, noted=noted), delivery
    delivery.state = DELIVERY_STATE_PENDING
    delivery.due_time.FromMicroseconds(due_micros)
    again = Settled(
        job.conversion_id,
        Settlement.AGAIN,
        revised.revision,
        delay_seconds=pause,
        is_untaken=untaken,
        is_refused=outcome.is_untaken,
        noted=noted,
        is_mending=outcome.outcome == OUTCOME_CLASS_CONFIG,
    )
    return again, delivery


def left_by(attempt: Attempt, outcome: Outcome, line: Delivery) -> Taken | None:
    """Returns what a destination has when a correction is given up, and says in its line what of that is wrong.

    It has what it had, if no attempt can have been taken; else nobody knows, so that whatever comes next is told.

    Args:
        attempt: The last one.
        outcome: Its own.
        line: Of the ledger.

    Returns:
        None where what was known before still holds: of a creation, and of what was never known.
    """
    before = attempt.taken
    if attempt.operation not in CORRECTIONS or before is None:
        return None
    is_untaken = outcome.outcome == OUTCOME_CLASS_PERMANENT or outcome.is_untaken
    if not is_untaken or attempt.doubt_micros:
        return replace(before, value_micros=UNKNOWN_VALUE)
    if before.is_value_unknown:  # the doubt of a job that is done with
        return before
    left = residual(attempt.revised, attempt.operation, before, attempt.told)
    if left is None:
        return None
    put_residual(line, left)
    return replace(before, residual=left)


def _gone(attempt: Attempt, delivery: Delivery) -> tuple[Settled, Delivery]:
    """Returns what becomes of a change of what the destination has no more: all that it is worth is missing there."""
    revised = attempt.revised
    left = Residual(-sent_micros(revised.state, attempt.told), delivery.value.currency_code, -1)
    before = attempt.taken or Taken(revised.revision, 0, counted=False)
    delivery.state = DELIVERY_STATE_UNDELIVERABLE_CORRECTION
    put_residual(delivery, left)
    taken = replace(before, value_micros=0, counted=False, residual=left)
    return Settled(attempt.job.conversion_id, Settlement.TAKEN, revised.revision, taken=taken), delivery


def ledger_line(attempt: Attempt, outcome: Outcome) -> Delivery:
    """Returns what the ledger says of an attempt, but for the destination and how it goes on."""
    job, revised, mapped = attempt.job, attempt.revised, attempt.mapped
    known_as = attempt.known_as or KnownAs("")
    delivery = Delivery(
        destination_id="",
        conversion_id=job.conversion_id,
        revision=revised.revision,
        operation=attempt.operation,
        visible_id=known_as.visible_id,
        sent_name=known_as.name,
        sent_account=known_as.account,
        sent_value=known_as.told,
        outcome=outcome.outcome,
        attempts=attempt.number - outcome.is_unsent,
        unsent=outcome.is_unsent,
        value=sent_value(revised.state, attempt.told),
        message=outcome.message[:1024],
        destination_request_id=outcome.request_id,
        consent_basis=consent_basis(revised, attempt.permits),
        status_code=outcome.status_code,
        click_id_family=mapped.click_id_family,
        click_id=mapped.click_id,
        identifier_digests=mapped.digests,
    )
    if time_micros := mapped.time_micros or known_as.time_micros:
        delivery.sent_conversion_time.FromMicroseconds(time_micros)
    delivery.plan_time.FromMicroseconds(job.plan_micros)
    delivery.attempt_time.FromMicroseconds(attempt.now_micros)
    return delivery


def taken_by(attempt: Attempt) -> Taken:
    """Returns what a destination that took an attempt may be relied on to have.

    Where the first content of a creation could not be found any more, its retry carried newer content; an earlier
    attempt may have been taken and this one ignored as a repeat, so only what that carried is certain. The rest follows
    as a change.
    """
    revised, first = attempt.revised, attempt.maybe_taken
    told = attempt.known_as.told if attempt.known_as is not None else ""
    if attempt.operation == DELIVERY_OPERATION_CREATE and 0 < first < revised.revision:
        return Taken(first, UNKNOWN_VALUE, counted=True, told=told)
    # Taken back without a creation that is certain: should it count again, it is created first.
    unsure = first if attempt.operation == DELIVERY_OPERATION_RETRACT else 0
    value = sent_value(revised.state, attempt.told)
    micros, currency = (0, "") if value is None else (value.amount_micros, value.currency_code)
    return Taken(revised.revision, micros, _is_there(attempt), unsure, currency, told=told)


def _is_there(attempt: Attempt) -> bool:
    """Tells whether a destination that took an attempt has the conversion: other credit leaves that as it was."""
    if attempt.operation == DELIVERY_OPERATION_CREDIT and attempt.taken is not None:
        return attempt.taken.counted
    return attempt.operation != DELIVERY_OPERATION_RETRACT


def _pause_seconds(attempt: Attempt, outcome: Outcome, rules: AttemptRules) -> float:
    """Returns how long the job waits; the destination's own pause, if there is one, comes on top and can be ended.

    What settings are to blame for waits no longer than until they are mended.
    """
    job = attempt.job
    unsent = job.unsent if job.tried_revision == attempt.revised.revision else 0
    return outcome.retry_after_seconds + rules.backoff.delay_seconds(attempt.number + unsent, rules.chance)
