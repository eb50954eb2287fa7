"""Shard, bucket and claim come from disjoint bytes of one digest."""

from collections import Counter

import pytest

from tributary_domain.ids import event_digest
from tributary_domain.shards import bucket_of_digest, claim_field, shard_of_digest, shard_of_key


def _flip(digest: bytes, position: int) -> bytes:
    return digest[:position] + bytes([digest[position] ^ 0xFF]) + digest[position + 1 :]


@pytest.mark.parametrize("position", range(16))
def test_each_byte_of_a_digest_moves_exactly_one_of_claim_shard_and_bucket(position: int) -> None:
    digest = event_digest("shop", "o-1")
    other = _flip(digest, position)
    moved = [
        claim_field(digest) != claim_field(other),
        shard_of_digest(digest, 1 << 32) != shard_of_digest(other, 1 << 32),
        bucket_of_digest(digest, 40) != bucket_of_digest(other, 40),
    ]
    assert moved.count(True) == 1


def test_events_spread_evenly_over_shards() -> None:
    counts = Counter(shard_of_digest(event_digest("shop", f"o-{n}"), 4) for n in range(8_000))
    assert all(abs(counts[shard] - 2_000) < 200 for shard in range(4))


def test_a_bucket_is_below_two_to_its_bits() -> None:
    assert {bucket_of_digest(event_digest("shop", f"o-{n}"), 3) for n in range(500)} == set(range(8))


def test_a_shard_never_moves() -> None:
    assert shard_of_digest(bytes.fromhex("00000000000000deadbeef0000000000"), 16) == 0xDEADBEEF % 16
    assert shard_of_key("c1:00000000000000000000000000000000", 4) == 2
