"""May this conversion go to this destination now; if not, why. Rules as SEMANTICS sections 13 and 14.

The order of the rules is the order of the funnel: the first that fails is the reason, so that every conversion has
exactly one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Ineligible(Enum):
    """Why a conversion is not sent; names as in `delivery.v1.IneligibleReason`."""

    NOT_MAPPED = "NOT_MAPPED"
    RENEWAL = "RENEWAL"
    TRAFFIC = "TRAFFIC"
    NO_TEST_MODE = "NO_TEST_MODE"
    NOT_COUNTED = "NOT_COUNTED"
    VALUE_PENDING = "VALUE_PENDING"
    NO_CONSENT = "NO_CONSENT"
    NO_PIXEL_ID = "NO_PIXEL_ID"
    OUT_OF_SCOPE = "OUT_OF_SCOPE"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rules look at."""

    is_mapped: bool
    """Whether the destination takes this conversion name."""
    is_unmapped_renewal: bool
    """Whether it is a later payment of a subscription, and the destination takes none of this conversion name."""
    is_normal_traffic: bool
    is_test_traffic: bool
    """Whether it is a test; neither normal nor a test is internal."""
    counted: bool
    value_pending: bool
    consent_denied: bool
    """Whether the person said no to sending data about them; what silence means is decided before."""
    has_pixel_id: bool
    in_scope: bool
    """Whether the destination's send scope contains it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a destination asks."""

    needs_pixel_id: bool = False
    """Its browser tag reports the same conversions: without a shared id they would count twice."""
    takes_test_traffic: bool = False
    has_test_mode: bool = False
    """Whether it can be told of a test so that it counts nowhere."""


def why_ineligible(candidate: Candidate, terms: Terms, *, was_sent: bool) -> Ineligible | None:
    """Returns why a conversion is not sent, or None if it is.

    Args:
        candidate: The conversion as it is now.
        terms: Of the destination.
        was_sent: Whether the destination has taken it before. Then a change is a correction, which the destination
            needs all the more when the conversion no longer counts; but nothing is sent against a person's will.
    """
    if not candidate.is_mapped:
        return Ineligible.NOT_MAPPED
    if candidate.is_unmapped_renewal:
        return Ineligible.RENEWAL
    if candidate.consent_denied:
        return Ineligible.NO_CONSENT
    if was_sent:
        return None
    if not candidate.is_normal_traffic and not (candidate.is_test_traffic and terms.takes_test_traffic):
        return Ineligible.TRAFFIC
    if not candidate.is_normal_traffic and not terms.has_test_mode:
        return Ineligible.NO_TEST_MODE
    if not candidate.counted and candidate.is_normal_traffic:
        return Ineligible.NOT_COUNTED
    if candidate.value_pending:
        return Ineligible.VALUE_PENDING
    if terms.needs_pixel_id and not candidate.has_pixel_id:
        return Ineligible.NO_PIXEL_ID
    if not candidate.in_scope:
        return Ineligible.OUT_OF_SCOPE
    return None
