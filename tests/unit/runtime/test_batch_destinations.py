"""What the file may say of destinations that take many conversions at once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.batches import a_batch_destination
from tests.support.signing import pem

REFERENCE = {"value": "a secret"}
SIGNED = {"grant": "jwt_bearer", "client_id": REFERENCE, "private_key": {"value": pem()}}
OAUTH = {"client_id": REFERENCE, "client_secret": REFERENCE, "refresh_token": REFERENCE}


@pytest.mark.parametrize(
    ("kind", "own", "problem"),
    [
        pytest.param("meta", {"base_url": "ftp://x.example"}, "base_url must begin with https://", id="scheme"),
        pytest.param(
            "meta",
            {"base_url": "http://x.example", "allow_private_addresses": False},
            "base_url must begin with https://",
            id="http",
        ),
        pytest.param("meta", {"base_url": "https://x.example:abc"}, "base_url must begin with https://", id="port"),
        pytest.param("meta", {"base_url": "https://x.example:0"}, "base_url must begin with https://", id="port 0"),
        pytest.param("meta", {"base_url": "https://0177.0.0.1"}, "base_url must begin with https://", id="octal"),
        pytest.param("meta", {"base_url": "https://[::1"}, "base_url must begin with https://", id="brackets"),
        pytest.param("meta", {"base_url": "https://x y.example"}, "base_url must begin with https://", id="blank"),
        pytest.param("meta", {"base_url": "https://\u2603.example"}, "base_url must begin with https://", id="no name"),
        pytest.param("meta", {"base_url": "https://u:p@x.example"}, "must not contain a user", id="password"),
        pytest.param(
            "google",
            {
                "access_token": None,
                "oauth": {**OAUTH, "token_url": "http://x.example/token"},
                "allow_private_addresses": False,
            },
            "oauth.token_url must begin with https://",
            id="a refresh token in the clear",
        ),
        pytest.param("meta", {"page_url": "http://shop.example"}, "page_url must begin with https://", id="page"),
        pytest.param("meta", {"access_token": None}, "exactly one of access_token, oauth", id="no credential"),
        pytest.param("google", {"oauth": OAUTH}, "exactly one of access_token, oauth", id="two credentials"),
        pytest.param("meta", {"access_token": None, "oauth": OAUTH}, "meta offers none", id="nobody refreshes"),
        pytest.param(
            "linkedin",
            {
                "access_token": None,
                "oauth": {"grant": "client_credentials", "client_id": REFERENCE},
            },
            "needs client_secret",
            id="no secret",
        ),
        pytest.param(
            "linkedin",
            {"access_token": None, "oauth": SIGNED},
            "linkedin offers refresh_token",
            id="a grant that it does not know",
        ),
        pytest.param(
            "google", {"access_token": None, "oauth": {"client_id": REFERENCE}}, "needs refresh_token", id="no token"
        ),
        pytest.param(
            "google",
            {"access_token": None, "oauth": {"grant": "jwt_bearer", "client_id": REFERENCE, "private_key": REFERENCE}},
            "no private key in PEM",
            id="no key",
        ),
        pytest.param(
            "google",
            {"access_token": None, "oauth": {**OAUTH, "subject": "ann@example.com"}},
            "uses no subject",
            id="a subject of nothing",
        ),
        pytest.param(
            "salesforce",
            {"access_token": None, "oauth": {**SIGNED, "token_url": "https://x.example/token"}},
            "must be the name of the user",
            id="nobody to sign for",
        ),
        pytest.param("meta", {"send_scope": "with_own_click"}, "takes no corrections", id="scope may change"),
        pytest.param("tiktok", {"value": "basis"}, "takes no corrections", id="value may change"),
        pytest.param("google", {"value": "credited"}, "needs value_model and channels", id="whose credit"),
        pytest.param("google", {"value_model": "linear"}, "of a credited value only", id="a model of nothing"),
        pytest.param("google", {"value_basis": "margin"}, "value_basis: leave it out", id="another basis"),
        pytest.param("tiktok", {"lead_event_source": "HubSpot"}, "of event_source crm only", id="leads of no CRM"),
        pytest.param("meta", {"value": "credited"}, "takes no corrections", id="credit may change"),
        pytest.param("meta", {"unanswered_seconds": 60}, "takes no corrections", id="nothing is overtaken"),
        pytest.param("google", {"unanswered_seconds": 3_601}, "less than or equal to 3600", id="beyond what is known"),
        pytest.param("meta", {"most_age_days": 63}, "less than or equal to 62", id="an old event refuses all"),
        pytest.param("microsoft", {"pixel": "shared_id"}, "pixel must be none", id="an id that is not sent"),
        pytest.param("tiktok", {"hold_seconds": 7 * 86_400}, "less than the 7 days", id="held until it is too old"),
        pytest.param("meta", {"hold_seconds": 7 * 86_400}, "less than the 7 days", id="held too long at Meta"),
        pytest.param("meta", {"resend_hours": 72}, "less than or equal to 47", id="beyond what is known again"),
        pytest.param("meta", {"batch_size": 2_000}, "less than or equal to 1000", id="too many"),
        pytest.param("google", {"conversions": {"purchase": {}}}, "digits only", id="no conversion action"),
        pytest.param("linkedin", {"conversions": {"purchase": {}}}, "digits only", id="no rule"),
        pytest.param("pinterest", {"conversions": {"purchase": {}}}, "Pinterest refuses purchase", id="no event"),
        pytest.param(
            "google",
            {"conversions": {f"n{number}": {"name": str(number)} for number in range(11)}},
            "at most 10 conversion actions",
            id="too many actions",
        ),
        pytest.param("meta", {"test_event_code": "T1"}, "needs send_test_traffic", id="a code of no tests at Meta"),
        pytest.param("tiktok", {"test_event_code": "T1"}, "needs send_test_traffic", id="a code of no tests at TikTok"),
        pytest.param("reddit", {"test_id": "t1"}, "needs send_test_traffic", id="an id of no tests"),
    ],
)
def test_a_wrong_destination_is_refused(kind: str, own: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        a_batch_destination(kind, "https://x.example", **own)


def test_only_who_takes_corrections_may_be_told_what_changes() -> None:
    destination = a_batch_destination("google", value="basis", send_scope="with_own_click")
    assert destination.restates
    assert "gclid" in destination.click_families
