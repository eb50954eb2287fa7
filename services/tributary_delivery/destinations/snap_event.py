"""A conversion as Snap's Conversions API takes it."""

from __future__ import annotations

from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import INELIGIBLE_REASON_MISSING_FIELD, INELIGIBLE_REASON_NO_MATCH_KEY
from tributary.event.v1 import event_pb2
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.baskets import contents_of, quantity_of
from tributary_delivery.destinations.json_bytes import units
from tributary_delivery.destinations.moments import conversion_micros, milliseconds
from tributary_delivery.destinations.person_fields import PersonFields, person_fields
from tributary_runtime.social_destinations import SnapDestination

_ACTION_SOURCES: Final = {
    event_pb2.ORIGIN_WEB: "WEB",
    event_pb2.ORIGIN_APP: "MOBILE_APP",
    event_pb2.ORIGIN_STORE: "OFFLINE",
    event_pb2.ORIGIN_PHONE: "OFFLINE",
    event_pb2.ORIGIN_MESSAGE: "OFFLINE",
    event_pb2.ORIGIN_CRM: "OFFLINE",
}
_LISTS: Final = ("em", "ph", "external_id")
_SINGLE: Final = ("fn", "ln", "ct", "st", "zp", "country", "client_ip_address", "client_user_agent", "madid")
_ITEM_NAMES: Final = {"id": "id", "quantity": "quantity", "price": "item_price", "brand": "brand"}
_FAMILY: Final = "sc_cid"


def event(outgoing: Outgoing, settings: SnapDestination) -> Mapped | Unmappable:
    """Returns a conversion in Snap's words."""
    person = person_fields("snap", outgoing)
    user_data, click_id = _user_data(person, outgoing)
    if not person.has_any("em", "ph", "madid") and not {"client_ip_address", "client_user_agent"} <= user_data.keys():
        return Unmappable(INELIGIBLE_REASON_NO_MATCH_KEY)
    if outgoing.name == "PURCHASE" and outgoing.amount_micros is None:
        return Unmappable(INELIGIBLE_REASON_MISSING_FIELD, "custom_data.value: a PURCHASE needs it")
    micros = conversion_micros(outgoing)
    action_source = _ACTION_SOURCES.get(outgoing.revised.state.origin, settings.action_source)
    said: dict[str, Any] = {
        "event_name": outgoing.name,
        "event_time": milliseconds(micros),
        "event_id": outgoing.visible_id,
        "action_source": action_source,
        "user_data": user_data,
    }
    if action_source == "WEB":
        if not settings.page_url:
            return Unmappable(INELIGIBLE_REASON_MISSING_FIELD, "event_source_url: set the destination's page_url")
        said["event_source_url"] = settings.page_url
    if custom := _custom_data(outgoing):
        said["custom_data"] = custom
    if outgoing.permits.is_opted_out:
        said["data_processing_options"] = ["LDU"]
    return Mapped(said, _FAMILY if click_id else "", click_id, person.digests, micros)


def _user_data(person: PersonFields, outgoing: Outgoing) -> tuple[dict[str, Any], str]:
    user_data: dict[str, Any] = {name: list(person.values[name]) for name in _LISTS if name in person.values}
    user_data |= {name: person.first(name) for name in _SINGLE if name in person.values}
    click = outgoing.click_ids.get(_FAMILY)
    click_id = click.value if click is not None else ""
    if click_id:
        user_data["sc_click_id"] = click_id
    if cookie := outgoing.revised.match.browser_ids.get("scid", ""):
        user_data["sc_cookie1"] = cookie
    return user_data, click_id


def _custom_data(outgoing: Outgoing) -> dict[str, Any]:
    state = outgoing.revised.state
    custom: dict[str, Any] = {}
    if outgoing.amount_micros is not None:
        custom |= {"value": units(outgoing.amount_micros), "currency": outgoing.currency}
    if state.order_key.order_id:
        custom["order_id"] = state.order_key.order_id
    if state.items:
        custom |= {"contents": contents_of(state.items, _ITEM_NAMES), "num_items": quantity_of(state.items)}
    return custom
