"""A conversion as an object of HubSpot's: values are texts there.

The one rule: a contact known by its e-mail is of many conversions, and holds what it was told last. So it is
not told what corrects one: a refund of an older one would take the newer one's value and stage away.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    INELIGIBLE_REASON_MISSING_FIELD,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    INELIGIBLE_REASON_UNSPECIFIED,
)
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.baskets import text
from tributary_delivery.destinations.crm_properties import crm_properties
from tributary_delivery.destinations.moments import conversion_micros
from tributary_delivery.destinations.person_fields import person_fields
from tributary_runtime.crm_destinations import HubSpotDestination

_EMAIL: Final = "email"


def event(outgoing: Outgoing, settings: HubSpotDestination) -> Mapped | Unmappable:
    """Returns the object that a conversion is, or becomes: the same again with what is known now."""
    person = person_fields("hubspot", outgoing)
    is_contact = settings.id_property == _EMAIL
    if is_contact and outgoing.operation != DELIVERY_OPERATION_CREATE:
        return Unmappable(INELIGIBLE_REASON_UNSPECIFIED, "a contact holds the conversion it was told of last")
    object_id = person.first(_EMAIL) if is_contact else outgoing.visible_id
    if not object_id:
        reason = INELIGIBLE_REASON_NO_MATCH_KEY if is_contact else INELIGIBLE_REASON_MISSING_FIELD
        return Unmappable(reason, settings.id_property)
    told = crm_properties("hubspot", outgoing, person, settings)
    properties = {name: text(value) if isinstance(value, Decimal) else value for name, value in told.items()}
    said = {"idProperty": settings.id_property, "id": object_id, "properties": properties}
    return Mapped(said, time_micros=conversion_micros(outgoing), object_id=object_id)
