"""Identities never change: these answers are pinned, because claims and rows keep them for ever."""

import hashlib
import hmac
from base64 import urlsafe_b64encode

import pytest

from tributary_domain import ids


def test_an_event_digest_is_the_same_in_every_release() -> None:
    assert ids.event_digest("shop", "o-1").hex() == "9569299dc93404966ca3a0bbb64a92e5"


def test_an_order_digest_is_the_same_in_every_release() -> None:
    assert ids.order_digest("shop", "purchase", "de", "4711").hex() == "a1e2e3f7f0d823f51282c0e8b50cfe05"


def test_an_adjustment_digest_is_the_same_in_every_release() -> None:
    assert ids.adjustment_digest("shop", "c1:00", 1, "refund-1").hex() == "6a3fc4e2eff2f32aca44252d3d8d4a13"


def test_leading_zeros_of_an_event_id_count() -> None:
    assert ids.event_digest("shop", "000001") != ids.event_digest("shop", "1")


def test_one_event_id_in_two_workspaces_is_two_events() -> None:
    assert ids.event_digest("a", "o-1") != ids.event_digest("b", "o-1")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(("purchase", "", "de4711", ""), id="store moved into the order id"),
        pytest.param(("purchased", "e", "4711", ""), id="name moved into the store"),
        pytest.param(("purchase", "de", "4711", "1"), id="another cycle"),
        pytest.param(("purchase", "at", "4711", ""), id="another store"),
    ],
)
def test_orders_that_differ_in_one_part_are_two_orders(other: tuple[str, str, str, str]) -> None:
    assert ids.order_digest("shop", "purchase", "de", "4711") != ids.order_digest("shop", *other)


def test_an_order_is_never_taken_for_an_event() -> None:
    assert ids.event_digest("shop", "o-1") != ids.order_digest("shop", "", "", "o-1")


def test_a_conversion_id_shows_its_digest() -> None:
    assert ids.conversion_id(bytes.fromhex("00" * 15 + "ff")) == "c1:" + "00" * 15 + "ff"


def test_a_token_is_the_hmac_of_rfc_2104_for_peppers_of_any_length() -> None:
    value = hashlib.sha256(b"ann@example.com").digest()
    for pepper in (b"", b"short", b"x" * 64, b"y" * 200):
        expected = urlsafe_b64encode(hmac.digest(pepper, value, "sha256")[:16]).decode().rstrip("=")
        assert ids.token_maker(pepper)("email", value) == f"email:{expected}"


def test_a_person_of_two_workspaces_is_two_people() -> None:
    assert ids.person_id("a", "visitor:x") != ids.person_id("b", "visitor:x")


def test_value_digests_differ_by_currency() -> None:
    assert ids.value_digest("EUR", 10_000_000) != ids.value_digest("USD", 10_000_000)
    assert len(ids.value_digest("EUR", 10_000_000)) == ids.VALUE_DIGEST_BYTES


def test_value_digests_are_stable() -> None:
    assert ids.value_digest("EUR", 10_000_000).hex() == "ebe2cc"
