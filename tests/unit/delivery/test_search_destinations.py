"""Microsoft and Google Ads are sent conversions and what corrects them, each to its own address."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from itertools import product
from typing import Any

import pytest

from tests.support.outgoing import an_answer, an_outgoing, click_id, keys, said, why
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    INELIGIBLE_REASON_MISSING_FIELD,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    OutcomeClass,
)
from tributary_cli.demo.fakes.fake import Ask
from tributary_cli.demo.fakes.microsoft import FakeMicrosoft
from tributary_delivery.destinations import google_ads_answer, google_ads_event, microsoft_answer, microsoft_event
from tributary_delivery.destinations.adapter import Mapped, PersonKeys, Pinned, Verdict
from tributary_delivery.destinations.google_ads import GoogleAds
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.microsoft import Microsoft
from tributary_delivery.destinations.placing import Places
from tributary_runtime.destination_settings import ConversionMapping
from tributary_runtime.search_destinations import GoogleAdsDestination, MicrosoftDestination

MICROSOFT = MicrosoftDestination.model_validate(
    {
        "id": "ms",
        "type": "microsoft",
        "customer_id": "11",
        "account_id": "22",
        "developer_token": {"value": "developer"},
        "access_token": {"value": "not a secret"},
    }
)
GOOGLE_ADS = GoogleAdsDestination.model_validate(
    {
        "id": "ga",
        "type": "google_ads",
        "customer_id": "123",
        "login_customer_id": "9",
        "developer_token": {"value": "developer"},
        "access_token": {"value": "not a secret"},
    }
)
PERSON = keys(emails=("A.B.C+x@Example.com", "second@example.com"), phones=("+1 (413) 555-2671",))
SENT_MICROS = 1_767_323_045_000_000


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def classes(verdict: Verdict, events: int) -> list[str]:
    names = (OutcomeClass.Name(verdict.of(place).outcome) for place in range(events))
    return [name.removeprefix("OUTCOME_CLASS_") for name in names]


def test_microsoft_is_told_a_conversion_by_click_and_hashes() -> None:
    outgoing = an_outgoing(
        name="Purchase goal", person=PERSON, clicks=(click_id("msclkid", "M1"),), micros=SENT_MICROS + 999_999
    )
    mapped = microsoft_event.event(outgoing)
    assert said(mapped) == {
        "MicrosoftClickId": "M1",
        "HashedEmailAddress": digest("abc@example.com"),
        "HashedPhoneNumber": digest("+14135552671"),
        "ConversionName": "Purchase goal",
        "ConversionTime": "2026-01-02T03:04:05+00:00",
        "ConversionValue": Decimal("49.90"),
        "ConversionCurrencyCode": "USD",
    }
    assert isinstance(mapped, Mapped)
    assert (mapped.click_id_family, mapped.click_id, mapped.group) == ("msclkid", "M1", "OfflineConversions")
    assert set(mapped.digests) == {"HashedEmailAddress", "HashedPhoneNumber"}


NAMES = ("purchase", "new_customer", "upsell")
SEVERAL = MICROSOFT.model_copy(update={"conversions": dict.fromkeys(NAMES, ConversionMapping(name="Goal"))})


def places(name: str, *, micros: int, click_micros: int = 1, names: tuple[str, ...] = NAMES) -> Places:
    revised = an_outgoing(clicks=(click_id("msclkid", "M1", micros=click_micros),), micros=micros).revised
    revised.state.name = name
    found = microsoft_event.places(revised, names)
    assert found is not None
    return found


def test_microsoft_counts_an_order_under_each_of_its_names() -> None:
    fake = FakeMicrosoft("T", lambda: SENT_MICROS / 1e6)
    adapter = Microsoft(SEVERAL)
    seconds = [places(name, micros=SENT_MICROS + 1).best for name in NAMES]
    pinned = [Pinned("order-1001", "msclkid", "M1", second * 1_000_000) for second in seconds]
    mapped = [microsoft_event.event(an_outgoing(name="Goal", pinned=one)) for one in pinned]
    request = adapter.request([json_bytes(said(one)) for one in mapped], "T")
    fake.take(Ask(request.path, {}, {"authorization": "Bearer T", **request.headers}, request.body))
    assert (fake.counted, fake.repeats) == ({"M1": 3}, 0)
    assert all(0 <= SENT_MICROS - second * 1_000_000 < 3_000_000 for second in seconds), "none later than it was"


def test_no_two_names_share_a_second_of_a_click() -> None:
    seconds: dict[str, set[int]] = {name: set() for name in NAMES}
    for name, after, turn in product(NAMES, range(9), (-1, 0, 1)):
        found = places(name, micros=SENT_MICROS + after * 1_000_000)
        seconds[name].add(found.best + turn * found.step)
    assert len(set().union(*seconds.values())) == sum(map(len, seconds.values()))


@pytest.mark.parametrize("names", [NAMES, ("purchase",)])
def test_a_conversion_stays_after_its_click(names: tuple[str, ...]) -> None:
    for name in names:
        for click_micros in (SENT_MICROS - 1, SENT_MICROS, SENT_MICROS + 1):
            found = places(name, micros=SENT_MICROS + 2, click_micros=click_micros, names=names)
            assert click_micros < found.earliest * 1_000_000 <= found.best * 1_000_000
    late = places("purchase", micros=SENT_MICROS, click_micros=SENT_MICROS + 9, names=names)
    assert late.earliest < late.best <= SENT_MICROS // 1_000_000, "what a click says that came later is no bound"


def test_what_is_known_by_hashes_has_no_second_of_a_click() -> None:
    assert microsoft_event.places(an_outgoing(person=PERSON).revised, NAMES) is None


def test_a_conversion_stays_where_it_was_sent() -> None:
    mapped = microsoft_event.event(an_outgoing(pinned=Pinned("order-1001", "msclkid", "M1", SENT_MICROS), micros=5))
    assert isinstance(mapped, Mapped)
    assert mapped.time_micros == SENT_MICROS


def correction(operation: Any, **own: Any) -> Any:
    pinned = Pinned("order-1001", "msclkid", "M1", SENT_MICROS)
    later = click_id("msclkid", "a-later-click")
    return an_outgoing(name="Goal", clicks=(later,), pinned=pinned, operation=operation, micros=5, **own)


def test_microsoft_is_told_a_new_total_by_what_it_knows_the_conversion_by() -> None:
    mapped = microsoft_event.event(correction(DELIVERY_OPERATION_RESTATE, amount_micros=30_000_000))
    assert said(mapped) == {
        "MicrosoftClickId": "M1",
        "HashedEmailAddress": digest("janedoe@example.com"),
        "ConversionName": "Goal",
        "ConversionTime": "2026-01-02T03:04:05+00:00",
        "AdjustmentTime": "2026-01-02T04:04:05+00:00",
        "AdjustmentType": "Restate",
        "AdjustmentValue": Decimal("30.00"),
        "AdjustmentCurrencyCode": "USD",
    }
    assert isinstance(mapped, Mapped)
    assert mapped.group == "OfflineConversionAdjustments"


def test_microsoft_is_told_that_a_conversion_never_was_one() -> None:
    found = said(microsoft_event.event(correction(DELIVERY_OPERATION_RETRACT, amount_micros=0)))
    assert (found["AdjustmentType"], "AdjustmentValue" in found) == ("Retract", False)


def test_microsoft_asks_for_a_click_or_a_hash() -> None:
    person = PersonKeys(email_digests=("0" * 64,), client_ip="203.0.113.7", user_agent="UA")
    assert why(microsoft_event.event(an_outgoing(person=person))) == INELIGIBLE_REASON_NO_MATCH_KEY


def test_a_new_total_that_nobody_knows_is_not_told() -> None:
    outgoing = correction(DELIVERY_OPERATION_RESTATE, amount_micros=None)
    for said_by in (microsoft_event.event(outgoing), google_ads_event.event(outgoing, GOOGLE_ADS)):
        assert why(said_by) == INELIGIBLE_REASON_MISSING_FIELD


def test_google_ads_is_told_a_conversion_by_click_and_hashes() -> None:
    outgoing = an_outgoing(name="42", person=PERSON, clicks=(click_id("wbraid", "W"), click_id("gclid", "G")))
    mapped = google_ads_event.event(outgoing, GOOGLE_ADS)
    assert said(mapped) == {
        "conversionAction": "customers/123/conversionActions/42",
        "conversionDateTime": "2026-01-02 03:04:05+00:00",
        "orderId": "order-1001",
        "conversionEnvironment": "WEB",
        "gclid": "G",
        "conversionValue": Decimal("49.90"),
        "currencyCode": "USD",
        "userIdentifiers": [
            {"hashedEmail": digest("a.b.c+x@example.com")},
            {"hashedEmail": digest("second@example.com")},
            {"hashedPhoneNumber": digest("+14135552671")},
        ],
        "consent": {"adUserData": "GRANTED"},
    }
    assert isinstance(mapped, Mapped)
    assert mapped.group == "conversions"


def test_google_ads_is_told_a_new_total_by_the_order_id() -> None:
    mapped = google_ads_event.event(correction(DELIVERY_OPERATION_RESTATE, amount_micros=70_000_000), GOOGLE_ADS)
    assert said(mapped) == {
        "conversionAction": "customers/123/conversionActions/Goal",
        "orderId": "order-1001",
        "adjustmentDateTime": "2026-01-02 04:04:05+00:00",
        "adjustmentType": "RESTATEMENT",
        "restatementValue": {"adjustedValue": Decimal("70.00"), "currencyCode": "USD"},
    }
    assert isinstance(mapped, Mapped)
    assert mapped.group == "conversionAdjustments"


def test_google_ads_is_told_that_a_conversion_never_was_one() -> None:
    found = said(google_ads_event.event(correction(DELIVERY_OPERATION_RETRACT, amount_micros=0), GOOGLE_ADS))
    assert (found["adjustmentType"], "restatementValue" in found) == ("RETRACTION", False)


def test_google_ads_asks_for_a_click_or_a_hash() -> None:
    assert why(google_ads_event.event(an_outgoing(person=PersonKeys()), GOOGLE_ADS)) == INELIGIBLE_REASON_NO_MATCH_KEY


def test_each_group_has_its_address_and_its_envelope() -> None:
    microsoft, google_ads = Microsoft(MICROSOFT), GoogleAds(GOOGLE_ADS)
    sent = [microsoft.request([b"{}"], "T", group) for group in ("OfflineConversions", "OfflineConversionAdjustments")]
    assert [(request.path, request.body) for request in sent] == [
        ("/CampaignManagement/v13/OfflineConversions/Apply", b'{"OfflineConversions":[{}]}'),
        ("/CampaignManagement/v13/OfflineConversionAdjustments/Apply", b'{"OfflineConversionAdjustments":[{}]}'),
    ]
    assert sent[0].headers == {"developertoken": "developer", "customerid": "11", "customeraccountid": "22"}
    sent = [google_ads.request([b"{}"], "T", group) for group in ("conversions", "conversionAdjustments")]
    assert [(request.path, request.body) for request in sent] == [
        ("/v26/customers/123:uploadClickConversions", b'{"conversions":[{}],"partialFailure":true}'),
        ("/v26/customers/123:uploadConversionAdjustments", b'{"conversionAdjustments":[{}],"partialFailure":true}'),
    ]
    assert sent[0].headers == {"developer-token": "developer", "login-customer-id": "9"}


def partial(*errors: tuple[int, int, str]) -> dict[str, Any]:
    rows = [{"Type": "BatchError", "Index": index, "Code": code, "ErrorCode": name} for index, code, name in errors]
    return {"PartialErrors": rows}


def fault(code: int) -> dict[str, Any]:
    return {"TrackingId": "R", "Type": "AdApiFaultDetail", "Errors": [{"Code": code, "ErrorCode": "x"}]}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, {"PartialErrors": []}, ["OK", "OK"], id="taken"),
        pytest.param(200, {"PartialErrors": None}, ["OK", "OK"], id="taken, nothing said"),
        pytest.param(200, partial((1, 5622, "InvalidClickId")), ["OK", "PERMANENT"], id="one refused"),
        pytest.param(200, partial((0, 0, "InternalError")), ["RETRY", "OK"], id="one for later"),
        pytest.param(
            200, {"PartialErrors": [{"Code": 5622}]}, ["SPLIT", "SPLIT"], id="one refused, nobody knows which"
        ),
        pytest.param(200, partial((9, 5622, "x")), ["SPLIT", "SPLIT"], id="one refused at no place of the request"),
        pytest.param(
            200,
            {"PartialErrors": [{"Code": 1}, {"Code": 2, "Index": "0"}]},
            ["PERMANENT", "SPLIT"],
            id="one of two named",
        ),
        pytest.param(200, "taken", ["RETRY", "RETRY"], id="no answer of its own"),
        pytest.param(200, None, ["RETRY", "RETRY"], id="no answer"),
        pytest.param(500, fault(0), ["RETRY", "RETRY"], id="internal"),
        pytest.param(400, fault(117), ["THROTTLED", "THROTTLED"], id="too many"),
        pytest.param(400, fault(109), ["REAUTH", "REAUTH"], id="an expired token"),
        pytest.param(400, fault(105), ["CONFIG", "CONFIG"], id="wrong credentials"),
        pytest.param(400, fault(122), ["CONFIG", "CONFIG"], id="wrong login"),
        pytest.param(400, fault(9_999), ["PERMANENT", "PERMANENT"], id="another fault"),
        pytest.param(503, None, ["RETRY", "RETRY"], id="unavailable"),
    ],
)
def test_microsoft_s_answers_are_told_apart(status: int, body: Any, expected: list[str]) -> None:
    assert classes(microsoft_answer.classify(an_answer(status, body), 2), 2) == expected


def failure(*errors: tuple[int, str], kind: str = "conversionUploadError", results: int = 0) -> dict[str, Any]:
    rows = [
        {
            "errorCode": {kind: name},
            "message": "jane@example.com",
            "location": {"fieldPathElements": [{"fieldName": "conversions", "index": index}]},
        }
        for index, name in errors
    ]
    failed = {index for index, _ in errors}
    answered: list[dict[str, Any]] = [{} if index in failed else {"gclid": "G"} for index in range(results)]
    return {"results": answered, "partialFailureError": {"code": 3, "details": [{"errors": rows}]}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TOO_RECENT_EVENT", "RETRY"),
        ("CONVERSION_NOT_FOUND", "RETRY"),
        ("ORDER_ID_ALREADY_IN_USE", "OK"),
        ("MORE_RECENT_RESTATEMENT_FOUND", "RETRY"),
        ("RESTATEMENT_ALREADY_EXISTS", "RETRY"),
        ("CONVERSION_ALREADY_RETRACTED", "PERMANENT"),
        ("CLICK_NOT_FOUND", "PERMANENT"),
        ("EVENT_NOT_FOUND", "PERMANENT"),
        ("UNPARSEABLE_GCLID", "PERMANENT"),
        ("CONVERSION_PRECEDES_EVENT", "PERMANENT"),
        ("EXPIRED_EVENT", "PERMANENT"),
        ("INVALID_USER_IDENTIFIER", "PERMANENT"),
        ("UNSUPPORTED_USER_IDENTIFIER", "PERMANENT"),
        ("CONVERSION_NOT_COMPLIANT_WITH_ATT_POLICY", "PERMANENT"),
        ("DUPLICATE_ORDER_ID", "PERMANENT"),
        ("CLICK_CONVERSION_ALREADY_EXISTS", "OK"),
        ("CONVERSION_ALREADY_ENHANCED", "OK"),
        ("TOO_RECENT_CONVERSION_ACTION", "RETRY"),
        ("CONVERSION_EXPIRED", "PERMANENT"),
        ("TOO_MANY_ADJUSTMENTS", "PERMANENT"),
        ("ADJUSTMENT_PRECEDES_CONVERSION", "PERMANENT"),
        ("NO_CONVERSION_ACTION_FOUND", "CONFIG"),
        ("INVALID_CONVERSION_ACTION_TYPE", "CONFIG"),
        ("UNAUTHORIZED_CUSTOMER", "CONFIG"),
        ("INVALID_CUSTOMER_FOR_CLICK", "PERMANENT"),
        ("CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS", "CONFIG"),
        ("CUSTOMER_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS", "CONFIG"),
        ("CUSTOMER_DATA_POLICY_PROHIBITS_ENHANCED_CONVERSIONS", "CONFIG"),
        ("AN_ERROR_OF_TOMORROW", "PERMANENT"),
    ],
)
def test_a_row_of_google_ads_is_told_apart(name: str, expected: str) -> None:
    verdict = google_ads_answer.classify(an_answer(200, failure((1, name), results=3)), 3)
    assert classes(verdict, 3) == ["OK", expected, "OK"]
    assert "jane" not in repr(verdict)


@pytest.mark.parametrize(
    ("name", "untaken", "waits"),
    [
        ("TOO_RECENT_EVENT", True, True),
        ("TOO_RECENT_CONVERSION", True, True),
        ("CONVERSION_NOT_FOUND", True, False),
        ("MORE_RECENT_RESTATEMENT_FOUND", True, True),
        ("RESTATEMENT_ALREADY_EXISTS", True, True),
        ("TRANSIENT_ERROR", False, False),
    ],
)
def test_of_a_row_that_google_ads_refuses_for_now_it_is_certain_that_it_was_not_taken(
    name: str, untaken: bool, waits: bool
) -> None:
    row = google_ads_answer.classify(an_answer(200, failure((1, name), results=2)), 2).of(1)
    assert (row.is_untaken, row.retry_after_seconds > 0) == (untaken, waits)


def test_google_ads_is_told_nothing_more_of_a_conversion_of_55_days_ago() -> None:
    day = 86_400_000_000
    for days, adjusts in ((54, True), (55, False)):
        outgoing = correction(DELIVERY_OPERATION_RETRACT, amount_micros=0, now_micros=SENT_MICROS + days * day)
        found = google_ads_event.event(outgoing, GOOGLE_ADS)
        assert isinstance(found, Mapped) == adjusts


@pytest.mark.parametrize(("families", "forgets"), [((), True), (("gclid",), True), (("gclid", "msclkid"), False)])
def test_microsoft_knows_again_what_has_a_click_of_its_own(families: tuple[str, ...], forgets: bool) -> None:
    outgoing = an_outgoing(clicks=tuple(click_id(family, "C") for family in families))
    assert Microsoft(MICROSOFT).policy.forgets(outgoing.revised) == forgets


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, {"results": [{"gclid": "G"}, {"gclid": "H"}]}, ["OK", "OK"], id="taken"),
        pytest.param(200, {"results": [{"gclid": "G"}, {}]}, ["OK", "RETRY"], id="neither result nor error"),
        pytest.param(200, {}, ["RETRY", "RETRY"], id="no results"),
        pytest.param(401, {"error": {"status": "UNAUTHENTICATED"}}, ["REAUTH", "REAUTH"], id="an expired token"),
        pytest.param(403, {"error": {"status": "PERMISSION_DENIED"}}, ["CONFIG", "CONFIG"], id="no permission"),
        pytest.param(503, None, ["RETRY", "RETRY"], id="unavailable"),
    ],
)
def test_google_ads_answers_are_told_apart(status: int, body: Any, expected: list[str]) -> None:
    assert classes(google_ads_answer.classify(an_answer(status, body), 2), 2) == expected


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", "THROTTLED"),
        ("internalError", "TRANSIENT_ERROR", "RETRY"),
        ("authenticationError", "OAUTH_TOKEN_EXPIRED", "REAUTH"),
        ("authenticationError", "CUSTOMER_NOT_FOUND", "CONFIG"),
        ("authorizationError", "DEVELOPER_TOKEN_NOT_APPROVED", "CONFIG"),
        ("notAllowlistedError", "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE", "CONFIG"),
        ("conversionUploadError", "TOO_MANY_CONVERSIONS_IN_REQUEST", "SPLIT"),
    ],
)
def test_an_error_of_a_whole_request_is_told_apart(kind: str, name: str, expected: str) -> None:
    body = {
        "error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"errors": [{"errorCode": {kind: name}}]}]}
    }
    assert classes(google_ads_answer.classify(an_answer(400, body), 2), 2) == [expected] * 2
