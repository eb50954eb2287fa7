"""A conversion as Microsoft's offline conversions take it, and what corrects one.

The one rule: a correction names the conversion by the same click id, or the same hashes, and the very second that it
was sent with. Of a click, each second is one conversion there, whatever it is called; the others are ignored, and
answered as if they were taken. So names take turns: each has seconds of its own, and conversions of an order under
several names, which happened at once, are several.
"""

from __future__ import annotations

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
from tributary_runtime.search_destinations import MicrosoftDestination

CONVERSIONS: Final = "OfflineConversions"
ADJUSTMENTS: Final = "OfflineConversionAdjustments"
_FAMILY: Final = "msclkid"
_SECOND: Final = 1_000_000
KEYS: Final = ("MicrosoftClickId", "HashedEmailAddress", "HashedPhoneNumber")
"""Any one of which names whose conversion it is."""
_HASHES: Final = {"em": "HashedEmailAddress", "ph": "HashedPhoneNumber"}


def event(outgoing: Outgoing, settings: MicrosoftDestination) -> Mapped | Unmappable:
    """Returns a conversion, or a correction of one, in Microsoft's words."""
    if outgoing.permits.is_opted_out:  # offline conversions have no field to say so
        return Unmappable(INELIGIBLE_REASON_NO_CONSENT, "Microsoft cannot be told of an opt-out")
    person = person_fields("microsoft", outgoing)
    click_id = _click_id(outgoing)
    who: dict[str, Any] = {"MicrosoftClickId": click_id} if click_id else {}
    who |= {_HASHES[name]: person.first(name) for name in _HASHES if name in person.values}
    if not who:
        return Unmappable(INELIGIBLE_REASON_NO_MATCH_KEY)
    micros = _moment(outgoing, list(settings.conversions)) if click_id else conversion_micros(outgoing)
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


def _moment(outgoing: Outgoing, names: list[str]) -> int:
    """Returns the last second of its name's, of those that the names of conversions have in turn, up to when it was.

    After the click it stays: a second later in its turn where it would come before. One that was sent keeps its own.
    """
    micros, name = conversion_micros(outgoing), outgoing.revised.state.name
    if outgoing.time_micros or len(names) < 2 or name not in names:
        return micros
    second = micros // _SECOND
    second -= (second - names.index(name)) % len(names)
    click = outgoing.click_ids.get(_FAMILY)
    if click is not None and second * _SECOND <= click.click_time.ToMicroseconds() < micros:
        second += len(names)
    return second * _SECOND


def _click_id(outgoing: Outgoing) -> str:
    if outgoing.pinned is not None:
        return outgoing.pinned.click_id if outgoing.pinned.click_id_family == _FAMILY else ""
    click = outgoing.click_ids.get(_FAMILY)
    return click.value if click is not None else ""
