"""A conversion as a record of Salesforce's.

The one rule: writing a record locks its parent. So each says whose it is: by the field that names the parent, else by
the person, whom triggers and roll-ups would find.
"""

from __future__ import annotations

from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import INELIGIBLE_REASON_MISSING_FIELD
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.crm_properties import crm_properties
from tributary_delivery.destinations.moments import conversion_micros
from tributary_delivery.destinations.person_fields import person_fields
from tributary_runtime.crm_destinations import SalesforceDestination

_EMAIL: Final = "Email"


def event(outgoing: Outgoing, settings: SalesforceDestination) -> Mapped | Unmappable:
    """Returns the record that a conversion is, or becomes: the same again with what is known now."""
    if not outgoing.visible_id:
        return Unmappable(INELIGIBLE_REASON_MISSING_FIELD, settings.external_id_field)
    person = person_fields("salesforce", outgoing)
    said: dict[str, Any] = {
        "attributes": {"type": settings.object_type},
        settings.external_id_field: outgoing.visible_id,
    }
    told = crm_properties("salesforce", outgoing, person, settings)
    parent = str(told.get(settings.parent_field, "")) or outgoing.keys.customer_id or person.first(_EMAIL)
    micros = conversion_micros(outgoing)
    return Mapped({**said, **told}, time_micros=micros, parent=parent, object_id=outgoing.visible_id)
