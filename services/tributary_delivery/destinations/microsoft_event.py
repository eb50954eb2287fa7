"""A conversion as Microsoft's offline conversions take it, and what corrects one.

The one rule: a correction names the conversion by the same click id, or the same hashes, and the very second that it
was sent with. Of a click, each second is one conversion there, whatever it is called; the others are ignored, and
answered as if they were taken. So a conversion has a second of its own there, which it claims before it is sent. Names
take turns: conversions of an order under several names, which happened at once, are several also where nobody knows any
more which seconds were claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RETRACT,
    INELIGIBLE_REASON_MISSING_FIELD,
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_NO_MATCH_KEY,
)
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.json_bytes import units
from tributary_delivery.destinations.moments import conversion_micros, to_the_second
from tributary_delivery.destinations.person_fields import person_fields
from tributary_delivery.destinations.placing import Places

CONVERSIONS: Final = "OfflineConversions"
ADJUSTMENTS: Final = "OfflineConversionAdjustments"
_FAMILY: Final = "msclkid"
_SECOND: Final = 1_000_000
_MOST_TURNS: Final = 60
"""As many of its turns before, and after, are looked at for a second that is free: nobody orders as often at once."""
KEYS: Final = ("MicrosoftClickId", "HashedEmailAddress", "HashedPhoneNumber")
"""Any one of which names whose conversion it is."""
_HASHES: Final = {"em": "HashedEmailAddress", "ph": "HashedPhoneNumber"}


def event(outgoing: Outgoing) -> Mapped | Unmappable:
    """Returns a conversion, or a correction of one, in Microsoft's words."""
    if outgoing.permits.is_opted_out:  # offline conversions have no field to say so
        return Unmappable(INELIGIBLE_REASON_NO_CONSENT, "Microsoft cannot be told of an opt-out")
    person = person_fields("microsoft", outgoing)
    click_id = _click_id(outgoing)
    who: dict[str, Any] = {"MicrosoftClickId": click_id} if click_id else {}
    who |= {_HASHES[name]: person.first(name) for name in _HASHES if name in person.values}
    if not who:
        return Unmappable(INELIGIBLE_REASON_NO_MATCH_KEY)
    micros = conversion_micros(outgoing)
    which = who | {"ConversionName": outgoing.name, "ConversionTime": to_the_second(micros)}
    digests = {_HASHES[name]: value for name, value in person.digests.items() if name in _HASHES}
    family = _FAMILY if click_id else ""
    if outgoing.operation == DELIVERY_OPERATION_CREATE:
        if outgoing.amount_micros is not None:
            which |= {"ConversionValue": units(outgoing.amount_micros), "ConversionCurrencyCode": outgoing.currency}
        return Mapped(which, family, click_id, digests, micros, group=CONVERSIONS)
    which["AdjustmentTime"] = to_the_second(max(outgoing.now_micros, micros))
    if outgoing.operation == DELIVERY_OPERATION_RETRACT:
        which["AdjustmentType"] = "Retract"
    elif outgoing.amount_micros is None:
        return Unmappable(INELIGIBLE_REASON_MISSING_FIELD, "AdjustmentValue")
    else:
        which |= {
            "AdjustmentType": "Restate",
            "AdjustmentValue": units(outgoing.amount_micros),
            "AdjustmentCurrencyCode": outgoing.currency,
        }
    return Mapped(which, family, click_id, digests, micros, group=ADJUSTMENTS)


def is_unclicked(revised: ConversionRevised) -> bool:
    """Tells whether a conversion is told by hashes alone."""
    return not any(click.family == _FAMILY and click.value for click in revised.match.click_ids)


def places(revised: ConversionRevised, names: Sequence[str]) -> Places | None:
    """Returns the seconds of its click that a conversion may have; None: it has none.

    Best is the last one of its name's, of those that the names of conversions have in turn, up to when it was. After
    the click it stays: a second later in its turn where it would come before.

    Args:
        revised: The conversion.
        names: All that are told.
    """
    click = next((one for one in revised.match.click_ids if one.family == _FAMILY and one.value), None)
    if click is None:
        return None
    micros, name = revised.state.conversion_time.ToMicroseconds(), revised.state.name
    best, step = micros // _SECOND, 1
    if name in names:
        step = len(names)
        best -= (best - names.index(name)) % step
    earliest, latest = best - _MOST_TURNS * step, best + _MOST_TURNS * step
    click_micros = click.click_time.ToMicroseconds()
    if click_micros < micros:
        earliest = max(earliest, click_micros // _SECOND + 1)
        best += step if best < earliest else 0
    return Places(click.value, best, step, earliest, latest)


def _click_id(outgoing: Outgoing) -> str:
    if outgoing.pinned is not None:
        return outgoing.pinned.click_id if outgoing.pinned.click_id_family == _FAMILY else ""
    click = outgoing.click_ids.get(_FAMILY)
    return click.value if click is not None else ""
