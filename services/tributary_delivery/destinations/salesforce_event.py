"""A conversion as a record of Salesforce's."""

from __future__ import annotations

from typing import Any

from tributary.delivery.v1.delivery_pb2 import INELIGIBLE_REASON_MISSING_FIELD
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.crm_properties import crm_properties
from tributary_delivery.destinations.moments import conversion_micros
from tributary_delivery.destinations.person_fields import person_fields
from tributary_runtime.crm_destinations import SalesforceDestination


def event(outgoing: Outgoing, settings: SalesforceDestination) -> Mapped | Unmappable:
    """Returns the record that a conversion is, or becomes: the same again with what is known now."""
    if not outgoing.visible_id:
        return Unmappable(INELIGIBLE_REASON_MISSING_FIELD, settings.external_id_field)
    person = person_fields("salesforce", outgoing)
    said: dict[str, Any] = {
        "attributes": {"type": settings.object_type},
        settings.external_id_field: outgoing.visible_id,
    }
    said |= crm_properties("salesforce", outgoing, person, settings)
    return Mapped(said, time_micros=conversion_micros(outgoing), object_id=outgoing.visible_id)
