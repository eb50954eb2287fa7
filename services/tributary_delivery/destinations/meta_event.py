"""A conversion as Meta's Conversions API takes it.

The one rule: an event that Meta would refuse never reaches a request, for it would take all others of it along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import (
    INELIGIBLE_REASON_MISSING_FIELD,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    INELIGIBLE_REASON_TOO_OLD,
)
from tributary.event.v1 import event_pb2
from tributary_delivery.destinations.adapter import ON_ITS_WAY_SECONDS, Mapped, Outgoing, Unmappable
from tributary_delivery.destinations.baskets import contents_of, quantity_of
from tributary_delivery.destinations.json_bytes import units
from tributary_delivery.destinations.meta_cookies import fbc, index_of
from tributary_delivery.destinations.moments import conversion_micros, seconds
from tributary_delivery.destinations.person_fields import PersonFields, person_fields
from tributary_domain.match_keys.ids import meta_cookie
from tributary_domain.match_keys.keys import NoKey
from tributary_runtime.ad_destinations import META_MOST_AGE_SECONDS, MetaDestination

_ACTION_SOURCES: Final = {
    event_pb2.ORIGIN_WEB: "website",
    event_pb2.ORIGIN_APP: "app",
    event_pb2.ORIGIN_STORE: "physical_store",
    event_pb2.ORIGIN_PHONE: "phone_call",
    event_pb2.ORIGIN_MESSAGE: "chat",
    event_pb2.ORIGIN_EMAIL: "email",
    event_pb2.ORIGIN_CRM: "system_generated",
    event_pb2.ORIGIN_OTHER: "other",
}
_LISTS: Final = ("em", "ph", "fn", "ln", "ct", "st", "zp", "country", "external_id")
_ITEM_NAMES: Final = {"id": "id", "quantity": "quantity", "price": "item_price"}
_WEBSITE: Final = "website"
_STORE: Final = "physical_store"
_MOST_AGE_SECONDS: Final = META_MOST_AGE_SECONDS - ON_ITS_WAY_SECONDS
"""Of an event that did not happen in a store, when it sets out."""


def event(outgoing: Outgoing, settings: MetaDestination) -> Mapped | Unmappable:
    """Returns a conversion in Meta's words."""
    person = person_fields("meta", outgoing)
    user_data, click_id = _user_data(person, outgoing, settings.page_url)
    if not _is_matchable(user_data):
        return Unmappable(INELIGIBLE_REASON_NO_MATCH_KEY)
    micros = conversion_micros(outgoing)
    state = outgoing.revised.state
    action_source = _ACTION_SOURCES.get(state.origin, settings.action_source)
    if action_source != _STORE and outgoing.now_micros - micros > _MOST_AGE_SECONDS * 1_000_000:
        return Unmappable(INELIGIBLE_REASON_TOO_OLD, f"event_time: Meta takes {action_source} of 7 days only")
    said: dict[str, Any] = {
        "event_name": outgoing.name,
        "event_time": seconds(micros),
        "event_id": outgoing.visible_id,
        "action_source": action_source,
        "user_data": user_data,
    }
    if settings.page_url and action_source == _WEBSITE:
        said["event_source_url"] = settings.page_url
    if custom := _custom_data(outgoing):
        said["custom_data"] = custom
    if outgoing.permits.is_opted_out:
        said |= {
            "data_processing_options": ["LDU"],
            "data_processing_options_country": 0,
            "data_processing_options_state": 0,
        }
    if missing := _missing(said):
        return Unmappable(INELIGIBLE_REASON_MISSING_FIELD, missing)
    family = "fbclid" if click_id else ""
    return Mapped(said, family, click_id, person.digests, micros)


def _user_data(person: PersonFields, outgoing: Outgoing, page_url: str) -> tuple[dict[str, Any], str]:
    """Returns what Meta recognises the person by, and the click id in it."""
    user_data: dict[str, Any] = {name: list(person.values[name]) for name in _LISTS if name in person.values}
    for name in ("client_ip_address", "client_user_agent", "madid"):
        if name in person.values:
            user_data[name] = person.first(name)
    browser_ids = outgoing.revised.match.browser_ids
    click = outgoing.click_ids.get("fbclid")
    fbclid, click_micros = (click.value, click.click_time.ToMicroseconds()) if click is not None else ("", 0)
    own_fbc, own_fbp = browser_ids.get("fbc", ""), browser_ids.get("fbp", "")
    cookie = fbc(own_fbc, fbclid, click_micros, index_of((own_fbc, own_fbp), page_url))
    for name, value in (("fbc", cookie), ("fbp", own_fbp)):
        forms = meta_cookie(value, "")
        if not isinstance(forms, NoKey):
            user_data[name] = forms[0]
    return user_data, user_data["fbc"].split(".")[3] if "fbc" in user_data else ""


def _is_matchable(user_data: Mapping[str, Any]) -> bool:
    """Tells whether Meta takes this for enough: a name or a place alone is not."""
    if any(name in user_data for name in ("em", "ph", "external_id", "fbc", "fbp", "madid")):
        return True
    return "client_ip_address" in user_data and "client_user_agent" in user_data


def _custom_data(outgoing: Outgoing) -> dict[str, Any]:
    state = outgoing.revised.state
    custom: dict[str, Any] = {}
    if outgoing.amount_micros is not None:
        custom |= {"value": units(outgoing.amount_micros), "currency": outgoing.currency.lower()}
    if state.order_key.order_id:
        custom["order_id"] = state.order_key.order_id
    if state.items:
        custom |= {
            "content_ids": [item.item_id for item in state.items],
            "contents": contents_of(state.items, _ITEM_NAMES),
            "content_type": "product",
            "num_items": quantity_of(state.items),
        }
    return custom


def _missing(said: Mapping[str, Any]) -> str:
    """Returns the field without which Meta would refuse the event; "": none."""
    if said["event_name"] == "Purchase" and "value" not in said.get("custom_data", {}):
        return "custom_data.value: a Purchase needs it"
    if said["action_source"] == _WEBSITE:
        if "event_source_url" not in said:
            return "event_source_url: set the destination's page_url"
        if "client_user_agent" not in said["user_data"]:
            return "user_data.client_user_agent: no browser of the person was observed"
    return ""
