"""A conversion as Pinterest's Conversions API takes it, which refuses what it does not know."""

from __future__ import annotations

from typing import Any, Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import INELIGIBLE_REASON_NO_MATCH_KEY
from tributary.event.v1 import event_pb2
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.baskets import contents_of, quantity_of, text
from tributary_delivery.destinations.json_bytes import units
from tributary_delivery.destinations.moments import conversion_micros, seconds
from tributary_delivery.destinations.person_fields import PersonFields, person_fields
from tributary_runtime.social_destinations import PinterestDestination

_OFFLINE_ORIGINS: Final = frozenset(
    {event_pb2.ORIGIN_STORE, event_pb2.ORIGIN_PHONE, event_pb2.ORIGIN_MESSAGE, event_pb2.ORIGIN_CRM}
)
_LISTS: Final = ("em", "ph", "fn", "ln", "ct", "st", "zp", "country", "external_id", "hashed_maids")
_ITEM_NAMES: Final = {
    "id": "id",
    "quantity": "quantity",
    "price": "item_price",
    "name": "item_name",
    "category": "item_category",
    "brand": "item_brand",
}
_FAMILY: Final = "epik"
_WEB: Final = "web"
_OFFLINE: Final = "offline"


def event(outgoing: Outgoing, settings: PinterestDestination) -> Mapped | Unmappable:
    """Returns a conversion in Pinterest's words."""
    person = person_fields("pinterest", outgoing)
    user_data = _user_data(person, outgoing)
    is_device = {"client_ip_address", "client_user_agent"} <= user_data.keys()
    if not is_device and not person.has_any("em", "hashed_maids"):
        return Unmappable(INELIGIBLE_REASON_NO_MATCH_KEY)
    micros = conversion_micros(outgoing)
    action_source = _action_source(outgoing.revised.state.origin, settings)
    said: dict[str, Any] = {
        "event_name": outgoing.name,
        "action_source": action_source,
        "event_time": seconds(micros),
        "event_id": outgoing.visible_id,
        "user_data": user_data,
    }
    if settings.page_url and action_source == _WEB:
        said["event_source_url"] = settings.page_url
    if custom := _custom_data(outgoing):
        said["custom_data"] = custom
    click_id = user_data.get("click_id", "")
    return Mapped(said, _FAMILY if click_id else "", click_id, person.digests, micros)


def _action_source(origin: event_pb2.Origin.ValueType, settings: PinterestDestination) -> str:
    if origin == event_pb2.ORIGIN_WEB:
        return _WEB
    return _OFFLINE if origin in _OFFLINE_ORIGINS else settings.action_source


def is_offline(revised: ConversionRevised, settings: PinterestDestination) -> bool:
    """Tells whether a conversion is told as one that happened offline."""
    return _action_source(revised.state.origin, settings) == _OFFLINE


def _user_data(person: PersonFields, outgoing: Outgoing) -> dict[str, Any]:
    user_data: dict[str, Any] = {name: list(person.values[name]) for name in _LISTS if name in person.values}
    for name in ("client_ip_address", "client_user_agent"):
        if name in person.values:
            user_data[name] = person.first(name)
    click = outgoing.click_ids.get(_FAMILY)
    if click is not None and click.value:
        user_data["click_id"] = click.value
    return user_data


def _custom_data(outgoing: Outgoing) -> dict[str, Any]:
    state = outgoing.revised.state
    custom: dict[str, Any] = {}
    if outgoing.amount_micros is not None:
        custom |= {"value": text(units(outgoing.amount_micros)), "currency": outgoing.currency}
    if state.order_key.order_id:
        custom["order_id"] = state.order_key.order_id
    if state.items:
        custom |= {
            "content_ids": [item.item_id for item in state.items],
            "contents": contents_of(state.items, _ITEM_NAMES, text),
            "num_items": quantity_of(state.items),
        }
    if outgoing.permits.is_opted_out:
        custom["opt_out_type"] = "LDP"
    return custom
