"""Whom of the destinations people allowed to be told of them, as consent strings name vendors.

The one rule: as of purposes (`consent`), the newest decision on a vendor wins, of two at one time the denial; one
vendor's says nothing of another's. A vendor that nobody decided about is not held back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tributary_domain.consent import DENIED, GRANTED, MOST_DECISIONS, Decision, Timeline, dispensable


class VendorDecision(NamedTuple):
    """What a person said of one vendor at one moment."""

    time_micros: int
    """When they decided."""
    vendor: int
    """Its number in the IAB's Global Vendor List."""
    state: int
    """GRANTED or DENIED."""


def vendor_decisions(
    allowed: Iterable[int], denied: Iterable[int], consent_micros: int, event_micros: int, accept_micros: int
) -> tuple[VendorDecision, ...]:
    """Returns what an event decides about vendors beyond itself.

    Args:
        allowed: Whom its strings name.
        denied: Whom they do not.
        consent_micros: When the person decided; 0: nobody said. Then a grant holds for this event alone, and a denial
            counts as decided when the event happened.
        event_micros: When it happened.
        accept_micros: When it was accepted: nobody decides later than we hear of it.

    >>> vendor_decisions([4], [755], 0, 7, 9)
    (VendorDecision(time_micros=7, vendor=755, state=2),)
    """
    time_micros = min(consent_micros or event_micros, accept_micros)
    granted = [VendorDecision(time_micros, vendor, GRANTED) for vendor in allowed] if consent_micros else []
    return *granted, *(VendorDecision(time_micros, vendor, DENIED) for vendor in denied)


def timeline_of(decisions: Iterable[VendorDecision], vendor: int) -> Timeline:
    """Returns the states of one vendor over time."""
    return Timeline.of((one.time_micros, one.state) for one in decisions if one.vendor == vendor)


def dispensable_of_vendors(decisions: Sequence[VendorDecision], most: int = MOST_DECISIONS) -> list[VendorDecision]:
    """Returns those of one identifier that need not be kept: of each vendor, by the rule of `consent.dispensable`."""
    gone: list[VendorDecision] = []
    for vendor in sorted({one.vendor for one in decisions}):
        own = [one for one in decisions if one.vendor == vendor]  # a state alone is the one of the first purpose
        gone += [
            VendorDecision(one.time_micros, vendor, one.states)
            for one in dispensable([Decision(one.time_micros, one.state) for one in own], most)
        ]
    return gone
