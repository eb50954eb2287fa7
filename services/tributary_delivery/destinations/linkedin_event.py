"""A conversion as LinkedIn's Conversions API takes it."""

from __future__ import annotations

from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import INELIGIBLE_REASON_NO_CONSENT, INELIGIBLE_REASON_NO_MATCH_KEY
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.baskets import text
from tributary_delivery.destinations.json_bytes import units
from tributary_delivery.destinations.moments import conversion_micros, milliseconds
from tributary_delivery.destinations.person_fields import PersonFields, person_fields
from tributary_runtime.ad_destinations import LinkedInDestination

_RULE: Final = "urn:lla:llaPartnerConversion:"
_EMAIL: Final = "SHA256_EMAIL"
_CLICK: Final = "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID"
_FAMILY: Final = "li_fat_id"


def event(outgoing: Outgoing, _settings: LinkedInDestination) -> Mapped | Unmappable:
    """Returns a conversion in LinkedIn's words."""
    if outgoing.permits.is_opted_out:  # it has no field to say so
        return Unmappable(INELIGIBLE_REASON_NO_CONSENT, "LinkedIn cannot be told of an opt-out")
    person = person_fields("linkedin", outgoing)
    click = outgoing.click_ids.get(_FAMILY)
    ids = [(_EMAIL, value) for value in person.values.get(_EMAIL, ())]
    if click is not None and click.value:
        ids.append((_CLICK, click.value))
    # Always there, if empty: without it LinkedIn refuses the request.
    user: dict[str, Any] = {"userIds": [{"idType": kind, "idValue": value} for kind, value in ids]}
    if info := _info(person):
        user["userInfo"] = info
    if external := person.first("externalIds"):
        user["externalIds"] = [external]
    if not ids and len(user) == 1:
        return Unmappable(INELIGIBLE_REASON_NO_MATCH_KEY)
    micros = conversion_micros(outgoing)
    said: dict[str, Any] = {
        "conversion": f"{_RULE}{outgoing.name}",
        "conversionHappenedAt": milliseconds(micros),
        "eventId": outgoing.visible_id,
        "user": user,
    }
    if outgoing.amount_micros is not None:
        amount = text(units(outgoing.amount_micros))
        said["conversionValue"] = {"currencyCode": outgoing.currency, "amount": amount}
    family, click_id = (_FAMILY, click.value) if click is not None and click.value else ("", "")
    return Mapped(said, family, click_id, person.digests, micros)


def _info(person: PersonFields) -> dict[str, str]:
    """Returns the name; LinkedIn takes both of its parts or none."""
    first, last = person.first("firstName"), person.first("lastName")
    if not first or not last:
        return {}
    info = {"firstName": first, "lastName": last}
    if country := person.first("countryCode"):
        info["countryCode"] = country
    return info
