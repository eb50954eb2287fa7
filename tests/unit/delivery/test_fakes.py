"""The fakes refuse what destinations refuse, and throttle in the words of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.batches import BATCHES, FAKES, TOKEN, a_batch_destination
from tests.support.outgoing import an_answer
from tributary_cli.demo.fakes.fake import Ask, Reply
from tributary_delivery.destinations import ADAPTERS
from tributary_delivery.destinations.destination import THROTTLED

NOW = datetime(2026, 11, 11, 12, tzinfo=UTC)
HEADERS = {"authorization": f"Bearer {TOKEN}", "developer-token": "developer"}
DEALS = "/crm/v3/objects/deals/batch/upsert"
RECORDS = "/services/data/v64.0/composite/sobjects/Opportunity/Tributary_Id__c"
UPLOAD, ADJUST = "/v26/customers/1:uploadClickConversions", "/v26/customers/1:uploadConversionAdjustments"
ACTION = "customers/1/conversionActions/2"


def reply_of(kind: str, path: str, body: Mapping[str, Any]) -> Reply:
    return FAKES[kind](TOKEN, NOW.timestamp).answer(Ask(path, {}, HEADERS, json.dumps(body).encode()))


HASH = "0" * 64
PERSON = {"em": [HASH]}
GOOGLE, PINTEREST, SNAP = "/v1/events:ingest", "/v5/ad_accounts/549/events", "/v3/PIX/events"
REDDIT, LINKEDIN = "/api/v3/pixels/t2_abc/conversion_events", "/rest/conversionEvents"
ONE = {"linkedin-version": "202603", "x-restli-protocol-version": "2.0.0"}
SOME = ONE | {"x-restli-method": "BATCH_CREATE"}


def google(encoding: Any = 1, source: Any = 1) -> dict[str, Any]:
    account = {"accountType": 1, "accountId": "1"}
    event = {
        **{"transactionId": "o-1", "eventTimestamp": "2026-11-11T11:00:00Z", "eventSource": source},
        "userData": {"userIdentifiers": [{"emailAddress": HASH}]},
    }
    destination = {"reference": "r", "operatingAccount": account, "productDestinationId": "9"}
    return {"destinations": [destination], "encoding": encoding, "events": [event]}


def data(event: dict[str, Any], without: str = "", **own: Any) -> dict[str, Any]:
    return {"data": [{name: value for name, value in {**event, **own}.items() if name != without}]}


def pinterest(without: str = "", **own: Any) -> dict[str, Any]:
    event = {"event_name": "checkout", "action_source": "web", "event_time": 1, "event_id": "o-1", "user_data": PERSON}
    return data(event, without, **own)


def snap(without: str = "", **own: Any) -> dict[str, Any]:
    event = {
        **{"event_name": "PURCHASE", "action_source": "WEB", "event_time": int(NOW.timestamp()), "event_id": "o-1"},
        **{"event_source_url": "https://shop.example/", "user_data": PERSON},
        "custom_data": {"value": 1, "currency": "EUR"},
    }
    return data(event, without, **own)


def reddit(without: str = "", **own: Any) -> dict[str, Any]:
    event = {
        **{"event_at": int(NOW.timestamp() * 1000), "action_source": "WEBSITE", "type": {"tracking_type": "PURCHASE"}},
        **{"metadata": {"conversion_id": "o-1"}, "user": {"email": HASH}},
    }
    return {"data": {"events": data(event, without, **own)["data"]}}


def linkedin(**own: Any) -> dict[str, Any]:
    user = {"userIds": [{"idType": "SHA256_EMAIL", "idValue": HASH}]}
    happened = int(NOW.timestamp() * 1000) - 1
    event = {"conversion": "urn:lla:llaPartnerConversion:1", "conversionHappenedAt": happened, "user": user}
    return {**event, "eventId": "o-1", **own}


@pytest.mark.parametrize(
    ("kind", "path", "body", "headers", "status", "accepted"),
    [
        pytest.param("google", GOOGLE, google("HEX", "WEB"), {}, 200, 1, id="google"),
        pytest.param("google", GOOGLE, google(2, 6), {}, 200, 1, id="google: enums as its own client writes them"),
        pytest.param("google", GOOGLE, google(0), {}, 400, 0, id="google: no encoding"),
        pytest.param("google", GOOGLE, google(3), {}, 400, 0, id="google: an encoding that it does not have"),
        pytest.param("google", GOOGLE, google(True), {}, 400, 0, id="google: no number"),
        pytest.param("google", GOOGLE, google(1, 7), {}, 400, 0, id="google: a source that it does not have"),
        pytest.param("google", GOOGLE, {**google(), "events": [1]}, {}, 400, 0, id="google: no event"),
        pytest.param("linkedin", LINKEDIN, {"elements": [linkedin()]}, SOME, 200, 1, id="linkedin"),
        pytest.param("linkedin", LINKEDIN, linkedin(), ONE, 201, 1, id="linkedin: one alone"),
        pytest.param("linkedin", LINKEDIN, linkedin(user={}), ONE, 422, 0, id="linkedin: one alone, of nobody"),
        pytest.param("linkedin", LINKEDIN, linkedin(), SOME, 400, 0, id="linkedin: one alone, said to be a batch"),
        pytest.param("linkedin", LINKEDIN, {"elements": [linkedin()]}, ONE, 400, 0, id="linkedin: a batch unsaid"),
        pytest.param("pinterest", PINTEREST, pinterest(), {}, 200, 1, id="pinterest"),
        pytest.param(
            *("pinterest", PINTEREST, pinterest(opt_out=False, partner_name="ss-x"), {}, 200, 1),
            id="pinterest: opted in, by a partner",
        ),
        pytest.param("pinterest", PINTEREST, pinterest(foo=1), {}, 422, 0, id="pinterest: what it does not know"),
        *(
            pytest.param("pinterest", PINTEREST, pinterest(name), {}, 422, 0, id=f"pinterest without {name}")
            for name in ("user_data", "event_name", "action_source", "event_time", "event_id")
        ),
        pytest.param("snap", SNAP, snap(), {}, 200, 1, id="snap"),
        pytest.param("snap", SNAP, snap(action_source="website"), {}, 200, 1, id="snap: its other word for the web"),
        pytest.param(
            *("snap", SNAP, snap("event_source_url", action_source="website"), {}, 400, 0),
            id="snap: the web and no page",
        ),
        pytest.param("snap", SNAP, snap(action_source="app"), {}, 200, 1, id="snap: its other word for an app"),
        pytest.param("snap", SNAP, snap("event_id"), {}, 200, 1, id="snap: no id"),
        *(
            pytest.param("snap", SNAP, snap(name), {}, 400, 0, id=f"snap without {name}")
            for name in ("user_data", "event_name", "action_source", "event_time", "custom_data")
        ),
        pytest.param("snap", SNAP, {}, {}, 400, 0, id="snap: nothing"),
        pytest.param("reddit", REDDIT, reddit(), {}, 200, 1, id="reddit"),
        pytest.param("reddit", REDDIT, reddit("metadata"), {}, 200, 1, id="reddit: no id"),
        pytest.param("reddit", REDDIT, reddit("user", click_id="c"), {}, 200, 1, id="reddit: a click alone"),
        *(
            pytest.param("reddit", REDDIT, reddit(name), {}, 400, 0, id=f"reddit without {name}")
            for name in ("user", "type", "event_at", "action_source")
        ),
        pytest.param("reddit", REDDIT, {"data": {}}, {}, 400, 0, id="reddit: nothing"),
    ],
)
def test_an_event_is_taken_as_the_documentation_says(
    kind: str, path: str, body: dict[str, Any], headers: dict[str, str], status: int, accepted: int
) -> None:
    fake = FAKES[kind](TOKEN, NOW.timestamp)
    reply = fake.answer(Ask(path, {"access_token": TOKEN}, HEADERS | headers, json.dumps(body).encode()))
    assert (reply.status, fake.accepted) == (status, accepted), reply.body


def inputs(count: int, **own: Any) -> dict[str, Any]:
    one = {"idProperty": "tributary_order_id", "properties": {"amount": "1"}}
    return {"inputs": [{"id": str(place), **one, "objectWriteTraceId": str(place), **own} for place in range(count)]}


def records(count: int, **own: Any) -> dict[str, Any]:
    one = {"attributes": {"type": "Opportunity"}, "Amount": 1}
    return {"allOrNone": False, "records": [{"Tributary_Id__c": str(place), **one, **own} for place in range(count)]}


def conversions(count: int, **own: Any) -> dict[str, Any]:
    one = {"conversionAction": ACTION, "gclid": "G", "conversionDateTime": "2026-11-11 11:00:00+00:00"}
    return {"partialFailure": True, "conversions": [{"orderId": str(place), **one, **own} for place in range(count)]}


def adjustments(count: int, **own: Any) -> dict[str, Any]:
    one = {
        "conversionAction": ACTION,
        "adjustmentType": "RETRACTION",
        "adjustmentDateTime": "2026-11-11 11:00:00+00:00",
    }
    rows = [{"orderId": str(place), **one, **own} for place in range(count)]
    return {"partialFailure": True, "conversionAdjustments": rows}


@pytest.mark.parametrize(
    ("kind", "path", "most", "fewer", "more"),
    [
        pytest.param("hubspot", DEALS, 200, inputs(100), inputs(101), id="hubspot"),
        pytest.param("salesforce", RECORDS, 200, records(200), records(201), id="salesforce"),
        pytest.param("google_ads", UPLOAD, 200, conversions(2_000), conversions(2_001), id="google_ads"),
        pytest.param("google_ads", ADJUST, 200, adjustments(2_000), adjustments(2_001), id="google_ads' adjustments"),
    ],
)
def test_a_request_is_as_large_as_the_documentation_says(
    kind: str, path: str, most: int, fewer: dict[str, Any], more: dict[str, Any]
) -> None:
    assert (reply_of(kind, path, fewer).status, reply_of(kind, path, more).status) == (most, 400)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        pytest.param(UPLOAD, conversions(1, gclid=""), {"fieldError": "REQUIRED"}, id="nobody"),
        pytest.param(UPLOAD, conversions(1, orderId=""), {"fieldError": "REQUIRED"}, id="no order"),
        pytest.param(UPLOAD, conversions(1, conversionAction=""), {"fieldError": "REQUIRED"}, id="no action"),
        pytest.param(
            UPLOAD, conversions(1, conversionAction="a"), {"requestError": "RESOURCE_NAME_MALFORMED"}, id="an action"
        ),
        pytest.param(UPLOAD, conversions(1, conversionValue=1.5), {"fieldError": "REQUIRED"}, id="no currency"),
        pytest.param(
            UPLOAD,
            conversions(1, gclid="", gbraid="g", wbraid="w"),
            {"conversionUploadError": "GBRAID_WBRAID_BOTH_SET"},
            id="both braids",
        ),
        pytest.param(UPLOAD, conversions(1, wbraid="w"), {"fieldError": "VALUE_MUST_BE_UNSET"}, id="two clicks"),
        pytest.param(
            UPLOAD,
            conversions(1, conversionDateTime="yesterday"),
            {"dateError": "INVALID_STRING_DATE_TIME"},
            id="yesterday",
        ),
        pytest.param(
            UPLOAD,
            conversions(1, conversionDateTime="2026-11-11 11:00:00"),
            {"dateError": "INVALID_STRING_DATE_TIME"},
            id="no zone",
        ),
        pytest.param(
            UPLOAD,
            conversions(1, conversionDateTime=f"{NOW - timedelta(days=91):%Y-%m-%d %H:%M:%S}+00:00"),
            {"conversionUploadError": "EXPIRED_EVENT"},
            id="old",
        ),
        pytest.param(
            UPLOAD,
            conversions(1, userIdentifiers=[{"hashedEmail": "a@b.co"}]),
            {"conversionUploadError": "INVALID_USER_IDENTIFIER"},
            id="no hash",
        ),
        pytest.param(
            UPLOAD,
            conversions(1, userIdentifiers=[{"hashedEmail": "0" * 64}] * 6),
            {"collectionSizeError": "TOO_MANY"},
            id="six people",
        ),
        pytest.param(ADJUST, adjustments(1, adjustmentType=""), {"fieldError": "REQUIRED"}, id="no kind"),
        pytest.param(ADJUST, adjustments(1, adjustmentType="RESTATEMENT"), {"fieldError": "REQUIRED"}, id="no value"),
        pytest.param(
            ADJUST, adjustments(1), {"conversionAdjustmentUploadError": "CONVERSION_NOT_FOUND"}, id="no conversion"
        ),
    ],
)
def test_a_row_that_google_ads_would_refuse_is_refused(
    path: str, body: dict[str, Any], expected: dict[str, str]
) -> None:
    told = reply_of("google_ads", path, body).body
    assert isinstance(told, Mapping)
    [detail] = told["partialFailureError"]["details"]
    assert [error["errorCode"] for error in detail["errors"]] == [expected]
    assert told["results"] == [{}]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        pytest.param({"Tributary_Id__c": ""}, ["MISSING_ARGUMENT"] * 2, id="no id"),
        pytest.param({"Tributary_Id__c": "1"}, ["DUPLICATE_VALUE"] * 2, id="one id"),
        pytest.param({"Amount": "1.00"}, ["INVALID_TYPE_ON_FIELD_IN_RECORD"] * 2, id="a text for a number"),
    ],
)
def test_a_record_that_salesforce_would_refuse_is_refused(own: dict[str, Any], expected: list[str]) -> None:
    told = reply_of("salesforce", RECORDS, records(2, **own)).body
    assert isinstance(told, Sequence)
    assert [one["errors"][0]["statusCode"] for one in told] == expected


@pytest.mark.parametrize("own", [{"id": ""}, {"idProperty": ""}, {"id": "1"}, {"properties": {"amount": 1}}])
def test_an_object_that_hubspot_would_refuse_is_refused(own: dict[str, Any]) -> None:
    assert reply_of("hubspot", DEALS, inputs(2, **own)).status == 400


@pytest.mark.parametrize("kind", BATCHES)
def test_one_call_too_many_is_known_by_the_words_of_each(kind: str) -> None:
    reply = FAKES[kind](TOKEN).too_many()
    headers = {name.lower().replace("-", "_"): text for name, text in reply.headers.items()}
    verdict = ADAPTERS[kind](a_batch_destination(kind)).classify(an_answer(reply.status, reply.body, **headers), 2)
    assert [verdict.of(place).outcome for place in range(2)] == [THROTTLED] * 2
    assert all(verdict.of(place).is_untaken for place in range(2))


@pytest.mark.parametrize(
    ("kind", "status", "named"),
    [
        ("google_ads", 429, "quotaError"),
        ("hubspot", 429, "TEN_SECONDLY_ROLLING"),
        ("microsoft", 400, "117"),
        ("salesforce", 403, "REQUEST_LIMIT_EXCEEDED"),
        ("tiktok", 200, "40100"),
    ],
)
def test_who_has_own_words_for_too_many_calls_uses_them(kind: str, status: int, named: str) -> None:
    reply = FAKES[kind](TOKEN).too_many()
    assert reply.status == status
    assert named in json.dumps(reply.body)
