"""A refusal says which field is to blame, for who reads it at night; and never what was in it."""

from __future__ import annotations

from typing import Any

import pytest

from tributary_delivery.destinations import google_answer, hubspot_answer, linkedin_answer, salesforce_answer
from tributary_delivery.destinations.adapter import Answer


def of_google(field: str) -> dict[str, Any]:
    violation = {"field": field, "reason": "INVALID_FORMAT"}
    return {"error": {"status": "INVALID_ARGUMENT", "details": [{"fieldViolations": [violation]}]}}


def of_hubspot(name: str) -> dict[str, Any]:
    context = {"objectWriteTraceId": ["0"], "propertyName": [name]}
    return {"errors": [{"category": "VALIDATION_ERROR", "context": context}]}


def of_linkedin(said: str) -> dict[str, Any]:
    return {"code": "UNPROCESSABLE_ENTITY", "message": f"Index: 0, ERROR :: {said} \n"}


def of_salesforce(name: str) -> list[dict[str, Any]]:
    return [{"success": False, "errors": [{"statusCode": "REQUIRED_FIELD_MISSING", "fields": [name]}]}]


@pytest.mark.parametrize(
    ("classify", "status", "body", "said"),
    [
        (google_answer.classify, 400, of_google("events[0].user_data.x[1]"), "HTTP 400 INVALID_FORMAT user_data.x[1]"),
        (google_answer.classify, 400, of_google("events[0].ann@x.example"), "HTTP 400 INVALID_FORMAT"),
        (hubspot_answer.classify, 207, of_hubspot("deal_stage"), "HTTP 207 VALIDATION_ERROR deal_stage"),
        (hubspot_answer.classify, 207, of_hubspot("+49 171 234567"), "HTTP 207 VALIDATION_ERROR"),
        (
            linkedin_answer.classify,
            422,
            of_linkedin("/user/userIds :: no"),
            "HTTP 422 UNPROCESSABLE_ENTITY: /user/userIds",
        ),
        (
            linkedin_answer.classify,
            *(422, of_linkedin("Ann is no e-mail"), "HTTP 422 UNPROCESSABLE_ENTITY: named by its index"),
        ),
        (salesforce_answer.classify, 200, of_salesforce("CloseDate"), "REQUIRED_FIELD_MISSING CloseDate"),
        (salesforce_answer.classify, 200, of_salesforce("Ann Smith"), "REQUIRED_FIELD_MISSING"),
    ],
)
def test_the_field_is_named_and_nothing_in_it(classify: Any, status: int, body: Any, said: str) -> None:
    assert classify(Answer(status, {}, body, "", 0), 1).of(0).message == said
