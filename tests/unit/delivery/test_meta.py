"""Meta is sent what its own client would send, and its answers are told apart."""

from __future__ import annotations

import json
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from tests.support.outgoing import JANE, VECTORS, an_answer, an_outgoing, click_id, golden, keys, said, why
from tributary.delivery.v1.delivery_pb2 import (
    INELIGIBLE_REASON_MISSING_FIELD,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    OutcomeClass,
)
from tributary.event.v1 import event_pb2
from tributary_delivery.destinations.adapter import Home, Mapped, PersonKeys
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.meta import Meta
from tributary_delivery.destinations.meta_answer import classify
from tributary_delivery.destinations.meta_event import event
from tributary_runtime.ad_destinations import MetaDestination

META = MetaDestination.model_validate(
    {
        "id": "meta",
        "type": "meta",
        "dataset_id": "1",
        "access_token": {"value": "not a secret"},
        "page_url": "https://shop.example/thx",
    }
)
BROWSER = {"client_ip": "203.0.113.7", "user_agent": "UA/1"}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def test_an_event_is_what_meta_s_own_client_sends_of_it() -> None:
    wire = json.loads(golden("meta", "__event_wire__")["normalized"])
    person = keys(
        emails=("John_Smith@gmail.com",),
        phones=("16505551212",),
        customer_id="u-1",
        address={
            "given": "Mary",
            "family": "Smith",
            "city": "New York",
            "region": "NY",
            "zip": "10001",
            "country": "US",
        },
        **BROWSER,
    )
    outgoing = an_outgoing(
        person=person,
        visible_id="evt-1",
        order_id="o-1",
        micros=1_762_902_353_000_000,
        now_micros=1_762_902_353_000_000,
        amount_micros=142_520_000,
        items=({"item_id": "a", "quantity": 1, "price_micros": 10_000_000},),
        browser_ids={"fbc": "fb.1.1554763741205.AbCdEfGh", "fbp": "fb.1.1558571054389.1098115397"},
        opted_out=True,
    )
    ours = json.loads(json_bytes(said(event(outgoing, META))))
    theirs_only = {
        name: wire.pop(name) for name in ("data_processing_options_country", "data_processing_options_state")
    }
    assert theirs_only == {"data_processing_options_country": 1, "data_processing_options_state": 1000}, (
        "chosen by hand"
    )
    assert (ours.pop("data_processing_options_country"), ours.pop("data_processing_options_state")) == (0, 0)
    for name in ("db", "ge"):  # nobody tells us
        del wire["user_data"][name]
    assert wire["user_data"].pop("external_id") == ["u-1"], "its client does not hash it, its documentation asks for it"
    assert ours["user_data"].pop("external_id") == [digest("u-1")]
    assert wire.pop("opt_out") is False
    wire["custom_data"]["content_ids"] = ["a"]  # theirs lists one that is not in the contents
    for name in ("content_type", "num_items"):  # known to us, not said by them
        del ours["custom_data"][name]
    assert ours == wire


def test_money_is_exact() -> None:
    outgoing = an_outgoing(person=keys(emails=("a@b.co",), **BROWSER), amount_micros=9_007_199_254_740_993_000_001)
    value = said(event(outgoing, META))["custom_data"]["value"]
    assert value == Decimal("9007199254740993.000001")


def test_a_name_is_sent_as_its_client_and_as_its_documentation_write_it() -> None:
    person = keys(emails=("a@b.co",), address={"family": "O'Brien"}, **BROWSER)
    assert said(event(an_outgoing(person=person), META))["user_data"]["ln"] == [digest("o'brien"), digest("obrien")]


def test_what_the_caller_hashed_is_sent_beside_what_is_hashed_here() -> None:
    person = PersonKeys(emails=("a@b.co",), email_digests=(digest("c@d.co"),), phone_digests=("0" * 64,), **BROWSER)
    user_data = said(event(an_outgoing(person=person), META))["user_data"]
    assert user_data["em"] == [digest("a@b.co"), digest("c@d.co")]
    assert "ph" not in user_data, "callers hash numbers with their plus, Meta wants them without"


