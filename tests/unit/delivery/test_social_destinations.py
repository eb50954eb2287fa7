"""Pinterest, Snap and Reddit are sent what their documentation asks, and their answers are told apart."""

from __future__ import annotations

import json
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from tests.support.outgoing import an_answer, an_outgoing, click_id, golden, keys, said, why
from tributary.delivery.v1.delivery_pb2 import (
    INELIGIBLE_REASON_MISSING_FIELD,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    OutcomeClass,
)
from tributary.event.v1 import event_pb2
from tributary_delivery.destinations import (
    pinterest_answer,
    pinterest_event,
    reddit_answer,
    reddit_event,
    snap_answer,
    snap_event,
)
from tributary_delivery.destinations.adapter import Mapped, PersonKeys, Verdict
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.pinterest import Pinterest
from tributary_delivery.destinations.reddit import Reddit
from tributary_delivery.destinations.snap import Snap
from tributary_runtime.social_destinations import PinterestDestination, RedditDestination, SnapDestination

COMMON = {"access_token": {"value": "not a secret"}, "page_url": "https://shop.example/thanks"}
PINTEREST = PinterestDestination.model_validate({"id": "p", "type": "pinterest", "ad_account_id": "549", **COMMON})
SNAP = SnapDestination.model_validate({"id": "s", "type": "snap", "pixel_id": "PIX", **COMMON})
REDDIT = RedditDestination.model_validate({"id": "r", "type": "reddit", "pixel_id": "t2_abc", **COMMON})

ITEM = {
    "item_id": "a",
    "name": "Cup",
    "category": "Kitchen",
    "brand": "Kiln",
    "price_micros": 24_950_000,
    "quantity": 2,
}
DEVICE = {"client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0"}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def classes(verdict: Verdict, events: int) -> list[str]:
    names = (OutcomeClass.Name(verdict.of(place).outcome) for place in range(events))
    return [name.removeprefix("OUTCOME_CLASS_") for name in names]


def test_pinterest_is_told_who_what_and_when() -> None:
    person = keys(
        emails=("  Pinner@Example.COM ",),
        phones=("+49-30-123456",),
        customer_id="User-123",
        address={
            "given": "Mary Ann",
            "city": "Menlo Park",
            "region": "California",
            "zip": "94035-1234",
            "country": "US",
        },
        **DEVICE,
    )
    outgoing = an_outgoing(
        name="checkout", person=person, clicks=(click_id("epik", "E1"),), items=(ITEM,), opted_out=True
    )
    assert said(pinterest_event.event(outgoing, PINTEREST)) == {
        "event_name": "checkout",
        "action_source": "web",
        "event_time": 1_767_323_045,
        "event_id": "order-1001",
        "event_source_url": "https://shop.example/thanks",
        "user_data": {
            "em": [digest("pinner@example.com")],
            "ph": [digest("4930123456")],
            "external_id": [digest("user-123")],
            "fn": [digest("mary ann"), digest("maryann")],
            "ct": [digest("menlopark")],
            "st": [digest("california"), digest("ca")],
            "zp": [digest("940351234"), digest("94035")],
            "country": [digest("us")],
            "client_ip_address": "203.0.113.7",
            "client_user_agent": "Mozilla/5.0",
            "click_id": "E1",
        },
        "custom_data": {
            "value": "49.90",
            "currency": "USD",
            "order_id": "order-1001",
            "content_ids": ["a"],
            "contents": [
                {
                    "id": "a",
                    "quantity": 2,
                    "item_price": "24.95",
                    "item_name": "Cup",
                    "item_category": "Kitchen",
                    "item_brand": "Kiln",
                }
            ],
            "num_items": 2,
            "opt_out_type": "LDP",
        },
    }


