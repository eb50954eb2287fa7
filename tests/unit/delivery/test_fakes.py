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
