"""What an application asks a token endpoint for, and what it makes of the answer."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.support.batches import a_batch_destination
from tests.support.signing import pem, read
from tributary_delivery.destinations.destination import CONFIG, RETRY
from tributary_delivery.destinations.token_requests import TokenRequests
from tributary_delivery.destinations.tokens import TokenError

URL = "https://token.example/token"


def requests(kind: str, **oauth: Any) -> TokenRequests:
    named = {
        name: {"value": value} if name in ("client_secret", "refresh_token", "private_key") else value
        for name, value in oauth.items()
    }
    given = {"client_id": {"value": "app"}, "token_url": URL, **named}
    settings = a_batch_destination(kind, access_token=None, oauth=given)
    assert settings.oauth is not None
    return TokenRequests(settings.oauth, settings, URL)


def form(asked: TokenRequests) -> dict[str, str]:
    return dict(parse_qsl(asked.ask("r-2", 1_000)[0].decode()))


REFRESH: dict[str, Any] = {"client_secret": "s", "refresh_token": "r"}


def test_microsoft_is_told_the_scope_that_it_forgets_otherwise() -> None:
    assert form(requests("microsoft", **REFRESH)) == {
        **{"grant_type": "refresh_token", "refresh_token": "r-2", "client_id": "app", "client_secret": "s"},
        "scope": "https://ads.microsoft.com/msads.manage offline_access",
    }
    assert form(requests("microsoft", **REFRESH, scope="another"))["scope"] == "another"
    assert "scope" not in form(requests("google", **REFRESH)), "the account consented to what it consented to"


def test_reddit_is_told_who_asks_in_a_header() -> None:
    body, headers = requests("reddit", **REFRESH).ask("r-2", 0)
    assert headers["authorization"] == f"Basic {base64.b64encode(b'app:s').decode()}"
    assert dict(parse_qsl(body.decode())) == {"grant_type": "refresh_token", "refresh_token": "r-2"}


def test_an_application_of_its_own_needs_no_account() -> None:
    asked = requests("salesforce", grant="client_credentials", client_secret="s")
    assert form(asked) == {"grant_type": "client_credentials", "client_id": "app", "client_secret": "s"}


def test_a_service_account_of_google_signs_for_the_scope_of_the_api() -> None:
    said = form(requests("google", grant="jwt_bearer", private_key=pem()))
    assert said["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert sorted(said) == ["assertion", "grant_type"]
    _, claims = read(said["assertion"])
    assert (claims["iss"], claims["aud"], claims["scope"]) == (
        "app",
        URL,
        "https://www.googleapis.com/auth/datamanager",
    )


def test_a_connected_app_of_salesforce_signs_for_a_user() -> None:
    own = {"subject": "ann@example.com", "audience": "https://login.salesforce.com"}
    _, claims = read(form(requests("salesforce", grant="jwt_bearer", private_key=pem(), **own))["assertion"])
    assert (claims["sub"], claims["aud"]) == tuple(own.values())
    assert "scope" not in claims


@pytest.mark.parametrize(
    ("status", "body", "outcome", "said"),
    [
        pytest.param(400, {"error": "invalid_grant"}, CONFIG, "HTTP 400, invalid_grant.", id="revoked"),
        pytest.param(400, {"error": "temporarily_unavailable"}, RETRY, "temporarily_unavailable", id="passes"),
        pytest.param(401, {"error": "a secret: 7"}, CONFIG, "No token: HTTP 401.", id="no code"),
        pytest.param(429, {}, RETRY, "HTTP 429", id="too many"),
        pytest.param(503, {}, RETRY, "HTTP 503", id="server"),
        pytest.param(200, {"access_token": ""}, CONFIG, "HTTP 200", id="empty"),
        pytest.param(
            *(200, {"access_token": "t", "instance_url": "https://u:p@x.example"}, CONFIG, "instance_url must not"),
            id="a home with a password",
        ),
    ],
)
def test_where_there_is_no_token_it_is_told_why_and_nothing_else(
    status: int, body: dict[str, str], outcome: int, said: str
) -> None:
    with pytest.raises(TokenError, match=said) as refused:
        requests("salesforce", **REFRESH).read(status, json.dumps(body).encode())
    assert refused.value.outcome.outcome == outcome
    assert refused.value.outcome.is_untaken


def test_the_address_that_a_token_comes_with_is_one_that_the_file_could_name() -> None:
    own = {"base_url": "https://shop.my.salesforce.com", "allow_private_addresses": False}
    given = {"client_id": {"value": "app"}, "grant": "client_credentials", "client_secret": {"value": "s"}}
    settings = a_batch_destination("salesforce", **own, access_token=None, oauth={**given, "token_url": URL})
    assert settings.oauth is not None
    body = json.dumps({"access_token": "t", "instance_url": "http://shop.my.salesforce.com"}).encode()
    with pytest.raises(TokenError, match="instance_url must begin with https://"):
        TokenRequests(settings.oauth, settings, URL).read(200, body)


def test_what_was_given_out_is_read_whoever_says_numbers_as_texts() -> None:
    body = {"access_token": "t", "expires_in": "3599", "refresh_token": "r-3", "instance_url": "https://na1.example/x"}
    got = requests("salesforce", **REFRESH).read(200, json.dumps(body).encode())
    assert (got.access_token, got.life_seconds, got.refresh_token, got.home) == (
        "t",
        3599.0,
        "r-3",
        "https://na1.example",
    )
    assert requests("google", **REFRESH).read(200, json.dumps(body).encode()).home == "", "only who is known to say so"
    assert "r-3" not in repr(got)