@pytest.mark.parametrize(
    ("origin", "own", "expected"),
    [
        (event_pb2.ORIGIN_STORE, "web", "offline"),
        (event_pb2.ORIGIN_APP, "app_ios", "app_ios"),
        (event_pb2.ORIGIN_WEB, "app_ios", "web"),
    ],
)
def test_pinterest_is_told_where(origin: event_pb2.Origin.ValueType, own: str, expected: str) -> None:
    settings = PINTEREST.model_copy(update={"action_source": own})
    assert said(pinterest_event.event(an_outgoing(origin=origin), settings))["action_source"] == expected


@pytest.mark.parametrize(
    ("origin", "own", "forgets"),
    [
        (event_pb2.ORIGIN_WEB, "offline", False),
        (event_pb2.ORIGIN_APP, "web", False),
        (event_pb2.ORIGIN_STORE, "web", True),
        (event_pb2.ORIGIN_CRM, "app_ios", True),
        (event_pb2.ORIGIN_UNSPECIFIED, "offline", True),
    ],
)
def test_pinterest_knows_nothing_again_that_happened_offline(
    origin: event_pb2.Origin.ValueType, own: str, *, forgets: bool
) -> None:
    policy = Pinterest(PINTEREST.model_copy(update={"action_source": own})).policy
    assert policy.forgets(an_outgoing(origin=origin).revised) == forgets


@pytest.mark.parametrize(
    "person", [PersonKeys(), PersonKeys(phones=("+4930123456",), customer_id="u"), PersonKeys(client_ip="203.0.113.7")]
)
def test_pinterest_asks_for_an_address_or_a_whole_device(person: PersonKeys) -> None:
    assert why(pinterest_event.event(an_outgoing(person=person), PINTEREST)) == INELIGIBLE_REASON_NO_MATCH_KEY


def test_snap_is_told_what_the_golden_request_holds() -> None:
    person = keys(emails=("Person@Example.com",), phones=("+44 844 412 4653",), customer_id="User-42", **DEVICE)
    outgoing = an_outgoing(
        name="PURCHASE", person=person, clicks=(click_id("sc_cid", "sc-1"),), browser_ids={"scid": "c1"}
    )
    mapped = snap_event.event(outgoing, SNAP)
    row = golden("snap", "REQUEST v3")["request"]
    (theirs,) = row["json"]["data"]
    assert theirs.pop("integration") == "segment", "who sent it"
    assert theirs.pop("action_source") == "website", "an alias of WEB"
    ours = json.loads(json_bytes(said(mapped)))
    assert ours.pop("action_source") == "WEB"
    assert ours == theirs
    request = Snap(SNAP).request([json_bytes(said(mapped))], "T")
    assert f"{SNAP.base_url}{request.path}?access_token=T" == row["url"]
    assert Snap(SNAP).policy.credential_place == "?access_token"
    assert isinstance(mapped, Mapped)
    assert (mapped.click_id_family, mapped.click_id) == ("sc_cid", "sc-1")


@pytest.mark.parametrize(
    ("person", "own", "page", "reason"),
    [
        pytest.param(PersonKeys(customer_id="u"), {}, True, INELIGIBLE_REASON_NO_MATCH_KEY, id="an id of ours alone"),
        pytest.param(
            PersonKeys(emails=("a@b.co",)),
            {"amount_micros": None},
            True,
            INELIGIBLE_REASON_MISSING_FIELD,
            id="no value",
        ),
        pytest.param(PersonKeys(emails=("a@b.co",)), {}, False, INELIGIBLE_REASON_MISSING_FIELD, id="no page"),
    ],
)
def test_what_snap_would_refuse_is_not_sent(person: PersonKeys, own: dict[str, Any], page: bool, reason: int) -> None:
    settings = SNAP if page else SNAP.model_copy(update={"page_url": ""})
    assert why(snap_event.event(an_outgoing(name="PURCHASE", person=person, **own), settings)) == reason


