"""An application proves who it is with its own key, for minutes."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key

from tests.support.signing import pem, read
from tributary_domain.jwt_assertions import LIFE_SECONDS, SigningKey


def test_an_assertion_names_who_for_whom_and_until_when_and_is_signed() -> None:
    signed = SigningKey(pem()).sign("app", "https://token.example", 1_000, subject="ann@example.com", scope="a b")
    assert read(signed) == (
        {"alg": "RS256", "typ": "JWT"},
        {
            **{"iss": "app", "aud": "https://token.example", "iat": 1_000, "exp": 1_000 + LIFE_SECONDS},
            **{"sub": "ann@example.com", "scope": "a b"},
        },
    )


def test_a_service_accounts_file_is_read_as_it_is() -> None:
    account = json.dumps({"type": "service_account", "private_key_id": "k1", "private_key": pem()})
    header, claims = read(SigningKey(account).sign("app@project.example", "aud", 0))
    assert header["kid"] == "k1"
    assert sorted(claims) == ["aud", "exp", "iat", "iss"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("secret", "no private key in PEM", id="no key"),
        pytest.param('{"private_key"', "JSON without a private_key", id="no JSON"),
        pytest.param('{"type": "authorized_user"}', "JSON without a private_key", id="another file"),
        pytest.param(pem(ec_key(SECP256R1())), "no RSA key", id="another kind of key"),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        SigningKey(text)
    assert text not in str(refused.value)