@pytest.mark.parametrize(
    ("number", "region", "country", "expected"),
    [
        pytest.param("0664 1234567", "DE", "AT", "436641234567", id="by the person's own country"),
        pytest.param("030 123456", "DE", "US", "4930123456", id="by the workspace's, where theirs has no such number"),
        pytest.param("030 123456", "DE", "", "4930123456", id="by the workspace's, where theirs is not known"),
        pytest.param("030 123456", "", "DE", "4930123456", id="by theirs alone"),
        pytest.param("030 123456", "", "", None, id="by none"),
        pytest.param("479-555-1212", "", "", None, id="by none, though Norway has such a number"),
    ],
)
def test_a_national_number_is_read_by_a_country(number: str, region: str, country: str, expected: str | None) -> None:
    address = {"country": country} if country else None
    person = keys(emails=("a@b.co",), phones=(number,), address=address, **BROWSER)
    user_data = said(event(an_outgoing(person=person, home=Home(region)), META))["user_data"]
    assert user_data.get("ph") == ([digest(expected)] if expected else None)


@pytest.mark.parametrize(
    ("cookie", "click", "expected"),
    [
        pytest.param("fb.1.1554763741205.AbC", None, "fb.1.1554763741205.AbC", id="a cookie alone"),
        pytest.param("", "AbC", "fb.1.1762900000000.AbC", id="a click alone"),
        pytest.param("fb.1.5.AbC.AQIAAQMC", "AbC", "fb.1.5.AbC.AQIAAQMC", id="the same click, with a fifth part"),
        pytest.param("fb.1.5.Old", "New", "fb.1.1762900000000.New", id="a newer click"),
        pytest.param("fb.1.1762900000001.New", "Old", "fb.1.1762900000001.New", id="a newer cookie"),
        pytest.param("broken", "AbC", "fb.1.1762900000000.AbC", id="a cookie that is none"),
        pytest.param("", None, None, id="neither"),
    ],
)
def test_the_cookie_of_the_newest_click_is_sent(cookie: str, click: str | None, expected: str | None) -> None:
    clicks = (click_id("fbclid", click),) if click else ()
    outgoing = an_outgoing(person=keys(emails=("a@b.co",), **BROWSER), clicks=clicks, browser_ids={"fbc": cookie})
    mapped = event(outgoing, META)
    assert said(mapped)["user_data"].get("fbc") == expected
    assert isinstance(mapped, Mapped)
    assert mapped.click_id == (expected.split(".")[3] if expected else "")


@pytest.mark.parametrize("row", range(6))
def test_cookies_are_kept_or_written_as_meta_s_own_builder_does(row: int) -> None:
    asked, answer = golden_cookies()[row]["asked"], golden_cookies()[row]["answer"]
    cookies = {name.removeprefix("_"): cookie for name, cookie in asked["cookies"].items()}
    clicked = asked["queries"].get("fbclid", [""])[0] or (asked["referer"] or "").partition("fbclid=")[2]
    click = click_id("fbclid", clicked)
    click.click_time.FromMilliseconds(round(asked["now"] * 1_000))
    settings = META.model_copy(update={"page_url": f"https://{asked['host']}/thx"})
    clicks = (click,) if clicked else ()
    outgoing = an_outgoing(person=keys(emails=("a@b.co",), **BROWSER), clicks=clicks, browser_ids=cookies)
    user_data = said(event(outgoing, settings))["user_data"]
    # The fifth part is what their builder says of itself.
    assert user_data["fbc"].split(".")[:4] == answer["fbc"].split(".")[:4]
    # Where the browser has none, theirs makes one up to give it to the browser: nobody would know it again otherwise.
    if "fbp" in cookies:
        assert user_data["fbp"].split(".")[:4] == answer["fbp"].split(".")[:4]
    else:
        assert "fbp" not in user_data