def test_reddit_is_told_who_what_and_when() -> None:
    person = keys(
        emails=("Jane.Doe+promo@Example.com",), phones=("+1 415-555-2671 ext 12",), customer_id=" User-42 ", **DEVICE
    )
    outgoing = an_outgoing(
        name="PURCHASE",
        person=person,
        clicks=(click_id("rdt_cid", "c1"),),
        browser_ids={"rdt_uuid": "1684189007728.7c0b"},
        items=(ITEM,),
        opted_out=True,
    )
    assert said(reddit_event.event(outgoing, REDDIT)) == {
        "event_at": 1_767_323_045_000,
        "action_source": "WEBSITE",
        "event_source_url": "https://shop.example/thanks",
        "click_id": "c1",
        "type": {"tracking_type": "PURCHASE"},
        "metadata": {
            "conversion_id": "order-1001",
            "value": Decimal("49.90"),
            "currency": "USD",
            "item_count": 2,
            "products": [
                {"id": "a", "name": "Cup", "category": "Kitchen", "item_price": Decimal("24.95"), "quantity": 2}
            ],
        },
        "user": {
            "email": digest("janedoe@example.com"),
            "phone_number": digest("+14155552671"),
            "external_id": digest("User-42"),
            "ip_address": digest("203.0.113.7"),
            "user_agent": "Mozilla/5.0",
            "uuid": "1684189007728.7c0b",
            "data_processing_options": {"modes": ["LDU"]},
        },
    }


def test_reddit_hashes_a_person_as_the_golden_request_of_its_older_version() -> None:
    theirs = golden("reddit", "REQUEST v2.0")["request"]["json"]["events"][0]["user"]
    person = keys(emails=("Jane.Doe+promo@Example.com",), **DEVICE)
    outgoing = an_outgoing(person=person, browser_ids={"rdt_uuid": "1684189007728.7c0b"})
    assert said(reddit_event.event(outgoing, REDDIT))["user"] == theirs


def test_reddit_is_told_a_name_of_ones_own_as_custom() -> None:
    assert said(reddit_event.event(an_outgoing(name="Booked"), REDDIT))["type"] == {
        "tracking_type": "CUSTOM",
        "custom_event_name": "Booked",
    }


def test_reddit_asks_for_somebody() -> None:
    person = PersonKeys(client_ip="203.0.113.7")
    assert why(reddit_event.event(an_outgoing(person=person), REDDIT)) == INELIGIBLE_REASON_NO_MATCH_KEY
    clicked = an_outgoing(person=person, clicks=(click_id("rdt_cid", "c1"),))
    assert said(reddit_event.event(clicked, REDDIT))["click_id"] == "c1"


def test_events_are_posted_where_the_documentation_says() -> None:
    pinterest = Pinterest(PINTEREST).request([b"{}", b"{}"], "T")
    assert (pinterest.path, pinterest.body) == ("/v5/ad_accounts/549/events", b'{"data":[{},{}]}')
    reddit = Reddit(REDDIT).request([b"{}"], "T")
    assert (reddit.path, reddit.body) == ("/api/v3/pixels/t2_abc/conversion_events", b'{"data":{"events":[{}]}}')


PROCESSED, FAILED = {"status": "processed"}, {"status": "failed", "error_message": "jane@example.com is wrong"}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, {"events": [PROCESSED, PROCESSED]}, ["OK", "OK"], id="processed"),
        pytest.param(200, {"num_events_processed": 2}, ["OK", "OK"], id="counted"),
        pytest.param(200, {"num_events_processed": 1}, ["RETRY", "RETRY"], id="not all counted"),
        pytest.param(200, None, ["RETRY", "RETRY"], id="a page instead of an answer"),
        pytest.param(200, {"events": [PROCESSED, FAILED]}, ["OK", "PERMANENT"], id="one failed"),
        pytest.param(422, {"code": 1, "details": {"events": [FAILED, PROCESSED]}}, ["PERMANENT", "OK"], id="in a 422"),
        pytest.param(422, {"code": 1}, ["SPLIT", "SPLIT"], id="a 422 without rows"),
        pytest.param(400, {"code": 4196}, ["SPLIT", "SPLIT"], id="a bad request"),
        pytest.param(401, {"code": 2}, ["CONFIG", "CONFIG"], id="unauthorized"),
        pytest.param(403, {"code": 29}, ["CONFIG", "CONFIG"], id="no permission"),
        pytest.param(429, {"code": 8}, ["THROTTLED", "THROTTLED"], id="too many"),
        pytest.param(503, {"code": 4197}, ["RETRY", "RETRY"], id="unavailable"),
    ],
)
def test_pinterest_s_answers_are_told_apart(status: int, body: Any, expected: list[str]) -> None:
    verdict = pinterest_answer.classify(an_answer(status, body), 2)
    assert classes(verdict, 2) == expected
    assert "jane" not in repr(verdict)


