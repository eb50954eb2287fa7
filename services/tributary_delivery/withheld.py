"""What a conversion's person left before it, and did not want a vendor to be told of: it is not told with it either.

The one rule: what was collected while a consent string did not name the vendor, or before one that did not, is never
told to it, whatever a later one says. Corrections name what was sent first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tributary.attribution.v1.conversion_pb2 import MatchResolution
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_domain.consent import DENIED
from tributary_domain.vendor_consent import VendorDecision, timeline_of

_DEVICE = "device"


def parts_of(match: MatchResolution) -> Iterator[tuple[str, int]]:
    """Yields by what a conversion is recognised that is not its own: names, and when it was left, in microseconds."""
    for click in match.click_ids:
        if not click.own:
            yield f"click:{click.family}", click.click_time.ToMicroseconds()
    for name, time in match.browser_id_times.items():
        yield f"browser:{name}", time.ToMicroseconds()
    if match.sealed_device_keys:
        yield _DEVICE, match.device_time.ToMicroseconds()
    for number, keys in enumerate(match.person_keys):
        yield f"keys:{number}", keys.event_time.ToMicroseconds()


def withheld_from(match: MatchResolution, decisions: Sequence[VendorDecision], vendor: int | None) -> frozenset[str]:
    """Returns the names of what a vendor must not be told.

    Args:
        match: By what a conversion is recognised.
        decisions: Of its person on vendors.
        vendor: Its number in the IAB's list; None: it has none, and no string can name it.
    """
    if vendor is None or not decisions:
        return frozenset()
    timeline = timeline_of(decisions, vendor)
    last_micros = timeline.newest_denial_micros
    if last_micros < 0:
        return frozenset()
    return frozenset(name for name, micros in parts_of(match) if last_micros > micros or timeline.at(micros) == DENIED)


def without(revised: ConversionRevised, withheld: frozenset[str]) -> ConversionRevised:
    """Returns a conversion without what is withheld."""
    if not withheld:
        return revised
    told = ConversionRevised()
    told.CopyFrom(revised)
    match = told.match
    clicks = [one for one in match.click_ids if one.own or f"click:{one.family}" not in withheld]
    keys = [one for number, one in enumerate(match.person_keys) if f"keys:{number}" not in withheld]
    del match.click_ids[:], match.person_keys[:]
    match.click_ids.extend(clicks)
    match.person_keys.extend(keys)
    for name in [one for one in match.browser_id_times if f"browser:{one}" in withheld]:
        del match.browser_ids[name], match.browser_id_times[name]
    if _DEVICE in withheld:
        match.ClearField("sealed_device_keys")
        match.ClearField("device_time")
    return told
