"""What Meta's own client sends of a conversion is what we send of it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.content import Content
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.event_request import EventRequest
from facebook_business.adobjects.serverside.user_data import UserData
from facebook_business.api import FacebookAdsApi
from facebook_business.session import FacebookSession

from tests.oracles.fake import answering
from tests.support.outgoing import an_outgoing, keys, said
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.meta import Meta
from tributary_domain.match_keys.keys import digest
from tributary_runtime.ad_destinations import MetaDestination

META = Meta(
    MetaDestination.model_validate(
        {
            "id": "meta",
            "type": "meta",
            "dataset_id": "123",
            "access_token": {"value": "T"},
            "page_url": "https://shop.example/thx",
        }
    )
)
FBC, FBP = "fb.1.1554763741205.AbCdEfGh", "fb.1.1558571054389.1098115397"


def ours() -> Any:
    person = keys(
        emails=("John_Smith@gmail.com",),
        phones=("+1 650-555-1212",),
        customer_id="u-1",
        address={
            "given": "Mary",
            "family": "Smith",
            "city": "New York",
            "region": "NY",
            "zip": "10001",
            "country": "US",
        },
        client_ip="203.0.113.7",
        user_agent="UA/1",
    )
    outgoing = an_outgoing(
        person=person,
        items=({"item_id": "a", "quantity": 2, "price_micros": 24_950_000},),
        browser_ids={"fbc": FBC, "fbp": FBP},
        opted_out=True,
    )
    return json.loads(META.request([json_bytes(said(META.event(outgoing)))], "T").body)["data"]


def theirs() -> Event:
    user = UserData(
        emails=["John_Smith@gmail.com"],
        phones=["16505551212"],
        external_ids=[digest("u-1")],
        first_names=["Mary"],
        last_names=["Smith"],
        cities=["New York"],
        states=["NY"],
        zip_codes=["10001"],
        country_codes=["US"],
        client_ip_address="203.0.113.7",
        client_user_agent="UA/1",
        fbc=FBC,
        fbp=FBP,
    )
    custom = CustomData(
        value=49.9,
        currency="USD",
        order_id="order-1001",
        content_ids=["a"],
        contents=[Content(product_id="a", quantity=2, item_price=24.95)],
        content_type="product",
        num_items=2,
    )
    return Event(
        event_name="Purchase",
        event_time=1_767_323_045,
        event_id="order-1001",
        event_source_url="https://shop.example/thx",
        action_source=ActionSource.WEBSITE,
        user_data=user,
        custom_data=custom,
        data_processing_options=["LDU"],
        data_processing_options_country=0,
        data_processing_options_state=0,
    )


def test_our_event_is_what_its_client_posts() -> None:
    with answering({"events_received": 1, "messages": [], "fbtrace_id": "T"}) as fake:
        FacebookSession.GRAPH = fake.url
        api = FacebookAdsApi.init(access_token="T", crash_log=False)
        FacebookAdsApi.set_default_api(api)
        EventRequest(pixel_id="123", events=[theirs()]).execute()
    posted = [json.loads(event) for event in json.loads(parse_qs(fake.bodies[0].decode())["data"][0])]
    assert fake.paths[0].partition("?")[0] == META.request([b"{}"], "T").path
    assert posted == ours()


def test_we_say_no_field_that_its_client_does_not() -> None:
    (event,) = ours()
    assert set(event["user_data"]) == set(theirs().user_data.normalize())
