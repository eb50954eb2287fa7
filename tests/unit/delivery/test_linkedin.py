"""LinkedIn is sent what Segment's connector sends it, and its answers are told apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.outgoing import an_answer, an_outgoing, click_id, golden, keys, said, why
from tributary.delivery.v1.delivery_pb2 import (
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_NO_MATCH_KEY,
    OutcomeClass,
)
from tributary_delivery.destinations.adapter import Mapped, PersonKeys
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_delivery.destinations.linkedin_answer import classify
from tributary_delivery.destinations.linkedin_event import event
from tributary_runtime.ad_destinations import LinkedInDestination

LINKEDIN = LinkedInDestination.model_validate(
    {"id": "li", "type": "linkedin", "access_token": {"value": "not a secret"}}
)
PERSON = keys(
    emails=("jane.doe@example.com",), customer_id="u1", address={"given": "Jane", "family": "Doe", "country": "US"}
)
CLICK = click_id("li_fat_id", "df5gf5-gh6t7-ph4j7h-fgf6n1")


def test_an_event_is_that_of_the_golden_request() -> None:
    outgoing = an_outgoing(name="104012", person=PERSON, clicks=(CLICK,), micros=1_770_000_000_000_000)
    mapped = event(outgoing, LINKEDIN)
    assert json.loads(json_bytes(said(mapped))) == golden("linkedin", "REQUEST single")["request"]["json"]
    assert isinstance(mapped, Mapped)
    assert (mapped.click_id_family, mapped.click_id) == ("li_fat_id", "df5gf5-gh6t7-ph4j7h-fgf6n1")


def test_the_list_of_ids_is_there_though_it_is_empty() -> None:
    person = keys(address={"given": "Jane", "family": "Doe"})
    assert said(event(an_outgoing(name="1", person=person), LINKEDIN))["user"] == {
        "userIds": [],
        "userInfo": {"firstName": "Jane", "lastName": "Doe"},
    }


def test_half_a_name_is_none() -> None:
    person = keys(emails=("a@b.co",), address={"given": "Jane", "country": "US"})
    assert "userInfo" not in said(event(an_outgoing(person=person), LINKEDIN))["user"]


def test_a_value_is_an_exact_text() -> None:
    outgoing = an_outgoing(amount_micros=9_007_199_254_740_993_000_001)
    assert said(event(outgoing, LINKEDIN))["conversionValue"]["amount"] == "9007199254740993.000001"
    assert "conversionValue" not in said(event(an_outgoing(amount_micros=None), LINKEDIN))


def test_who_opted_out_is_not_sent_for_there_is_no_field_to_say_so() -> None:
    assert why(event(an_outgoing(opted_out=True), LINKEDIN)) == INELIGIBLE_REASON_NO_CONSENT


def test_a_phone_number_is_nothing_to_linkedin() -> None:
    outgoing = an_outgoing(person=PersonKeys(phones=("+14155552671",), client_ip="203.0.113.7", user_agent="UA/1"))
    assert why(event(outgoing, LINKEDIN)) == INELIGIBLE_REASON_NO_MATCH_KEY


@pytest.mark.parametrize(
    ("status", "body", "expected", "untaken"),
    [
        pytest.param(201, None, "RETRY", False, id="created, by nobody who reads batches"),
        pytest.param(200, {}, "RETRY", False, id="no statuses"),
        pytest.param(400, {"message": "x"}, "SPLIT", True, id="a bad request"),
        pytest.param(422, {"message": "x"}, "SPLIT", True, id="a bad event, nobody knows which"),
        pytest.param(423, None, "RETRY", True, id="locked: nothing was taken, so it may be sent again"),
        pytest.param(401, {"code": "EXPIRED_ACCESS_TOKEN"}, "REAUTH", True, id="an expired token"),
        pytest.param(401, {"code": "REVOKED_ACCESS_TOKEN"}, "CONFIG", True, id="a revoked token"),
        pytest.param(403, {"code": "ACCESS_DENIED"}, "CONFIG", True, id="no permission"),
        pytest.param(426, {"code": "NONEXISTENT_VERSION"}, "CONFIG", True, id="a dead version"),
        pytest.param(429, None, "THROTTLED", True, id="too many"),
        pytest.param(500, None, "RETRY", False, id="a server error"),
    ],
)
def test_an_answer_is_told_apart(status: int, body: Any, expected: str, untaken: bool) -> None:
    verdict = classify(an_answer(status, body), 3)
    assert not verdict.rows
    assert OutcomeClass.Name(verdict.whole.outcome) == f"OUTCOME_CLASS_{expected}"
    assert verdict.whole.is_untaken == untaken


@pytest.mark.parametrize(("status", "untaken"), [(423, True), (500, False), (429, True)])
def test_of_a_row_that_was_locked_it_is_certain_that_it_was_not_taken(status: int, untaken: bool) -> None:
    verdict = classify(an_answer(200, {"elements": [{"status": 201}, {"status": status}]}), 2)
    assert [verdict.of(place).is_untaken for place in range(2)] == [False, untaken]


@pytest.mark.parametrize("in_body", [True, False])
def test_the_events_to_blame_are_read_from_the_lines_of_an_error(in_body: bool) -> None:
    lines = "/Index: 0, ERROR :: /conversionHappenedAt is in the future\n/Index: 7, ERROR :: x\nIndex: 2, ERROR :: y\n"
    answer = an_answer(422, {"message": lines}) if in_body else an_answer(422, None, lines)
    verdict = classify(answer, 3)
    assert OutcomeClass.Name(verdict.whole.outcome) == "OUTCOME_CLASS_SPLIT"
    assert {place: OutcomeClass.Name(row.outcome) for place, row in verdict.rows.items()} == dict.fromkeys(
        (0, 2), "OUTCOME_CLASS_PERMANENT"
    )
    assert "future" not in repr(verdict), "their texts may repeat what was sent"


def test_a_batch_is_answered_event_by_event() -> None:
    statuses = [{"status": 201}, {"status": 422}, {"status": 500}, {"status": 429}]
    verdict = classify(an_answer(200, {"elements": statuses}), 5)
    names = [OutcomeClass.Name(verdict.of(place).outcome).removeprefix("OUTCOME_CLASS_") for place in range(5)]
    assert names == ["OK", "PERMANENT", "RETRY", "THROTTLED", "RETRY"], "the last has no status"