@pytest.mark.parametrize(
    ("cookie", "page", "index"),
    [
        pytest.param({"fbp": "fb.2.1558571054389.55"}, "https://shop.example/", "2", id="as the other cookie"),
        pytest.param({"fbc": "fb.0.5.Old"}, "https://shop.example/", "0", id="as the cookie it replaces"),
        pytest.param({"fbp": "fb.x.5.y"}, "https://www.shop.co.uk/", "2", id="as the page, by no cookie"),
        pytest.param({}, "https://a.myshopify.com/", "2", id="below a builder of shops"),
        pytest.param({}, "https://BÜCHER.example./", "1", id="of a host that is no ASCII"),
        pytest.param({}, "", "1", id="of no page"),
    ],
)
def test_a_cookie_that_is_written_has_the_index_of_its_domain(cookie: dict[str, str], page: str, index: str) -> None:
    settings = META.model_copy(update={"page_url": page, "action_source": "other"})
    person, clicks = keys(emails=("a@b.co",), **BROWSER), (click_id("fbclid", "AbC"),)
    outgoing = an_outgoing(person=person, clicks=clicks, browser_ids=cookie, origin=event_pb2.ORIGIN_OTHER, name="Lead")
    assert said(event(outgoing, settings))["user_data"]["fbc"] == f"fb.{index}.1762900000000.AbC"


def golden_cookies() -> list[dict[str, Any]]:
    rows = json.loads((VECTORS / "hashing_google_meta_microsoft_pinterest.json").read_text())
    found = [row for row in rows if row["field"] == "fbc/fbp"]
    assert len(found) == 6
    return [{"asked": json.loads(row["input"]), "answer": json.loads(row["normalized"])} for row in found]


@pytest.mark.parametrize(
    ("person", "own", "reason"),
    [
        pytest.param(PersonKeys(), {}, INELIGIBLE_REASON_NO_MATCH_KEY, id="nothing"),
        pytest.param(
            keys(address={"given": "Ann", "city": "Rome"}), {}, INELIGIBLE_REASON_NO_MATCH_KEY, id="a name and a place"
        ),
        pytest.param(PersonKeys(client_ip="203.0.113.7"), {}, INELIGIBLE_REASON_NO_MATCH_KEY, id="an address alone"),
        pytest.param(JANE, {}, INELIGIBLE_REASON_MISSING_FIELD, id="a website's without user agent"),
        pytest.param(
            keys(emails=("a@b.co",), **BROWSER),
            {"amount_micros": None},
            INELIGIBLE_REASON_MISSING_FIELD,
            id="a purchase without value",
        ),
    ],
)
def test_what_meta_would_refuse_is_not_sent(person: PersonKeys, own: dict[str, Any], reason: int) -> None:
    assert why(event(an_outgoing(person=person, **own), META)) == reason


def test_a_website_s_event_needs_the_page() -> None:
    settings = META.model_copy(update={"page_url": ""})
    assert (
        why(event(an_outgoing(person=keys(emails=("a@b.co",), **BROWSER)), settings)) == INELIGIBLE_REASON_MISSING_FIELD
    )


def test_a_lead_in_a_shop_needs_neither_browser_nor_value() -> None:
    outgoing = an_outgoing(name="Lead", amount_micros=None, origin=event_pb2.ORIGIN_STORE, order_id="")
    found = said(event(outgoing, META))
    assert (found["action_source"], "custom_data" in found, "event_source_url" in found) == (
        "physical_store",
        False,
        False,
    )


