"""What a conversion's person left before it, and did not want a vendor to be told of: it is not told with it either.

The one rule: what was collected while a consent string did not name the vendor, or before one that did not, is never
told to it, whatever a later one says, nor with a correction. So there is one moment before which nothing that was left
is told, by whichever revision a conversion is told. What a vendor was told before anybody knew of such a string is
repeated where it recognises the conversion by nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_domain.event_order import NEVER
from tributary_domain.vendor_consent import VendorDecision, timeline_of


def withheld_until(decisions: Sequence[VendorDecision], vendor: int | None) -> int:
    """Returns the moment before which nothing that a person left is told to a vendor, in microseconds.

    It is when the person named it again; `NEVER` where they have not.

    Args:
        decisions: Of the person on vendors.
        vendor: Its number in the IAB's list; None: it has none, and no string can name it.

    Returns:
        0 where nobody ever did not name it.
    """
    if vendor is None or not decisions:
        return 0
    last_micros = timeline_of(decisions, vendor).newest_denial_micros
    if last_micros < 0:
        return 0
    later = (one.time_micros for one in decisions if one.vendor == vendor and one.time_micros > last_micros)
    return min(later, default=NEVER)


def ways_to_repeat(revised: ConversionRevised, until_micros: int) -> list[ConversionRevised]:
    """Returns what may have been told of a conversion when it was told first, what is told now in the first place.

    What was withheld then is not known; it was what was left before an earlier moment, or nothing. Who was told of
    something recognises the conversion by that alone: to repeat it tells nothing new.

    Args:
        revised: The conversion as it was known when it was told first.
        until_micros: What is withheld now, as `withheld_until`.
    """
    if not until_micros:
        return [revised]
    match = revised.match
    left = [*(one.click_time for one in match.click_ids if not one.own), *(one.event_time for one in match.person_keys)]
    left += match.browser_id_times.values()
    if match.sealed_device_keys:
        left.append(match.device_time)
    times = {time.ToMicroseconds() for time in left}
    return [
        without(revised, moment) for moment in sorted({until_micros, 0, *times}, reverse=True) if moment <= until_micros
    ]


def without(revised: ConversionRevised, until_micros: int) -> ConversionRevised:
    """Returns a conversion without what is withheld: what its person left before a moment, and is not its own.

    Args:
        revised: The conversion.
        until_micros: As `withheld_until`.
    """

    def is_withheld(left: Timestamp) -> bool:
        return left.ToMicroseconds() < until_micros

    if not until_micros:
        return revised
    told = ConversionRevised()
    told.CopyFrom(revised)
    match = told.match
    clicks = [one for one in match.click_ids if one.own or not is_withheld(one.click_time)]
    keys = [one for one in match.person_keys if not is_withheld(one.event_time)]
    del match.click_ids[:], match.person_keys[:]
    match.click_ids.extend(clicks)
    match.person_keys.extend(keys)
    for name in [name for name, left in match.browser_id_times.items() if is_withheld(left)]:
        del match.browser_ids[name], match.browser_id_times[name]
    if match.sealed_device_keys and is_withheld(match.device_time):
        match.ClearField("sealed_device_keys")
        match.ClearField("device_time")
    return told
