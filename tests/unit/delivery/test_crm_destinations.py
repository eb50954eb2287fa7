"""HubSpot and Salesforce hold of a conversion what is declared, and their answers are told apart."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from tests.support.outgoing import VECTORS, an_answer, an_outgoing, click_id, golden, keys, said, why
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    OutcomeClass,
)
from tributary_delivery.destinations import hubspot_answer, hubspot_event, salesforce_answer, salesforce_event
from tributary_delivery.destinations.adapter import Home, Mapped, PersonKeys, Unmappable, Verdict
from tributary_delivery.destinations.hubspot import HubSpot
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.salesforce import Salesforce
from tributary_runtime.crm_destinations import HubSpotDestination, SalesforceDestination

TOKEN = {"access_token": {"value": "not a secret"}}
JANE = keys(emails=(" Jane@Example.com",), phones=("0171 2345678",), address={"given": "Jane", "family": "Doe"})


def hubspot(**own: Any) -> HubSpotDestination:
    return HubSpotDestination.model_validate({"id": "hs", "type": "hubspot", **TOKEN, **own})


def salesforce(**own: Any) -> SalesforceDestination:
    base_url = "https://x.my.salesforce.com"
    return SalesforceDestination.model_validate(
        {"id": "sf", "type": "salesforce", "base_url": base_url, **TOKEN, **own}
    )


def classes(verdict: Verdict, events: int) -> list[str]:
    names = (OutcomeClass.Name(verdict.of(place).outcome) for place in range(events))
    return [name.removeprefix("OUTCOME_CLASS_") for name in names]


def test_a_contact_is_that_of_the_golden_request() -> None:
    properties = {"firstname": "given_name", "last_conversion_value": "value"}
    settings = hubspot(object_type="contacts", id_property="email", properties=properties)
    adapter = HubSpot(settings)
    request = adapter.request([json_bytes(said(adapter.event(an_outgoing(person=JANE))))], "T")
    theirs = golden("hubspot", "REQUEST contacts batch upsert by email")["request"]
    assert f"{settings.base_url}{request.path}" == theirs["url"]
    assert request.method == theirs["method"]
    (trace,) = (one.pop("objectWriteTraceId") for one in theirs["body"]["inputs"])
    assert trace == "order-1001", "any text: ours is the place in the request"
    ours = json.loads(request.body)
    assert ours["inputs"][0].pop("objectWriteTraceId") == "0"
    assert ours == theirs["body"]


def test_a_deal_is_known_by_the_visible_id_and_holds_what_is_declared() -> None:
    settings = hubspot(
        properties={
            "amount": "value",
            "deal_currency_code": "currency",
            "closedate": "time",
            "dealname": "name",
            "gclid": "click_id.gclid",
            "msclkid": "click_id.msclkid",
            "phone": "phone",
        },
        constants={"pipeline": "default", "dealstage": "closedwon"},
        retracted={"dealstage": "closedlost"},
    )
    outgoing = an_outgoing(name="Purchase", person=JANE, clicks=(click_id("gclid", "G"),), home=Home("DE"))
    assert said(hubspot_event.event(outgoing, settings)) == {
        "idProperty": "tributary_order_id",
        "id": "order-1001",
        "properties": {
            "amount": "49.90",
            "deal_currency_code": "USD",
            "closedate": "2026-01-02T03:04:05Z",
            "dealname": "Purchase",
            "gclid": "G",
            "phone": "+491712345678",
            "pipeline": "default",
            "dealstage": "closedwon",
        },
    }
    lost = an_outgoing(person=JANE, operation=DELIVERY_OPERATION_RETRACT, amount_micros=0)
    properties = said(hubspot_event.event(lost, settings))["properties"]
    assert (properties["amount"], properties["dealstage"]) == ("0.00", "closedlost")


def test_a_contact_without_an_address_is_nobody() -> None:
    settings = hubspot(object_type="contacts", id_property="email")
    assert why(hubspot_event.event(an_outgoing(person=PersonKeys()), settings)) == INELIGIBLE_REASON_NO_MATCH_KEY


CONTACTS = {"object_type": "contacts", "id_property": "email"}
BEFORE, SAME, AFTER = "2026-01-02T03:04:04.999Z", "1767323045000", "2026-01-02T03:04:05.001Z"


@pytest.mark.parametrize(
    ("own", "held", "expected"),
    [
        pytest.param({}, None, {"at", "lifecyclestage"}, id="nobody yet"),
        pytest.param({}, {}, {"at", "lifecyclestage"}, id="nothing yet"),
        pytest.param({}, {"at": BEFORE}, {"at", "lifecyclestage"}, id="an older one"),
        pytest.param({}, {"at": SAME}, {"at", "lifecyclestage"}, id="the same"),
        pytest.param({}, {"at": AFTER}, None, id="a newer one"),
        pytest.param({}, {"at": "yesterday"}, {"at", "lifecyclestage"}, id="what is no time"),
        pytest.param({}, {"lifecyclestage": "subscriber"}, {"at", "lifecyclestage"}, id="an earlier stage"),
        pytest.param({}, {"lifecyclestage": "customer"}, {"at"}, id="a later stage"),
        pytest.param({}, {"lifecyclestage": "42"}, {"at", "lifecyclestage"}, id="a stage of one's own"),
        pytest.param(
            {"lifecycle_goes_back": True}, {"lifecyclestage": "customer"}, {"at", "lifecyclestage"}, id="as asked for"
        ),
    ],
)
def test_a_contact_is_told_what_is_news(own: dict[str, Any], held: Any, expected: set[str] | None) -> None:
    told = {"properties": {"at": "time"}, "constants": {"lifecyclestage": "lead"}}
    adapter = HubSpot(hubspot(**CONTACTS, **told, **own))
    event = json_bytes(said(adapter.event(an_outgoing(person=JANE))))
    look = adapter.look([event])
    assert look is not None
    assert look.path == "/crm/v3/objects/contacts/batch/read"
    assert json.loads(look.body)["inputs"] == [{"id": "jane@example.com"}]
    results = [] if held is None else [{"properties": {"email": "Jane@example.com", **held}}]
    seen = adapter.seen([event], an_answer(207, {"results": results, "errors": [{"category": "OBJECT_NOT_FOUND"}]}))
    assert not isinstance(seen, Verdict)
    [news] = seen
    assert (set(json.loads(news)["properties"]) if news is not None else None) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(401, None, "REAUTH", id="an expired token"),
        pytest.param(429, {"policyName": "SECONDLY"}, "THROTTLED", id="too many"),
        pytest.param(502, None, "RETRY", id="a gateway"),
        pytest.param(204, None, "RETRY", id="no answer of its own"),
    ],
)
def test_where_nobody_can_look_nothing_is_written(status: int, body: Any, expected: str) -> None:
    adapter = HubSpot(hubspot(**CONTACTS, properties={"at": "time"}))
    seen = adapter.seen([b"{}"], an_answer(status, body))
    assert isinstance(seen, Verdict)
    assert (classes(seen, 1), seen.whole.is_untaken) == ([expected], True)


def test_deals_are_written_without_a_look() -> None:
    assert HubSpot(hubspot(properties={"closedate": "time"})).look([b"{}"]) is None
    assert HubSpot(hubspot(**CONTACTS, properties={"amount": "value"})).look([b"{}"]) is None


@pytest.mark.parametrize("operation", [DELIVERY_OPERATION_RESTATE, DELIVERY_OPERATION_RETRACT])
def test_a_contact_of_many_conversions_is_told_of_no_correction_of_one(operation: Any) -> None:
    settings = hubspot(object_type="contacts", id_property="email", properties={"last_value": "value"})
    corrected = an_outgoing(person=JANE, operation=operation, amount_micros=0)
    assert isinstance(hubspot_event.event(corrected, settings), Unmappable)
    known_by_its_own_id = hubspot(object_type="contacts", id_property="order_id")
    assert isinstance(hubspot_event.event(corrected, known_by_its_own_id), Mapped)


def test_a_day_is_that_of_the_books() -> None:
    settings = salesforce(properties={"CloseDate": "date", "Time__c": "time"})
    midnight = 1_793_490_000_000_000  # 00:20 in Berlin
    for zone, day in (("UTC", "2026-10-31"), ("Europe/Berlin", "2026-11-01")):
        outgoing = an_outgoing(person=JANE, micros=midnight, home=Home(zone=ZoneInfo(zone)))
        record = said(salesforce_event.event(outgoing, settings))
        assert (record["CloseDate"], record["Time__c"]) == (day, "2026-10-31T23:40:00Z")


def test_nothing_plain_is_kept_for_the_ledger() -> None:
    mapped = hubspot_event.event(an_outgoing(person=JANE), hubspot(properties={"email": "email"}))
    assert isinstance(mapped, Mapped)
    assert (dict(mapped.digests), mapped.click_id) == ({}, "")


def test_a_record_is_that_of_the_golden_request() -> None:
    settings = salesforce(properties={"Amount": "value"})
    adapter = Salesforce(settings)
    request = adapter.request([json_bytes(said(adapter.event(an_outgoing(person=JANE))))], "T")
    theirs = golden("salesforce", "REQUEST sObject Collections upsert")["request"]
    assert f"{settings.base_url}{request.path}" == theirs["url"]
    assert (request.method, json.loads(request.body)) == (theirs["method"], theirs["body"])


def test_what_is_left_of_the_limits_is_asked_for_as_in_the_golden_request() -> None:
    settings = salesforce(properties={"Amount": "value"})
    request = Salesforce(settings).trial([], "T", "").request
    theirs = golden("salesforce", "REQUEST limits")["request"]
    assert f"{settings.base_url}{request.path}/" == theirs["url"], "ours is without the slash, as Salesforce writes it"
    assert (request.method, request.body or None) == (theirs["method"], theirs["body"])


def test_an_external_id_is_told_as_it_is_in_the_body_whatever_characters_it_has() -> None:
    """The vectors quote it for a URL ("Email/jane%2Bx%40example.com"): ours has none in it, it writes many records."""
    for row in crm_rows("format_external_id"):
        field, value = row["input"]
        settings = salesforce(properties={"Amount": "value"}, external_id_field=field)
        adapter = Salesforce(settings)
        request = adapter.request([json_bytes(said(adapter.event(an_outgoing(visible_id=value))))], "T")
        assert request.path.endswith(f"/composite/sobjects/Opportunity/{field}")
        assert json.loads(request.body)["records"][0][field] == value


NOT_BUILT = {
    ("hubspot", "request signature v2"): "HubSpot signs what it calls others with; nothing of ours is called by it",
    (
        "hubspot",
        "REQUEST event completion",
    ): "a custom event can be neither changed nor taken back: objects are written",
    ("salesforce", "format_soql"): "nothing is asked by a query: records are upserted by their external id",
}
"""Rows of the vectors to which nothing of ours answers, and why: ours is no request, no text and no signature."""
ASSERTED = {
    ("hubspot", "REQUEST contacts batch upsert by email"),
    ("salesforce", "REQUEST sObject Collections upsert"),
    ("salesforce", "REQUEST limits"),
    ("salesforce", "format_external_id"),
}


def crm_rows(field: str = "") -> list[dict[str, Any]]:
    """Returns what the vectors have of CRMs, or of one field of theirs."""
    rows = json.loads((VECTORS / "hashing_and_signing_others.json").read_text())["vectors"]
    return [row for row in rows if row["platform"] in ("hubspot", "salesforce") and field in ("", row["field"])]


def test_every_row_of_the_vectors_is_asserted_or_named_with_why_it_is_not() -> None:
    assert {(row["platform"], row["field"]) for row in crm_rows()} == ASSERTED | NOT_BUILT.keys()
    assert len(crm_rows()) == 9


@pytest.mark.parametrize("kind", ["hubspot", "salesforce"])
def test_what_is_not_built_is_called_by_no_request(kind: str) -> None:
    adapter: HubSpot | Salesforce = HubSpot(hubspot()) if kind == "hubspot" else Salesforce(salesforce())
    paths = [adapter.request([], "T").path, adapter.trial([], "T", "").request.path]
    assert not [path for path in paths if "/events/" in path or "/query" in path]


def test_a_correction_is_the_same_record_with_what_is_known_now() -> None:
    settings = salesforce(properties={"Amount": "value", "CloseDate": "date", "Email__c": "email"})
    outgoing = an_outgoing(person=JANE, operation=DELIVERY_OPERATION_RESTATE, amount_micros=30_000_000)
    record = json.loads(json_bytes(said(salesforce_event.event(outgoing, settings))))
    assert record == {
        "attributes": {"type": "Opportunity"},
        "Tributary_Id__c": "order-1001",
        "Amount": 30.0,
        "CloseDate": "2026-01-02",
        "Email__c": "jane@example.com",
    }


@pytest.mark.parametrize(
    ("own", "person", "parent"),
    [
        pytest.param({"parent_field": "Phase__c", "properties": {"Phase__c": "stage"}}, JANE, "won", id="as declared"),
        pytest.param({}, keys(emails=("a@b.co",), customer_id="c-1"), "c-1", id="else the customer"),
        pytest.param({}, JANE, "jane@example.com", id="else the address"),
        pytest.param({}, PersonKeys(), "", id="nobody"),
    ],
)
def test_a_record_says_whose_it_is(own: dict[str, Any], person: PersonKeys, parent: str) -> None:
    outgoing = an_outgoing(person=person)
    outgoing.revised.state.lead.stage = "won"
    mapped = salesforce_event.event(outgoing, salesforce(**own))
    assert isinstance(mapped, Mapped)
    assert mapped.parent == parent
    assert "jane" not in repr(mapped)


@pytest.mark.parametrize(
    "own",
    [
        pytest.param({"properties": {"amount": "password"}}, id="a source that is none"),
        pytest.param({"properties": {"a b": "value"}}, id="a property that is none"),
        pytest.param({"time_zone": "Mars/Olympus"}, id="a zone that is none"),
        pytest.param(
            {"id_property": "email", "retracted": {"lifecyclestage": "lost"}}, id="a correction of what is told of none"
        ),
        pytest.param({"object_type": "../contacts"}, id="a path"),
    ],
)
def test_what_cannot_be_written_is_refused_in_the_file(own: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        hubspot(**own)


def errors(*traces: str) -> dict[str, Any]:
    context = {"objectWriteTraceId": list(traces)}
    error = {"category": "VALIDATION_ERROR", "message": "jane@example.com", "context": context}
    return {"status": "COMPLETE", "numErrors": 1, "errors": [error], "results": []}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, {"status": "COMPLETE", "results": [{}, {}]}, ["OK", "OK"], id="taken"),
        pytest.param(204, None, ["OK", "OK"], id="taken, no content"),
        pytest.param(200, "a page of somebody's", ["RETRY", "RETRY"], id="a page instead of an answer"),
        pytest.param(200, {"status": "PENDING"}, ["RETRY", "RETRY"], id="success of nothing"),
        pytest.param(200, {"results": None}, ["RETRY", "RETRY"], id="no list of objects"),
        pytest.param(201, {"status": "COMPLETE", "results": [{}]}, ["SPLIT", "SPLIT"], id="success of one of two"),
        pytest.param(200, {**errors("1"), "results": [{}]}, ["OK", "PERMANENT"], id="one refused, with 200"),
        pytest.param(207, errors("1"), ["OK", "PERMANENT"], id="one refused"),
        pytest.param(207, errors("order-1"), ["SPLIT", "SPLIT"], id="one refused, nobody knows which"),
        pytest.param(
            207,
            {"errors": errors("1")["errors"] + errors("order-1")["errors"]},
            ["SPLIT", "PERMANENT"],
            id="two refused, one of them named",
        ),
        pytest.param(207, {"numErrors": 1}, ["SPLIT", "SPLIT"], id="errors that are not listed"),
        pytest.param(400, {"category": "VALIDATION_ERROR"}, ["SPLIT", "SPLIT"], id="a bad request"),
        pytest.param(409, None, ["SPLIT", "SPLIT"], id="a conflict"),
        pytest.param(401, None, ["REAUTH", "REAUTH"], id="an expired token"),
        pytest.param(403, None, ["CONFIG", "CONFIG"], id="no permission"),
        pytest.param(423, None, ["RETRY", "RETRY"], id="locked"),
        pytest.param(477, None, ["RETRY", "RETRY"], id="moving"),
        pytest.param(429, {"policyName": "SECONDLY"}, ["THROTTLED", "THROTTLED"], id="too many"),
        pytest.param(502, None, ["RETRY", "RETRY"], id="a gateway"),
    ],
)
def test_hubspot_s_answers_are_told_apart(status: int, body: Any, expected: list[str]) -> None:
    verdict = hubspot_answer.classify(an_answer(status, body), 2)
    assert classes(verdict, 2) == expected
    assert "jane" not in repr(verdict)


@pytest.mark.parametrize(("zone", "seconds"), [(UTC, 71_755.0), (ZoneInfo("Europe/Berlin"), 68_155.0)])
def test_a_daily_limit_is_waited_out_until_midnight_in_the_account_s_zone(zone: Any, seconds: float) -> None:
    body = {"errorType": "RATE_LIMIT", "policyName": "DAILY"}
    outcome = hubspot_answer.classify(an_answer(429, body), 1, zone).whole
    assert outcome.retry_after_seconds == seconds, "it is 04:04:05 UTC"


def result(code: str = "", message: str = "") -> dict[str, Any]:
    found = [{"statusCode": code, "message": message, "fields": []}] if code else []
    return {"id": None if code else "006", "success": not code, "created": False, "errors": found}


WRAPPING = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, [result(), result()], ["OK", "OK"], id="taken"),
        pytest.param(200, [result(), result("REQUIRED_FIELD_MISSING")], ["OK", "PERMANENT"], id="one refused"),
        pytest.param(200, [result("UNABLE_TO_LOCK_ROW"), result()], ["RETRY", "OK"], id="one locked"),
        pytest.param(
            200, [result(WRAPPING, "Trigger: Too many SOQL queries: 101"), result()], ["RETRY", "OK"], id="a limit"
        ),
        pytest.param(200, [result(WRAPPING, "Trigger: no"), result()], ["PERMANENT", "OK"], id="their own rule"),
        pytest.param(200, [result()], ["RETRY", "RETRY"], id="not a result for each"),
        pytest.param(200, None, ["RETRY", "RETRY"], id="a page instead of an answer"),
        pytest.param(401, [{"errorCode": "INVALID_SESSION_ID"}], ["REAUTH", "REAUTH"], id="an expired token"),
        pytest.param(401, None, ["REAUTH", "REAUTH"], id="unauthorized"),
        pytest.param(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}], ["THROTTLED", "THROTTLED"], id="too many"),
        pytest.param(403, [{"errorCode": "INSUFFICIENT_ACCESS"}], ["CONFIG", "CONFIG"], id="no permission"),
        pytest.param(300, ["a", "b"], ["PERMANENT", "PERMANENT"], id="several have the id"),
        pytest.param(400, [{"errorCode": "UNABLE_TO_LOCK_ROW"}], ["RETRY", "RETRY"], id="locked"),
        pytest.param(400, [{"errorCode": "INVALID_FIELD"}], ["PERMANENT", "PERMANENT"], id="no such field"),
        pytest.param(503, [{"errorCode": "SERVER_UNAVAILABLE"}], ["RETRY", "RETRY"], id="unavailable"),
    ],
)
def test_salesforce_s_answers_are_told_apart(status: int, body: Any, expected: list[str]) -> None:
    verdict = salesforce_answer.classify(an_answer(status, body), 2)
    assert classes(verdict, 2) == expected
    assert "Trigger" not in repr(verdict)