@pytest.mark.parametrize(
    ("origin", "own", "days", "taken"),
    [
        pytest.param(event_pb2.ORIGIN_WEB, "website", 6, True, id="of a website, a week"),
        pytest.param(event_pb2.ORIGIN_WEB, "website", 8, False, id="of a website, older"),
        pytest.param(event_pb2.ORIGIN_WEB, "physical_store", 8, False, id="of a website, whatever others are"),
        pytest.param(event_pb2.ORIGIN_STORE, "website", 20, True, id="in a store, two months"),
        pytest.param(event_pb2.ORIGIN_UNSPECIFIED, "physical_store", 20, True, id="in a store, as the file says"),
        pytest.param(event_pb2.ORIGIN_UNSPECIFIED, "other", 8, False, id="elsewhere"),
    ],
)
def test_an_event_is_as_old_as_meta_takes_it_from_where_it_happened(
    origin: event_pb2.Origin.ValueType, own: str, days: int, *, taken: bool
) -> None:
    micros = 1_767_323_045_000_000
    settings = META.model_copy(update={"action_source": own})
    outgoing = an_outgoing(
        person=keys(emails=("a@b.co",), **BROWSER), origin=origin, now_micros=micros + days * 86_400_000_000
    )
    assert isinstance(event(outgoing, settings), Mapped) == taken
    assert Meta(META).policy.most_age_seconds == 62 * 86_400


def test_hashes_alone_are_kept_for_the_ledger() -> None:
    person = keys(emails=("a@b.co",), customer_id="u-1", **BROWSER)
    mapped = event(an_outgoing(person=person), META)
    assert isinstance(mapped, Mapped)
    assert mapped.digests == {"em": digest("a@b.co"), "external_id": digest("u-1")}


def error(code: int, subcode: int = 0, *, transient: bool = False) -> dict[str, Any]:
    return {"error": {"code": code, "error_subcode": subcode, "is_transient": transient, "fbtrace_id": "T"}}


@pytest.mark.parametrize(
    ("status", "body", "expected", "untaken"),
    [
        pytest.param(200, {"events_received": 3, "fbtrace_id": "T"}, "OK", False, id="all received"),
        pytest.param(200, {"events_received": 2}, "RETRY", False, id="not all received"),
        pytest.param(200, None, "RETRY", False, id="a page instead of an answer"),
        pytest.param(400, error(100, 2804019), "SPLIT", True, id="a bad event"),
        pytest.param(400, error(100), "SPLIT", True, id="a bad parameter"),
        pytest.param(400, error(100, 33), "CONFIG", True, id="no such data set"),
        pytest.param(400, error(190), "CONFIG", True, id="a dead token"),
        pytest.param(403, error(200), "CONFIG", True, id="no permission"),
        pytest.param(400, error(4, transient=True), "THROTTLED", True, id="too many calls"),
        pytest.param(400, error(80004), "THROTTLED", True, id="too many calls of the account"),
        pytest.param(500, error(1), "RETRY", False, id="unknown error"),
        pytest.param(400, error(2), "RETRY", False, id="service down"),
        pytest.param(400, error(368, transient=True), "RETRY", False, id="passing by its own word"),
        pytest.param(400, error(368), "PERMANENT", True, id="blocked"),
        pytest.param(200, error(190), "CONFIG", True, id="an error in a 200"),
        pytest.param(502, None, "RETRY", False, id="a gateway"),
        pytest.param(429, None, "THROTTLED", True, id="a gateway that throttles"),
        pytest.param(401, None, "CONFIG", True, id="unauthorized"),
    ],
)
def test_an_answer_is_told_apart(status: int, body: Any, expected: str, untaken: bool) -> None:
    verdict = classify(an_answer(status, body), 3)
    assert not verdict.rows
    assert OutcomeClass.Name(verdict.whole.outcome) == f"OUTCOME_CLASS_{expected}"
    assert verdict.whole.is_untaken == untaken


def test_the_trace_id_is_kept_and_the_asked_pause_respected() -> None:
    usage = json.dumps({"1": [{"type": "ads", "estimated_time_to_regain_access": 3}]})
    outcome = classify(an_answer(400, error(80004), x_business_use_case_usage=usage), 1).whole
    assert (outcome.request_id, outcome.retry_after_seconds) == ("T", 180.0)
    assert classify(an_answer(400, error(4), retry_after="7"), 1).whole.retry_after_seconds == 7.0
