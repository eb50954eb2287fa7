"""A conversion as Reddit's Conversions API takes it."""

from __future__ import annotations

from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import INELIGIBLE_REASON_NO_MATCH_KEY
from tributary.event.v1 import event_pb2
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.baskets import contents_of, quantity_of
from tributary_delivery.destinations.json_bytes import units
from tributary_delivery.destinations.moments import conversion_micros, milliseconds
from tributary_delivery.destinations.person_fields import PersonFields, person_fields
from tributary_runtime.social_destinations import RedditDestination

_TRACKING_TYPES: Final = frozenset(
    {
        "PAGE_VISIT",
        "VIEW_CONTENT",
        "SEARCH",
        "ADD_TO_CART",
        "ADD_TO_WISHLIST",
        "LEAD",
        "PURCHASE",
        "SIGN_UP",
    }
)
_ACTION_SOURCES: Final = {
    event_pb2.ORIGIN_WEB: "WEBSITE",
    event_pb2.ORIGIN_APP: "APP",
    event_pb2.ORIGIN_STORE: "PHYSICAL_STORE",
    event_pb2.ORIGIN_PHONE: "OTHER",
    event_pb2.ORIGIN_MESSAGE: "OTHER",
    event_pb2.ORIGIN_EMAIL: "OTHER",
    event_pb2.ORIGIN_CRM: "OTHER",
    event_pb2.ORIGIN_OTHER: "OTHER",
}
_USER: Final = ("email", "phone_number", "external_id", "ip_address", "user_agent", "idfa", "aaid")
_ENOUGH: Final = ("email", "phone_number", "external_id", "uuid", "idfa", "aaid")
"""Any of which names somebody by itself."""
_ITEM_NAMES: Final = {
    "id": "id",
    "quantity": "quantity",
    "price": "item_price",
    "name": "name",
    "category": "category",
}
_FAMILY: Final = "rdt_cid"


def event(outgoing: Outgoing, settings: RedditDestination) -> Mapped | Unmappable:
    """Returns a conversion in Reddit's words."""
    person = person_fields("reddit", outgoing)
    user = _user(person, outgoing)
    click = outgoing.click_ids.get(_FAMILY)
    click_id = click.value if click is not None else ""
    is_matchable = any(name in user for name in _ENOUGH)
    if not click_id and not is_matchable and not {"ip_address", "user_agent"} <= user.keys():
        return Unmappable(INELIGIBLE_REASON_NO_MATCH_KEY)
    micros = conversion_micros(outgoing)
    action_source = _ACTION_SOURCES.get(outgoing.revised.state.origin, settings.action_source)
    said: dict[str, Any] = {
        "event_at": milliseconds(micros),
        "action_source": action_source,
        "type": _type(outgoing.name),
        "metadata": _metadata(outgoing),
        "user": user,
    }
    if settings.page_url and action_source == "WEBSITE":
        said["event_source_url"] = settings.page_url
    if click_id:
        said["click_id"] = click_id
    if outgoing.permits.is_opted_out:
        user["data_processing_options"] = {"modes": ["LDU"]}
    return Mapped(said, _FAMILY if click_id else "", click_id, person.digests, micros)


def _type(name: str) -> dict[str, str]:
    if name in _TRACKING_TYPES:
        return {"tracking_type": name}
    return {"tracking_type": "CUSTOM", "custom_event_name": name}


def _user(person: PersonFields, outgoing: Outgoing) -> dict[str, Any]:
    user: dict[str, Any] = {name: person.first(name) for name in _USER if name in person.values}
    if uuid := outgoing.revised.match.browser_ids.get("rdt_uuid", ""):
        user["uuid"] = uuid
    return user


def _metadata(outgoing: Outgoing) -> dict[str, Any]:
    items = outgoing.revised.state.items
    metadata: dict[str, Any] = {"conversion_id": outgoing.visible_id}
    if outgoing.amount_micros is not None:
        metadata |= {"value": units(outgoing.amount_micros), "currency": outgoing.currency}
    if items:
        metadata |= {"item_count": quantity_of(items), "products": contents_of(items, _ITEM_NAMES)}
    return metadata
