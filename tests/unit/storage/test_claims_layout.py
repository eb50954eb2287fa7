"""The bytes of a claim say what they are meant to say."""

from __future__ import annotations

import pytest

from tributary_domain.claim_records import OrderPart
from tributary_domain.ids import event_digest, order_digest
from tributary_storage.redis import claim_layout
from tributary_storage.redis.claim_layout import QUARANTINE, REGISTER, Kind, Placement
from tributary_storage.redis.epoch import Epoch

DIGEST = bytes(range(16))
UNIT = 128_000_000


def test_a_claim_record_is_field_payload_bits_and_kind() -> None:
    record = claim_layout.pack_claim(DIGEST, b"abc", QUARANTINE)
    assert record == DIGEST[:7] + b"abc" + QUARANTINE
    assert len(record) == claim_layout.RECORD_BYTES


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_an_order_record_is_field_rank_and_value(rank: int) -> None:
    record = claim_layout.pack_order(OrderPart(DIGEST, rank, b"abc"))
    assert record == DIGEST[:7] + bytes([rank]) + b"abc"
    assert len(record) == claim_layout.RECORD_BYTES


@pytest.mark.parametrize("kind", list(Kind))
def test_kind_and_home_shard_share_a_byte_and_do_not_meet(kind: Kind) -> None:
    value = b"\0" * 5 + bytes([kind << 6 | 63])
    assert claim_layout.claim_kind(value) is kind
    assert claim_layout.home_shard(value) == 63


def test_a_registration_names_its_home() -> None:
    assert [claim_layout.home_shard(b"\0" * 5 + kind) for kind in REGISTER] == list(range(64))
    assert {claim_layout.claim_kind(b"\0" * 5 + kind) for kind in REGISTER} == {Kind.REGISTERED}


@pytest.mark.parametrize(
    "age_units",
    [pytest.param(0, id="just now"), pytest.param(24_300, id="36 days"), pytest.param(60_000, id="88 days")],
)
def test_a_claims_time_is_right_for_longer_than_it_lives(age_units: int) -> None:
    now_units = 14_000_000
    then = now_units - age_units
    value = (then % 65536).to_bytes(2) + b"\0" * 4
    assert claim_layout.claim_time_micros(value, now_units * UNIT + 77) == then * UNIT


def test_a_claim_from_before_a_clock_was_set_back_is_of_now() -> None:
    value = (1005).to_bytes(2) + b"\0" * 4
    assert claim_layout.claim_time_micros(value, 1000 * UNIT) == 1000 * UNIT


def test_an_orders_time_is_not_modular() -> None:
    assert claim_layout.order_time_micros((14_000_000).to_bytes(3) + b"\0" * 7) == 14_000_000 * UNIT


def test_an_event_is_claimed_in_its_orders_shard_under_another_digest() -> None:
    digest = event_digest("shop", "e-1")
    assert claim_layout.home_digest(digest) != digest
    assert claim_layout.home_digest(digest) == claim_layout.home_digest(digest)


def test_all_keys_of_a_shard_carry_its_hash_tag() -> None:
    placement = Placement(Epoch("e", 4, 8, 1))
    digest = order_digest("shop", "purchase", "", "o-1")
    shard = placement.shard(digest)
    assert placement.claims_key(digest, shard).startswith(f"trb:{{l{shard}}}:claims:")
    assert placement.orders_key(digest, shard).startswith(f"trb:{{l{shard}}}:orders:")
    assert placement.claims_key(b"\xff" * 16, 3) == "trb:{l3}:claims:ff"
