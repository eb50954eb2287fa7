"""Decides what, if anything, a destination is sent of a conversion as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tributary.attribution.v1.conversion_pb2 import (
    NOT_COUNTED_REASON_RETRACTED,
    NOT_COUNTED_REASON_SUPERSEDED_STAGE,
    NOT_COUNTED_REASON_TRAFFIC,
    REVISION_CAUSE_RESTATEMENT,
    REVISION_CAUSE_RETRACTION,
    ConversionState,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_CREDIT,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_OPERATION_TEST,
    INELIGIBLE_REASON_UNSPECIFIED,
    DeliveryOperation,
    IneligibleReason,
)
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary.event.v1.event_pb2 import TRAFFIC_TEST
from tributary_delivery.destinations.adapter import Permits
from tributary_delivery.residuals import is_other_currency
from tributary_delivery.sent_values import Told, sent_value, told_of
from tributary_delivery.visible_ids import shared_id
from tributary_domain.consent import DENIED, GRANTED
from tributary_domain.consent_strings import said_by
from tributary_domain.eligibility import Candidate, Terms, why_ineligible
from tributary_domain.renewals import is_renewal
from tributary_runtime.destination_settings import DestinationSettings, Pixel, SendScope
from tributary_storage.redis.delivery_job import PASSED_ON, UNKNOWN_VALUE, Taken

_TAKES_BACK_OR_STATES: Final = (REVISION_CAUSE_RETRACTION, REVISION_CAUSE_RESTATEMENT)
_REASONS: Final = {name.removeprefix("INELIGIBLE_REASON_"): number for name, number in IneligibleReason.items()}


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done."""

    operation: DeliveryOperation.ValueType = DELIVERY_OPERATION_CREATE
    reason: IneligibleReason.ValueType = INELIGIBLE_REASON_UNSPECIFIED
    """Why nothing is sent; unspecified where something is."""
    is_known: bool = False
    """Whether the destination has this revision, or a newer one, already."""
    is_passed_on: bool = False
    """Whether what was sent is another conversion's now, which changed it or will: a later stage's of its lead, where
    that is one object; the same order's with its cycle (`same_orders`)."""

    @property
    def is_sent(self) -> bool:
        """Whether a call is to be made."""
        return not self.reason and not self.is_known and not self.is_passed_on


def decide(
    revised: ConversionRevised,
    settings: DestinationSettings,
    taken: Taken | None,
    *,
    maybe_taken: bool = False,
    told: Told | None = None,
    is_passed_on: bool = False,
    is_taken_back: bool = False,
) -> Decision:
    """Returns what a destination is sent.

    Args:
        revised: The newest revision.
        settings: Of the destination.
        taken: What the destination last took; None: nothing that is certain.
        maybe_taken: Whether its creation was tried and never confirmed. Then it is corrected as if it were there.
        told: Which value it is told; None: as the settings say.
        is_passed_on: Whether what was sent, or may have been, is the same order's with its cycle.
        is_taken_back: Whether what a stage of a lead was sent as is not the lead's object (`superseded_stages`).
    """
    if taken is not None and taken.revision >= revised.revision:
        return Decision(is_known=True)
    terms = Terms(
        needs_pixel_id=settings.pixel is Pixel.SHARED_ID,
        takes_test_traffic=settings.send_test_traffic,
        has_test_mode=settings.has_test_mode,
    )
    was_sent = taken is not None or maybe_taken
    is_of_later = settings.has_objects and not is_taken_back and _is_passed_on(revised, taken)
    is_uncertain = is_passed_on and taken is None  # then it is passed on once it is certain that it was taken
    if was_sent and not is_uncertain and (is_passed_on or is_of_later):
        return Decision(is_passed_on=True)
    ineligible = why_ineligible(_candidate(revised, settings), terms, was_sent=was_sent)
    reason = _REASONS[ineligible.value] if ineligible else INELIGIBLE_REASON_UNSPECIFIED
    if is_uncertain:
        return Decision(DELIVERY_OPERATION_CREATE, reason)
    if ineligible is None and not was_sent and is_test(revised.state):
        return Decision(DELIVERY_OPERATION_TEST)
    is_wanted = stands(revised.state) and not is_taken_back
    about = (revised, taken, told or told_of(settings))
    operation = _operation(*about, maybe_taken=maybe_taken, is_wanted=is_wanted)
    return Decision(operation, reason)


def stands(state: ConversionState) -> bool:
    """Tells whether a destination is to have a conversion: a stage that was superseded is one of its own there."""
    return state.counted or is_superseded(state)


