"""Signatures as Standard Webhooks asks; what another implementation signs, we sign alike."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tributary_delivery.destinations.signature import sign, signing_key

VECTORS = Path(__file__).parents[2] / "vectors" / "hashing_and_signing_others.json"
ROWS = [row for row in json.loads(VECTORS.read_text())["vectors"] if row["platform"] == "webhook"]
SIGNED = [row for row in ROWS if row["field"] == "standard-webhooks v1"]
OTHERS = {
    "standard-webhooks v1a (ed25519)": "no library checks it, and the layout of its secret is assumed: HMAC is sent",
    "verify": "what a receiver does, which we are not",
}
"""Rows that are not ours, and why."""

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize("body", [b"{}", '{"name":"Käufe €"}'.encode(), b"x" * 19_999])
def test_the_reference_library_signs_alike(body: bytes) -> None:
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    theirs = Webhook(SECRET).sign("c1:one:crm", at, body.decode())
    assert sign([signing_key(SECRET)], "c1:one:crm", int(at.timestamp()), body) == theirs


@pytest.mark.parametrize("row", SIGNED, ids=lambda row: f"{row['input']['webhook_id']}, {row['source'][:24]}")
def test_a_signature_of_the_vectors_is_ours(row: dict[str, Any]) -> None:
    said = row["input"]
    key = signing_key(said["secret"])
    assert sign([key], said["webhook_id"], said["webhook_timestamp"], said["body"].encode()) == row["signature"]


def test_no_row_of_the_vectors_is_left_out_unsaid() -> None:
    left = {row["field"].partition(":")[0] for row in ROWS if row not in SIGNED}
    assert left == set(OTHERS)
    assert len(SIGNED) == 6


def test_two_keys_sign_in_turn() -> None:
    keys = [signing_key(SECRET), b"another key of at least 24 bytes"]
    both = sign(keys, "id", 1, b"{}").split()
    assert both == [sign([key], "id", 1, b"{}") for key in keys]


@pytest.mark.parametrize("text", ["a text of 24 characters!", "a-text-of-24-letters-too", "ein längerer Schlüssel."])
def test_a_secret_that_is_no_base64_is_its_own_bytes(text: str) -> None:
    assert signing_key(text) == text.encode()


def test_missing_padding_is_forgiven_and_nonsense_is_not() -> None:
    encoded = base64.b64encode(b"k" * 25).decode().rstrip("=")
    assert signing_key(f"whsec_{encoded}") == b"k" * 25
    with pytest.raises(ValueError, match="no base64"):
        signing_key("whsec_%%%")


@pytest.mark.parametrize("length", [23, 24])
def test_a_secret_is_as_long_as_the_specification_asks(length: int) -> None:
    for secret in ("whsec_" + base64.b64encode(b"k" * length).decode(), "-" * length):
        if length >= 24:
            assert len(signing_key(secret)) == length
        else:
            with pytest.raises(ValueError, match="less than 24 bytes"):
                signing_key(secret)