@pytest.mark.parametrize(
    ("status", "body", "expected", "untaken"),
    [
        pytest.param(200, {"status": "VALID", "reason": ""}, "OK", False, id="valid"),
        pytest.param(200, {"status": "INVALID"}, "SPLIT", False, id="another status: perhaps some were taken"),
        pytest.param(200, None, "RETRY", False, id="no status"),
        pytest.param(400, {"status": "INVALID"}, "SPLIT", True, id="a bad request"),
        pytest.param(401, None, "CONFIG", True, id="unauthorized"),
        pytest.param(429, None, "THROTTLED", True, id="too many"),
        pytest.param(500, None, "RETRY", False, id="a server error"),
    ],
)
def test_snap_s_answers_are_told_apart(status: int, body: Any, expected: str, untaken: bool) -> None:
    verdict = snap_answer.classify(an_answer(status, body), 2)
    assert classes(verdict, 1) == [expected]
    assert verdict.whole.is_untaken == untaken


@pytest.mark.parametrize("status", [200, 400])
def test_snap_refuses_whom_it_names(status: int) -> None:
    body = {"status": "INVALID", "error_records": [{"reason": "jane@example.com is wrong", "record_indexes": [1]}]}
    verdict = snap_answer.classify(an_answer(status, body), 2)
    assert classes(verdict, 2) == ["SPLIT", "PERMANENT"]
    assert "jane" not in repr(verdict)
    assert classes(snap_answer.classify(an_answer(200, {"status": "INVALID"}), 1), 1) == ["PERMANENT"], "it alone"


INVALID = {"error_message": "jane@example.com is wrong"}
FIELDS = [{"field": "data.events.1.metadata.products.0.id", "message": "jane@example.com"}]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, {"message": "ok"}, ["OK", "OK"], id="taken"),
        pytest.param(200, None, ["RETRY", "RETRY"], id="a page instead of an answer"),
        pytest.param(200, {"invalid_events": [INVALID | {"index": 1}]}, ["OK", "PERMANENT"], id="one invalid, named"),
        pytest.param(200, {"data": {"invalid_events": [INVALID]}}, ["SPLIT", "SPLIT"], id="one invalid, not named"),
        pytest.param(
            200,
            {"invalid_events": [{"error_message": "events[0].event_at: jane@example.com"}]},
            ["PERMANENT", "OK"],
            id="one invalid, named in a sentence",
        ),
        pytest.param(200, {"invalid_events": [INVALID | {"index": 7}]}, ["SPLIT", "SPLIT"], id="a place that is none"),
        pytest.param(400, {"error": {"fields": FIELDS}}, ["SPLIT", "PERMANENT"], id="a bad request, the event named"),
        pytest.param(200, {"invalid_events": [INVALID, INVALID]}, ["PERMANENT", "PERMANENT"], id="all invalid"),
        pytest.param(400, None, ["SPLIT", "SPLIT"], id="a bad request"),
        pytest.param(401, None, ["REAUTH", "REAUTH"], id="an expired token"),
        pytest.param(403, None, ["CONFIG", "CONFIG"], id="no permission"),
        pytest.param(429, None, ["THROTTLED", "THROTTLED"], id="too many"),
    ],
)
def test_reddit_s_answers_are_told_apart(status: int, body: Any, expected: list[str]) -> None:
    verdict = reddit_answer.classify(an_answer(status, body), 2)
    assert classes(verdict, 2) == expected
    assert "jane" not in repr(verdict)