def is_superseded(state: ConversionState) -> bool:
    """Tells whether a conversion is a stage of a lead, and a later one counts."""
    return state.not_counted_reason == NOT_COUNTED_REASON_SUPERSEDED_STAGE


def is_test(state: ConversionState) -> bool:
    """Tells whether a conversion is a test: nobody observed it for real."""
    return state.not_counted_reason == NOT_COUNTED_REASON_TRAFFIC and state.traffic == TRAFFIC_TEST


def _is_passed_on(revised: ConversionRevised, taken: Taken | None) -> bool:
    """Tells whether an object that was sent is another stage's of its lead now.

    It stays so when the earlier stage alone is taken back, and whatever else comes of it then; where the lead is lost,
    each stage says so.
    """
    state = revised.state
    if is_superseded(state):
        return True
    was_passed_on = taken is not None and taken.value_micros == PASSED_ON and state.HasField("lead")
    return was_passed_on and not state.counted and not _is_lost(state)


def _is_lost(state: ConversionState) -> bool:
    """Tells whether a stage is taken back with its lead: no retraction of its own stands, as after a restatement.

    Asked of the state, not of the causes of its newest revision: the one that took it back may be an earlier one.
    """
    own = [one.cause for one in state.adjustments if one.cause in _TAKES_BACK_OR_STATES]
    return state.not_counted_reason == NOT_COUNTED_REASON_RETRACTED and own[-1:] != [REVISION_CAUSE_RETRACTION]


def _is_renewal(state: ConversionState) -> bool:
    return state.HasField("recurrence") and is_renewal(state.recurrence.kind)


def consent_basis(revised: ConversionRevised, permits: Permits | None = None) -> str:
    """Returns on what consent a conversion is sent, or not, for the ledger.

    Args:
        revised: What was said with it, in words and in strings.
        permits: What its person allows now; None: they were not asked.
    """
    said = said_with(revised) if permits is None else permits.basis
    return {GRANTED: "granted", DENIED: "denied"}.get(said, "not_asked")


def said_with(revised: ConversionRevised) -> int:
    """Returns what was said with a conversion of telling destinations of its person: the stricter of words, strings."""
    own = revised.match.consent
    return max(own.ad_user_data, said_by(own.tcf_string, own.gpp_string).ad_user_data)


def _candidate(revised: ConversionRevised, settings: DestinationSettings) -> Candidate:
    state, match = revised.state, revised.match
    return Candidate(
        is_mapped=settings.name_of(state.name) is not None,
        is_unmapped_renewal=_is_renewal(state) and not settings.takes_renewals(state.name),
        is_normal_traffic=state.not_counted_reason != NOT_COUNTED_REASON_TRAFFIC,
        is_test_traffic=state.traffic == TRAFFIC_TEST,
        counted=state.counted if settings.has_objects else stands(state),
        value_pending=state.value_pending,
        # A webhook is the workspace's own system: silence is no refusal there.
        consent_denied=match.consent.ad_user_data == CONSENT_STATE_DENIED,
        has_pixel_id=bool(shared_id(match, settings.id)),
        in_scope=in_scope(revised, settings),
    )


def in_scope(revised: ConversionRevised, settings: DestinationSettings) -> bool:
    """Tells whether a destination's send scope contains a conversion.

    Args:
        revised: The conversion.
        settings: Of the destination.
    """
    if settings.send_scope is SendScope.CHANNEL_CREDITED:
        return any(
            touch.source.channel in settings.channels and any(credit.credit_micros for credit in touch.credits)
            for touch in revised.state.touches
        )
    if settings.send_scope is SendScope.WITH_OWN_CLICK:
        families = settings.click_families
        return any(click.family in families if families else click.own for click in revised.match.click_ids)
    return True


def _operation(
    revised: ConversionRevised, taken: Taken | None, told: Told, *, maybe_taken: bool, is_wanted: bool
) -> DeliveryOperation.ValueType:
    # What is not wanted has no value there either: a refund of what was taken back is no news.
    if taken is None:
        return DELIVERY_OPERATION_RETRACT if maybe_taken and not is_wanted else DELIVERY_OPERATION_CREATE
    may_be_there = taken.counted or taken.value_micros == UNKNOWN_VALUE  # or is again, after it was taken back
    if may_be_there and not is_wanted:
        return DELIVERY_OPERATION_RETRACT
    value = sent_value(revised.state, told)
    micros = 0 if value is None else value.amount_micros
    is_news = not taken.counted or micros != taken.value_micros or is_other_currency(value, taken)
    return DELIVERY_OPERATION_RESTATE if is_wanted and is_news else DELIVERY_OPERATION_CREDIT
