"""Two devices turn out to be one person: before the conversion, after it, in whatever order we are told."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import grpc
import pytest

from tests.support.shop import (
    EURO,
    MAIL,
    PAID,
    Shop,
    a_login,
    a_visit,
    an_order,
    causes,
    code_of,
    credit,
)
from tributary.event.v1.event_pb2 import Event

WHOLE = {"on-laptop": (500_000, 50 * EURO), "on-phone": (500_000, 50 * EURO)}


def _visits() -> list[Event]:
    return [
        a_visit(timedelta(hours=9), PAID, visitor_id="phone", event_id="on-phone"),
        a_visit(timedelta(hours=6), MAIL, visitor_id="laptop", event_id="on-laptop"),
    ]


def _logins(ago: timedelta) -> list[Event]:
    return [a_login(ago, visitor_id=device, customer_id="anna") for device in ("phone", "laptop")]


def _order() -> Event:
    return an_order("o", ago=timedelta(hours=3), visitor_id="laptop", event_id="bought")


def test_devices_linked_before_the_conversion_share_its_credit_at_once(shop: Shop) -> None:
    shop.accept(*_visits(), *_logins(timedelta(hours=5)))
    shop.wait_until_settled()
    shop.accept(_order())
    shop.wait_until_settled()
    found = shop.order("o")
    assert credit(found.newest.state, "linear") == WHOLE
    assert causes(found) == ["INITIAL"]


@pytest.mark.parametrize("ago", [timedelta(hours=5), timedelta(hours=1)], ids=["logged-in-before", "logged-in-after"])
def test_devices_linked_when_the_conversion_is_known_revise_it(shop: Shop, ago: timedelta) -> None:
    shop.accept(*_visits(), _order())
    shop.wait_until_settled()
    assert credit(shop.order("o").newest.state, "linear") == {"on-laptop": (1_000_000, 100 * EURO)}
    shop.accept(*_logins(ago))
    shop.wait_until_settled()
    found = shop.order("o")
    assert credit(found.newest.state, "linear") == WHOLE
    assert causes(found)[0] == "INITIAL"
    assert "IDENTITY_MERGE" in causes(found)
    webhooks = shop.wait_for_webhooks(found.newest.state.conversion_id, found.newest.revision)
    assert webhooks[-1].type == "attribution.updated"
    assert "identity_merge" in [cause for webhook in webhooks for cause in webhook.data["causes"]]


def test_the_journey_is_the_same_however_the_person_is_named(shop: Shop) -> None:
    shop.accept(*_visits(), _order())
    shop.wait_until_settled()
    before = [shop.journey(identifiers={"visitor_id": device}).person_id for device in ("phone", "laptop")]
    assert before[0] != before[1]
    shop.accept(*_logins(timedelta(hours=1)))
    shop.wait_until_settled()

    state = shop.order("o").newest.state
    journey = shop.journey(conversion_id=state.conversion_id)
    assert journey.person_id == state.person_id
    assert len(journey.identity_tokens) == 3
    kinds = [step.WhichOneof("step") for step in journey.steps]
    assert kinds == ["touchpoint", "touchpoint", "conversion"]
    assert [step.touchpoint.source.source for step in journey.steps[:2]] == ["google", "newsletter"]
    assert journey.steps[2].conversion.conversion_id == state.conversion_id
    for named in ({"visitor_id": "phone"}, {"visitor_id": "laptop"}, {"customer_id": "anna"}):
        assert shop.journey(identifiers=named) == journey, named
    for person_id in (state.person_id, *before):  # the ids of before lead on
        assert shop.journey(person_id=person_id) == journey, person_id


def test_everything_in_one_call_gives_the_same(shop: Shop) -> None:
    shop.accept(*_logins(timedelta(hours=5)), _order(), *reversed(_visits()))
    shop.wait_until_settled()
    assert credit(shop.order("o").newest.state, "linear") == WHOLE


def test_a_plain_address_and_its_hash_are_one_person(shop: Shop) -> None:
    hashed = hashlib.sha256(b"anna@shop.example").hexdigest()
    shop.accept(
        a_visit(timedelta(hours=6), visitor_id="laptop", email=" Anna@Shop.Example", event_id="t"),
        an_order("o", email_sha256=hashed.upper()),
    )
    shop.wait_until_settled()
    assert credit(shop.order("o").newest.state, "linear") == {"t": (1_000_000, 100 * EURO)}
    assert shop.journey(identifiers={"email": "anna@shop.example"}).person_id == shop.order("o").newest.state.person_id


def test_one_identifier_in_two_workspaces_is_two_people(shop: Shop, other_shop: Shop) -> None:
    shop.accept(a_visit(timedelta(hours=6), customer_id="anna"))
    other_shop.accept(an_order("o", customer_id="anna"))
    shop.wait_until_settled()
    other_shop.wait_until_settled()
    assert set(credit(other_shop.order("o").newest.state, "linear")) == {"NO_TOUCHPOINT"}
    mine = shop.journey(identifiers={"customer_id": "anna"})
    assert mine.person_id != other_shop.journey(identifiers={"customer_id": "anna"}).person_id
    with pytest.raises(grpc.RpcError) as raised:
        other_shop.journey(person_id=mine.person_id)
    assert code_of(raised.value) is grpc.StatusCode.NOT_FOUND


def test_a_quarantined_event_links_nobody(shop: Shop) -> None:
    shop.accept(*_visits(), _order())
    bot = a_visit(timedelta(hours=5), visitor_id="phone", customer_id="anna", agent="Googlebot/2.1")
    shop.send(bot)
    shop.accept(a_login(timedelta(hours=5), visitor_id="laptop", customer_id="anna"))
    shop.wait_until_settled()
    assert credit(shop.order("o").newest.state, "linear") == {"on-laptop": (1_000_000, 100 * EURO)}
