"""By which id a destination knows a conversion, and a CRM its objects."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.batches import a_batch_destination
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_delivery.visible_ids import object_id, visible_id
from tributary_runtime.crm_destinations import CrmDestination

ONE = {"purchase": {}}
TWO = {"purchase": {}, "sign_up": {}}
SHARED = {"purchase": {"object": "deal"}, "sign_up": {"object": "deal"}}
APART = {**SHARED, "call": {"object": "call"}}


def of_an_order(name: str = "purchase", **key: str) -> ConversionRevised:
    revised = ConversionRevised()
    state = revised.state
    state.conversion_id, state.name = "c1:1", name
    for field, value in {"order_id": "1001", **key}.items():
        setattr(state.order_key, field, value)
    return revised


def a_stage(stage: str, name: str = "purchase", store: str = "", **lead: str) -> ConversionRevised:
    revised = of_an_order(name, order_id="L-1", cycle=f"stage:{stage}", store=store)
    revised.state.lead.stage = stage
    for field, value in ({"lead_id": "L-1"} | lead).items():
        setattr(revised.state.lead, field, value)
    return revised


def a_stage_of_no_lead() -> ConversionRevised:
    revised = of_an_order(order_id="")
    revised.state.lead.stage = "won"
    return revised


@pytest.mark.parametrize(
    ("conversions", "revised", "expected"),
    [
        pytest.param(ONE, of_an_order(), "1001", id="an order"),
        pytest.param(ONE, of_an_order(store="berlin", cycle="2"), "berlin/1001:2", id="a store's, a cycle"),
        pytest.param(ONE, of_an_order(order_id=""), "c1:1", id="no order"),
        pytest.param(TWO, of_an_order(), "1001|purchase", id="one of two names"),
        pytest.param(TWO, of_an_order("sign_up"), "1001|sign_up", id="the other"),
        pytest.param(SHARED, of_an_order("sign_up"), "1001", id="one object by declaration"),
        pytest.param(APART, of_an_order("sign_up"), "1001|deal", id="one of two objects"),
        pytest.param(APART, of_an_order("call"), "1001|call", id="the other object"),
        pytest.param(ONE, a_stage("qualified"), "lead:L-1", id="a lead"),
        pytest.param(ONE, a_stage("won"), "lead:L-1", id="the lead's next stage"),
        pytest.param(TWO, a_stage("won", "sign_up"), "lead:L-1", id="under another name"),
        pytest.param(APART, a_stage("won", "call"), "lead:L-1|call", id="names told apart"),
        pytest.param(ONE, a_stage("won", root_order_id="1001"), "1001", id="of an order that began it"),
        pytest.param(ONE, a_stage("won", store="de", root_order_id="1001"), "de/1001", id="of a store's order"),
        pytest.param(ONE, a_stage_of_no_lead(), "c1:1", id="of a lead whose id was none"),
    ],
)
def test_an_object_is_an_order_s_or_a_lead_s(
    conversions: dict[str, Any], revised: ConversionRevised, expected: str
) -> None:
    settings = a_batch_destination("hubspot", conversions=conversions)
    assert isinstance(settings, CrmDestination)
    kind = settings.object_of(revised.state.name, is_stage=revised.state.HasField("lead"))
    assert object_id(revised, "hubspot", kind, most_characters=128) == expected
    revised.match.pixel_event_ids["hubspot"] = "its own"
    assert object_id(revised, "hubspot", kind, most_characters=128) == "its own"


def test_only_a_crm_has_objects() -> None:
    with pytest.raises(ValueError, match="object is of CRMs only"):
        a_batch_destination("meta", conversions={"purchase": {"name": "Purchase", "object": "deal"}})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"store": "de/nord", "order_id": "7"}, {"store": "de", "order_id": "nord/7"}, id="two stores"),
        pytest.param({"store": "de", "order_id": "7:2"}, {"store": "de", "cycle": "2", "order_id": "7"}, id="a cycle"),
        pytest.param({"order_id": "7:1", "cycle": "2"}, {"order_id": "7", "cycle": "1:2"}, id="two cycles"),
        pytest.param({"order_id": "de/7", "cycle": "2"}, {"store": "de", "order_id": "7", "cycle": "2"}, id="a store"),
        pytest.param({"store": "a%2Fb", "order_id": "7"}, {"store": "a/b", "order_id": "7"}, id="quoted already"),
    ],
)
def test_no_two_orders_that_are_put_together_read_the_same(one: dict[str, str], other: dict[str, str]) -> None:
    orders = of_an_order(**one), of_an_order(**other)
    assert len({visible_id(order, "google", id_is_order=True, most_characters=64) for order in orders}) == 2
    assert len({object_id(order, "crm", "", most_characters=128) for order in orders}) == 2


@pytest.mark.parametrize(
    ("order", "name", "expected"),
    [
        pytest.param({"order_id": "2026/1001:7|a%"}, "", "2026/1001:7|a%", id="as the tag knows it"),
        pytest.param({"store": "berlin", "cycle": "2"}, "", "berlin/1001:2", id="a store's, a cycle"),
        pytest.param({}, "upsell", "1001|upsell", id="of several of one name there"),
        pytest.param({"order_id": ""}, "upsell", "c1:1", id="no order"),
    ],
)
def test_an_order_is_known_by_its_number_and_by_what_tells_it_apart(
    order: dict[str, str], name: str, expected: str
) -> None:
    revised = of_an_order(**order)
    assert visible_id(revised, "google", id_is_order=True, most_characters=64, name=name) == expected
    revised.match.pixel_event_id = "the tag's"
    assert visible_id(revised, "google", id_is_order=True, most_characters=64, name=name) == "the tag's"


def test_what_is_longer_than_google_takes_is_hashed_to_what_it_takes() -> None:
    revised = of_an_order(order_id="7" * 65)
    assert len(visible_id(revised, "google", id_is_order=True, most_characters=64)) == 64
