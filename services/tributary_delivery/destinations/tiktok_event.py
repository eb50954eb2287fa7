"""A conversion as TikTok's Events API takes it."""

from __future__ import annotations

from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import INELIGIBLE_REASON_MISSING_FIELD, INELIGIBLE_REASON_NO_MATCH_KEY
from tributary_delivery.destinations.adapter import Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.baskets import contents_of
from tributary_delivery.destinations.json_bytes import units
from tributary_delivery.destinations.moments import conversion_micros, seconds
from tributary_delivery.destinations.person_fields import PersonFields, person_fields
from tributary_runtime.ad_destinations import TikTokDestination

_LISTS: Final = ("email", "phone", "external_id")
_SINGLE: Final = ("first_name", "last_name", "zip_code", "city", "state", "country", "ip", "user_agent")
_DEVICE: Final = ("idfa", "gaid")
_ITEM_NAMES: Final = {
    "id": "content_id",
    "quantity": "quantity",
    "price": "price",
    "name": "content_name",
    "category": "content_category",
    "brand": "brand",
}
_FAMILY: Final = "ttclid"
_WITH_VALUE: Final = frozenset({"Purchase", "CompletePayment"})


def event(outgoing: Outgoing, settings: TikTokDestination) -> Mapped | Unmappable:
    """Returns a conversion in TikTok's words."""
    person = person_fields("tiktok", outgoing)
    user = _user(person, outgoing)
    if not _is_matchable(user):
        return Unmappable(INELIGIBLE_REASON_NO_MATCH_KEY)
    if outgoing.name in _WITH_VALUE and outgoing.amount_micros is None:
        return Unmappable(INELIGIBLE_REASON_MISSING_FIELD, f"properties.value: a {outgoing.name} needs it")
    micros = conversion_micros(outgoing)
    said: dict[str, Any] = {
        "event": outgoing.name,
        "event_time": seconds(micros),
        "event_id": outgoing.visible_id,
        "user": user,
    }
    if properties := _properties(outgoing):
        said["properties"] = properties
    if settings.page_url and settings.event_source == "web":
        said["page"] = {"url": settings.page_url}
    if lead := _lead(outgoing, settings):
        said["lead"] = lead
    if outgoing.permits.is_opted_out:
        said["limited_data_use"] = True
    click_id = user.get(_FAMILY, "")
    return Mapped(said, _FAMILY if click_id else "", click_id, person.digests, micros)


def _user(person: PersonFields, outgoing: Outgoing) -> dict[str, Any]:
    user: dict[str, Any] = {name: list(person.values[name]) for name in _LISTS if name in person.values}
    user |= {name: person.first(name) for name in (*_SINGLE, *_DEVICE) if name in person.values}
    click = outgoing.click_ids.get(_FAMILY)
    if click is not None and click.value:
        user[_FAMILY] = click.value
    if ttp := outgoing.revised.match.browser_ids.get("ttp", ""):
        user["ttp"] = ttp
    return user


def _is_matchable(user: dict[str, Any]) -> bool:
    return any(name in user for name in (*_LISTS, *_DEVICE, _FAMILY, "ttp")) or ("ip" in user and "user_agent" in user)


def _lead(outgoing: Outgoing, settings: TikTokDestination) -> dict[str, str]:
    """Returns the lead whose stage it is, of which a CRM event set is told; empty: none, or it has no id.

    The id must be TikTok's own: nothing in it shows whose it is, so it is told as it was sent.
    """
    lead_id = outgoing.revised.state.lead.lead_id
    if settings.event_source != "crm" or not lead_id:
        return {}
    source = {"lead_event_source": settings.lead_event_source} if settings.lead_event_source else {}
    return {"lead_id": lead_id, **source}


def _properties(outgoing: Outgoing) -> dict[str, Any]:
    state = outgoing.revised.state
    properties: dict[str, Any] = {}
    if outgoing.amount_micros is not None:
        properties |= {"value": units(outgoing.amount_micros), "currency": outgoing.currency}
    if state.order_key.order_id:
        properties["order_id"] = state.order_key.order_id
    if state.items:
        properties |= {"contents": contents_of(state.items, _ITEM_NAMES), "content_type": "product"}
    return properties
