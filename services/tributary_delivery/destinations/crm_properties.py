"""What a CRM's object holds of a conversion: as declared, plain, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_RETRACT
from tributary.event.v1.conversion_pb2 import CustomerType
from tributary_delivery.destinations.adapter import Outgoing
from tributary_delivery.destinations.json_bytes import units
from tributary_delivery.destinations.moments import civil_day, conversion_micros, rfc3339
from tributary_delivery.destinations.person_fields import PersonFields
from tributary_domain.match_keys.fields import Holds
from tributary_domain.match_keys.tables import DESTINATIONS
from tributary_runtime.crm_destinations import CrmDestination

_CLICK_ID: Final = "click_id."
_PERSON: Final = frozenset(holds.value for holds in Holds)


def crm_properties(
    destination: str, outgoing: Outgoing, person: PersonFields, settings: CrmDestination
) -> dict[str, str | Decimal]:
    """Returns the properties that a CRM is told; what is not known is left out, so that it stays as it is there.

    Args:
        destination: One of `match_keys.tables.DESTINATIONS`.
        outgoing: The conversion.
        person: Of it, in the destination's fields.
        settings: What is declared.
    """
    known = {**_conversion(outgoing), **_person(destination, person)}
    told: dict[str, str | Decimal] = {}
    for name, source in settings.properties.items():
        if source.startswith(_CLICK_ID):
            click = outgoing.click_ids.get(source.removeprefix(_CLICK_ID))
            value: str | Decimal = click.value if click is not None else ""
        else:
            value = known.get(source, "")
        if value != "":
            told[name] = value
    is_retracted = outgoing.operation == DELIVERY_OPERATION_RETRACT
    return {**told, **settings.constants, **(settings.retracted if is_retracted else {})}


def _conversion(outgoing: Outgoing) -> dict[str, str | Decimal]:
    state = outgoing.revised.state
    micros = conversion_micros(outgoing)
    known: dict[str, str | Decimal] = {
        "visible_id": outgoing.visible_id,
        "conversion_id": state.conversion_id,
        "name": outgoing.name,
        "order_id": state.order_key.order_id,
        "store": state.order_key.store,
        "time": rfc3339(micros),
        "date": civil_day(micros, outgoing.home.zone),
        "stage": state.lead.stage,
        "lead_id": state.lead.lead_id,
        "coupon_codes": ", ".join(state.coupon_codes),
    }
    if state.customer_type:
        known["customer_type"] = CustomerType.Name(state.customer_type).removeprefix("CUSTOMER_TYPE_").lower()
    if outgoing.amount_micros is not None:
        known |= {"value": units(outgoing.amount_micros), "currency": outgoing.currency}
    return known


def _person(destination: str, person: PersonFields) -> Mapping[str, str]:
    fields = {field.holds.value: field.name for field in DESTINATIONS[destination] if field.holds is not None}
    return {part: person.first(fields[part]) for part in _PERSON & fields.keys()}
