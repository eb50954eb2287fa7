"""Signatures as Standard Webhooks asks; what another implementation signs, we sign alike."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from tributary_delivery.destinations.signature import sign, signing_key

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize("body", [b"{}", '{"name":"Käufe €"}'.encode(), b"x" * 19_999])
def test_the_reference_library_signs_alike(body: bytes) -> None:
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    theirs = Webhook(SECRET).sign("c1:one:crm", at, body.decode())
    assert sign([signing_key(SECRET)], "c1:one:crm", int(at.timestamp()), body) == theirs


def test_two_keys_sign_in_turn() -> None:
    keys = [signing_key(SECRET), b"another key of at least 24 bytes"]
    both = sign(keys, "id", 1, b"{}").split()
    assert both == [sign([key], "id", 1, b"{}") for key in keys]


def test_a_secret_without_prefix_is_its_own_bytes() -> None:
    assert signing_key("a text of 24 characters!") == b"a text of 24 characters!"


def test_missing_padding_is_forgiven_and_nonsense_is_not() -> None:
    encoded = base64.b64encode(b"k" * 25).decode().rstrip("=")
    assert signing_key(f"whsec_{encoded}") == b"k" * 25
    with pytest.raises(ValueError, match="no base64"):
        signing_key("whsec_%%%")
