"""TikTok is sent hashes of its own kind, and its answers are told apart by the code in their body."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from tests.support.batches import FAKES, TOKEN, a_batch_destination
from tests.support.outgoing import an_answer, an_outgoing, click_id, keys, said, why
from tributary.delivery.v1.delivery_pb2 import (
    INELIGIBLE_REASON_MISSING_FIELD,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    OutcomeClass,
)
from tributary_cli.demo.fakes.fake import Ask
from tributary_delivery.destinations.adapter import Mapped, PersonKeys
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.tiktok import TikTok
from tributary_delivery.destinations.tiktok_answer import classify
from tributary_delivery.destinations.tiktok_event import event
from tributary_runtime.ad_destinations import TikTokDestination

TIKTOK = TikTokDestination.model_validate(
    {
        "id": "tt",
        "type": "tiktok",
        "event_source_id": "PIXEL",
        "access_token": {"value": "not a secret"},
        "page_url": "https://shop.example/",
    }
)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def test_an_event_says_who_what_and_when() -> None:
    person = keys(
        emails=(" Jane@Example.com ",),
        phones=("0044 844 412 4653",),
        customer_id="User-42",
        address={
            "given": "Mary Ann",
            "family": "Smith",
            "city": "St. Louis",
            "region": "MO",
            "zip": "63101",
            "country": "US",
        },
        client_ip="203.0.113.7",
        user_agent="UA/1",
    )
    item = {"item_id": "a", "name": "Cup", "brand": "Kiln", "price_micros": 24_950_000, "quantity": 2}
    outgoing = an_outgoing(
        person=person,
        clicks=(click_id("ttclid", "E.C.P.AbC"),),
        browser_ids={"ttp": "T1"},
        items=(item,),
        opted_out=True,
    )
    mapped = event(outgoing, TIKTOK)
    assert said(mapped) == {
        "event": "Purchase",
        "event_time": 1_767_323_045,
        "event_id": "order-1001",
        "user": {
            "email": [digest("jane@example.com")],
            "phone": [digest("+448444124653")],
            "external_id": [digest("user-42")],
            "first_name": digest("maryann"),
            "last_name": digest("smith"),
            "zip_code": digest("63101"),
            "city": "stlouis",
            "state": "mo",
            "country": "us",
            "ip": "203.0.113.7",
            "user_agent": "UA/1",
            "ttclid": "E.C.P.AbC",
            "ttp": "T1",
        },
        "properties": {
            "value": Decimal("49.90"),
            "currency": "USD",
            "order_id": "order-1001",
            "contents": [
                {"content_id": "a", "content_name": "Cup", "brand": "Kiln", "price": Decimal("24.95"), "quantity": 2}
            ],
            "content_type": "product",
        },
        "page": {"url": "https://shop.example/"},
        "limited_data_use": True,
    }
    assert isinstance(mapped, Mapped)
    assert (mapped.click_id_family, mapped.click_id) == ("ttclid", "E.C.P.AbC")
    assert set(mapped.digests) == {"email", "phone", "external_id", "first_name", "last_name", "zip_code"}


@pytest.mark.parametrize(
    ("lead_id", "own", "expected"),
    [
        pytest.param("lead-5", {"event_source": "crm"}, {"lead_id": "lead-5"}, id="of a CRM"),
        pytest.param(
            "lead-5",
            {"event_source": "crm", "lead_event_source": "HubSpot"},
            {"lead_id": "lead-5", "lead_event_source": "HubSpot"},
            id="of a CRM that is named",
        ),
        pytest.param("", {"event_source": "crm", "lead_event_source": "HubSpot"}, None, id="without an id"),
        pytest.param("lead-5", {"event_source": "web"}, None, id="of a website"),
    ],
)
def test_a_crm_event_set_is_told_which_lead_it_is(lead_id: str, own: dict[str, str], expected: Any) -> None:
    outgoing = an_outgoing(person=keys(emails=("a@b.co",)))
    outgoing.revised.state.lead.lead_id = lead_id
    settings = a_batch_destination("tiktok", **own)
    assert isinstance(settings, TikTokDestination)
    told = said(event(outgoing, settings))
    assert told.get("lead") == expected
    fake, headers = FAKES["tiktok"](TOKEN, lambda: told["event_time"]), {"access-token": TOKEN}
    request = TikTok(settings).request([json_bytes(told)], TOKEN)
    assert fake.answer(Ask(request.path, {}, headers, request.body)).body["code"] == 0  # type: ignore[call-overload]
    assert fake.accepted == 1


def test_no_other_event_source_has_leads() -> None:
    fake = FAKES["tiktok"](TOKEN, lambda: 1_767_323_045)
    data = [{"event": "Lead", "event_time": 1_767_323_045, "user": {"ttp": "T1"}, "lead": {"lead_id": "lead-5"}}]
    body = json_bytes({"event_source": "web", "event_source_id": "PIXEL", "data": data})
    answer = fake.answer(Ask("/open_api/v1.3/event/track/", {}, {"access-token": TOKEN}, body))
    assert answer.body["code"] == 40_002  # type: ignore[call-overload]


def test_both_hashes_of_callers_fit() -> None:
    person = PersonKeys(email_digests=(digest("a@b.co"),), phone_digests=(digest("+14155552671"),))
    user = said(event(an_outgoing(person=person), TIKTOK))["user"]
    assert user == {"email": [digest("a@b.co")], "phone": [digest("+14155552671")]}


@pytest.mark.parametrize(
    ("person", "name", "amount", "reason"),
    [
        pytest.param(PersonKeys(), "Lead", 1, INELIGIBLE_REASON_NO_MATCH_KEY, id="nobody"),
        pytest.param(PersonKeys(user_agent="UA/1"), "Lead", 1, INELIGIBLE_REASON_NO_MATCH_KEY, id="an agent alone"),
        pytest.param(PersonKeys(emails=("a@b.co",)), "Purchase", None, INELIGIBLE_REASON_MISSING_FIELD, id="no value"),
    ],
)
def test_what_tiktok_could_not_use_is_not_sent(person: PersonKeys, name: str, amount: int | None, reason: int) -> None:
    assert why(event(an_outgoing(name=name, person=person, amount_micros=amount), TIKTOK)) == reason


@pytest.mark.parametrize(
    ("status", "body", "expected", "untaken"),
    [
        pytest.param(200, {"code": 0, "request_id": "R"}, "OK", False, id="taken"),
        pytest.param(200, {"code": 20001, "request_id": "R"}, "SPLIT", False, id="partly, nobody knows what"),
        pytest.param(200, {"code": 40100, "request_id": "R"}, "THROTTLED", True, id="too many"),
        pytest.param(200, {"code": 40001, "request_id": "R"}, "CONFIG", True, id="no permission"),
        pytest.param(200, {"code": 40105, "request_id": "R"}, "CONFIG", True, id="a dead token"),
        pytest.param(200, {"code": 40104, "request_id": "R"}, "CONFIG", True, id="another of its kind"),
        pytest.param(200, {"code": 40002, "request_id": "R"}, "SPLIT", True, id="a bad event"),
        pytest.param(200, {"code": 50000, "request_id": "R"}, "RETRY", False, id="a server error"),
        pytest.param(200, {"code": 77, "request_id": "R"}, "RETRY", False, id="a code of tomorrow"),
        pytest.param(200, None, "RETRY", False, id="a page instead of an answer"),
        pytest.param(502, None, "RETRY", False, id="a gateway"),
        pytest.param(401, None, "CONFIG", True, id="unauthorized"),
    ],
)
def test_an_answer_is_told_apart(status: int, body: Any, expected: str, untaken: bool) -> None:
    verdict = classify(an_answer(status, body), 3)
    assert not verdict.rows
    assert OutcomeClass.Name(verdict.whole.outcome) == f"OUTCOME_CLASS_{expected}"
    assert verdict.whole.is_untaken == untaken
    assert verdict.whole.request_id == ("R" if body else "")


def test_events_that_failed_in_a_batch_are_told_apart() -> None:
    failed = [{"order_in_batch": 1, "error_code": 40002, "error_msg": "jane@example.com is no e-mail"}]
    verdict = classify(an_answer(200, {"code": 20001, "data": {"failed_events": failed}}), 3)
    assert [OutcomeClass.Name(verdict.of(place).outcome) for place in range(3)] == [
        "OUTCOME_CLASS_OK",
        "OUTCOME_CLASS_PERMANENT",
        "OUTCOME_CLASS_OK",
    ]
    assert "jane" not in repr(verdict), "their texts may repeat what was sent"
