"""Google's Data Manager API is sent one event per conversion, and the same again for a correction."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from tests.support.outgoing import an_answer, an_outgoing, click_id, keys, said, why
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    OutcomeClass,
)
from tributary.event.v1 import event_pb2
from tributary_delivery.destinations.adapter import Mapped, Permits, PersonKeys, Pinned, Unmappable
from tributary_delivery.destinations.google_answer import classify
from tributary_delivery.destinations.google_event import event
from tributary_delivery.destinations.google_reasons import NOT_OURS, class_later, plain_reason
from tributary_domain.consent import DENIED, GRANTED, UNSAID
from tributary_runtime.ad_destinations import GoogleDestination

GOOGLE = GoogleDestination.model_validate(
    {
        "id": "google",
        "type": "google",
        "operating_account": "1234567890",
        "access_token": {"value": "not a secret"},
        "conversions": {"purchase": {"name": "42"}},
    }
)
PERSON = keys(
    emails=("J.Doe+news@gmail.com",),
    phones=("+1 415-555-2671",),
    address={"given": "Mary Ann", "family": "O'Brien", "country": "us", "zip": "94035-1234"},
    client_ip="203.0.113.7",
    user_agent="UA/1",
)
CLICK = click_id("gclid", "Cj0-AbC")


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def test_an_event_says_who_what_and_when() -> None:
    outgoing = an_outgoing(name="42", person=PERSON, clicks=(CLICK,), micros=1_767_323_045_120_000)
    mapped = event(outgoing, GOOGLE)
    assert said(mapped) == {
        "destinationReferences": ["42"],
        "eventTimestamp": "2026-01-02T03:04:05.120000Z",
        "transactionId": "order-1001",
        "eventSource": "WEB",
        "conversionValue": Decimal("49.90"),
        "currency": "USD",
        "adIdentifiers": {
            "gclid": "Cj0-AbC",
            "landingPageDeviceInfo": {"ipAddress": "203.0.113.7", "userAgent": "UA/1"},
        },
        "userData": {
            "userIdentifiers": [
                {"emailAddress": digest("jdoe@gmail.com")},
                {"phoneNumber": digest("+14155552671")},
                {
                    "address": {
                        "givenName": digest("maryann"),
                        "familyName": digest("obrien"),
                        "regionCode": "US",
                        "postalCode": "94035-1234",
                    }
                },
            ]
        },
        "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"},
    }
    assert isinstance(mapped, Mapped)
    assert (mapped.click_id_family, mapped.click_id, mapped.time_micros) == ("gclid", "Cj0-AbC", 1_767_323_045_120_000)
    assert set(mapped.digests) == {"emailAddress", "phoneNumber", "givenName", "familyName"}


def test_an_address_is_said_whole_or_not_at_all() -> None:
    person = keys(emails=("a@b.co",), address={"given": "Mary", "family": "Smith", "country": "US"})
    mapped = event(an_outgoing(person=person), GOOGLE)
    assert said(mapped)["userData"] == {"userIdentifiers": [{"emailAddress": digest("a@b.co")}]}
    assert isinstance(mapped, Mapped)
    assert set(mapped.digests) == {"emailAddress"}


def test_at_most_ten_identifiers_are_said() -> None:
    person = keys(
        emails=tuple(f"a{n}@b.co" for n in range(9)),
        phones=tuple(f"+1415555267{n}" for n in range(9)),
        address={"given": "Mary", "family": "Smith", "country": "US", "zip": "94035"},
    )
    identifiers = said(event(an_outgoing(person=person), GOOGLE))["userData"]["userIdentifiers"]
    assert len(identifiers) == 10
    assert sum("address" in one for one in identifiers) == 1


@pytest.mark.parametrize(
    ("clicks", "cookie", "expected"),
    [
        pytest.param(
            (CLICK, click_id("wbraid", "W"), click_id("gbraid", "G")), "", {"gclid": "Cj0-AbC"}, id="one only"
        ),
        pytest.param((click_id("wbraid", "W"), click_id("gbraid", "G")), "", {"gbraid": "G"}, id="never two"),
        pytest.param((), "GCL.1767000000.Cj0KCQiAx_Y-1", {"gclid": "Cj0KCQiAx_Y-1"}, id="the browser's"),
        pytest.param((), "GCL.1700000000.Cj0KCQiAx_Y-1", None, id="the browser's, too old"),
        pytest.param((), "GCL.1767330000.Cj0KCQiAx_Y-1", None, id="the browser's, after the conversion"),
        pytest.param((), "nonsense", None, id="no cookie"),
        pytest.param((click_id("dclid", "D"),), "", None, id="of another product"),
    ],
)
def test_one_click_is_said(clicks: tuple[Any, ...], cookie: str, expected: dict[str, str] | None) -> None:
    outgoing = an_outgoing(clicks=clicks, browser_ids={"gcl_aw": cookie})
    assert said(event(outgoing, GOOGLE)).get("adIdentifiers") == expected


def test_a_correction_is_the_same_event_with_another_value() -> None:
    first = an_outgoing(name="42", person=PERSON, clicks=(CLICK,))
    sent = event(first, GOOGLE)
    assert isinstance(sent, Mapped)
    pinned = Pinned("order-1001", sent.click_id_family, sent.click_id, sent.time_micros)
    corrected = an_outgoing(
        name="42",
        person=PERSON,
        clicks=(click_id("gclid", "a-later-click"),),
        micros=1_767_000_000_000_000,  # an earlier observation came in since
        pinned=pinned,
        operation=DELIVERY_OPERATION_RESTATE,
        amount_micros=30_000_000,
    )
    again = said(event(corrected, GOOGLE))
    assert again.pop("lastUpdatedTimestamp") == "2026-01-02T04:04:05Z"
    assert again == said(sent) | {"conversionValue": Decimal("30.00")}


@pytest.mark.parametrize("origin", [event_pb2.ORIGIN_STORE, event_pb2.ORIGIN_PHONE])
def test_a_sale_in_a_store_or_by_phone_is_not_corrected_for_it_would_become_a_second_one(
    origin: event_pb2.Origin.ValueType,
) -> None:
    pinned = Pinned("order-1001", "", "", 1_767_323_045_000_000)
    for operation in (DELIVERY_OPERATION_RESTATE, DELIVERY_OPERATION_RETRACT):
        outgoing = an_outgoing(pinned=pinned, operation=operation, origin=origin, amount_micros=0)
        assert isinstance(event(outgoing, GOOGLE), Unmappable)
    assert isinstance(event(an_outgoing(origin=origin), GOOGLE), Mapped)


def test_a_correction_says_no_click_that_was_not_said_first() -> None:
    pinned = Pinned("order-1001", "", "", 1_767_323_045_000_000)
    operation = DELIVERY_OPERATION_RETRACT
    outgoing = an_outgoing(clicks=(CLICK,), pinned=pinned, operation=operation, amount_micros=0)
    again = said(event(outgoing, GOOGLE))
    assert "adIdentifiers" not in again
    assert again["conversionValue"] == Decimal("0.00")


@pytest.mark.parametrize(
    ("permits", "expected"),
    [
        pytest.param(Permits(UNSAID, UNSAID), None, id="nothing said"),
        pytest.param(Permits(GRANTED, DENIED), ("CONSENT_GRANTED", "CONSENT_DENIED"), id="said"),
        pytest.param(
            Permits(GRANTED, GRANTED, is_opted_out=True), ("CONSENT_GRANTED", "CONSENT_DENIED"), id="opted out"
        ),
    ],
)
def test_consent_is_said_in_this_api_s_words(permits: Permits, expected: tuple[str, str] | None) -> None:
    consent = said(event(an_outgoing(permits=permits), GOOGLE)).get("consent")
    assert consent == (dict(zip(("adUserData", "adPersonalization"), expected, strict=True)) if expected else None)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [(event_pb2.ORIGIN_UNSPECIFIED, "WEB"), (event_pb2.ORIGIN_STORE, "IN_STORE"), (event_pb2.ORIGIN_CRM, "OTHER")],
)
def test_where_it_happened_is_said(origin: event_pb2.Origin.ValueType, expected: str) -> None:
    assert said(event(an_outgoing(origin=origin), GOOGLE))["eventSource"] == expected


def test_a_hash_of_the_caller_s_and_a_device_are_no_identifiers() -> None:
    person = PersonKeys(email_digests=(digest("a@gmail.com"),), client_ip="203.0.113.7", user_agent="UA/1")
    assert why(event(an_outgoing(person=person), GOOGLE)) == INELIGIBLE_REASON_NO_MATCH_KEY


def test_a_value_nobody_knows_is_not_said() -> None:
    assert not {"conversionValue", "currency"} & set(said(event(an_outgoing(amount_micros=None), GOOGLE)))


def error(status: str, *violations: tuple[str, str], reason: str = "", delay: str = "") -> dict[str, Any]:
    info = {"reason": reason or status, "domain": "datamanager.googleapis.com", "metadata": {"requestId": "R"}}
    fields = [{"field": field, "reason": why, "description": "x"} for field, why in violations]
    details: list[dict[str, Any]] = [info, {"fieldViolations": fields}, {"retryDelay": delay}]
    return {"error": {"code": 400, "status": status, "message": "x", "details": details}}


@pytest.mark.parametrize(
    ("status", "body", "expected", "untaken"),
    [
        pytest.param(200, {"requestId": "R"}, "OK", False, id="queued"),
        pytest.param(200, {}, "RETRY", False, id="no request id"),
        pytest.param(400, error("INVALID_ARGUMENT"), "SPLIT", True, id="nobody knows which"),
        pytest.param(400, error("INVALID_ARGUMENT", reason="INVALID_DESTINATION"), "CONFIG", True, id="no such action"),
        pytest.param(
            400,
            error("INVALID_ARGUMENT", ("destinations[0]", "DESTINATION_ACCOUNT_X")),
            "CONFIG",
            True,
            id="an account",
        ),
        pytest.param(
            400,
            error("INVALID_ARGUMENT", ("events[1]", "CONVERSION_ACTION_TOO_RECENTLY_CREATED")),
            "RETRY",
            True,
            id="too early",
        ),
        pytest.param(401, error("UNAUTHENTICATED"), "REAUTH", True, id="an expired token"),
        pytest.param(401, None, "REAUTH", True, id="an expired token, by status alone"),
        pytest.param(403, error("PERMISSION_DENIED"), "CONFIG", True, id="no permission"),
        pytest.param(429, error("RESOURCE_EXHAUSTED"), "THROTTLED", True, id="too many"),
        pytest.param(503, error("UNAVAILABLE"), "RETRY", False, id="unavailable"),
        pytest.param(504, error("DEADLINE_EXCEEDED"), "RETRY", False, id="too slow"),
        pytest.param(500, error("INTERNAL"), "RETRY", False, id="internal"),
        pytest.param(404, error("NOT_FOUND"), "CONFIG", True, id="another address"),
        pytest.param(409, error("ALREADY_EXISTS"), "PERMANENT", True, id="another error"),
        pytest.param(502, None, "RETRY", False, id="a gateway"),
    ],
)
def test_an_answer_is_told_apart(status: int, body: Any, expected: str, untaken: bool) -> None:
    verdict = classify(an_answer(status, body), 3)
    assert not verdict.rows
    assert OutcomeClass.Name(verdict.whole.outcome) == f"OUTCOME_CLASS_{expected}"
    assert verdict.whole.is_untaken == untaken
    assert verdict.whole.request_id == ("R" if body else "")


def test_the_events_to_blame_are_named_however_their_place_is_spelt() -> None:
    fields = ("events[1].user_data", "events.events[2].conversionValue", "events[9]", "destinations[0]")
    verdict = classify(an_answer(400, error("INVALID_ARGUMENT", *((field, "REQUIRED") for field in fields))), 3)
    assert OutcomeClass.Name(verdict.whole.outcome) == "OUTCOME_CLASS_SPLIT"
    assert {place: OutcomeClass.Name(row.outcome) for place, row in verdict.rows.items()} == {
        1: "OUTCOME_CLASS_PERMANENT",
        2: "OUTCOME_CLASS_PERMANENT",
    }
    assert verdict.rows[1].message == "HTTP 400 REQUIRED user_data"


def test_the_asked_pause_is_respected() -> None:
    body = error("RESOURCE_EXHAUSTED", delay="30.5s")
    assert classify(an_answer(429, body), 1).whole.retry_after_seconds == 30.0
    assert classify(an_answer(429, body, retry_after="5"), 1).whole.retry_after_seconds == 5.0


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("PROCESSING_ERROR_REASON_TOO_RECENT_CLICK", "RETRY"),
        ("PROCESSING_ERROR_REASON_DUPLICATE_TRANSACTION_ID", "OK"),
        ("PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER", "PERMANENT"),
        ("PROCESSING_ERROR_REASON_EVENT_TOO_OLD", "PERMANENT"),
        ("PROCESSING_ERROR_REASON_DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED", "CONFIG"),
        ("PROCESSING_ERROR_REASON_OF_TOMORROW", "UNKNOWN"),
    ],
)
def test_a_reason_in_the_status_of_a_request_is_told_apart(reason: str, expected: str) -> None:
    assert OutcomeClass.Name(class_later(reason)) == f"OUTCOME_CLASS_{expected}"


def test_what_belongs_to_another_account_alarms_nobody() -> None:
    assert plain_reason("PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER") in NOT_OURS
    assert "EVENT_TOO_OLD" not in NOT_OURS
