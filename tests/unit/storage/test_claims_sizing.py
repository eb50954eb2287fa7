"""Buckets are neither so long that they fall out of the small encoding nor so short that memory is wasted."""

from __future__ import annotations

import pytest

from tributary_storage.redis import claim_sizing
from tributary_storage.redis.claim_sizing import LEAST_MEAN, MOST_MEAN, bucket_bits, size_at


@pytest.mark.parametrize("shards", [1, 4, 16, 64])
@pytest.mark.parametrize("claims", [100_000, 3_000_000, 77_777_777, 2_592_000_000])
def test_a_bucket_holds_24_to_48_claims_at_the_configured_volume(claims: int, shards: int) -> None:
    point = size_at(claims, shards, bucket_bits(claims, shards))
    assert LEAST_MEAN <= point.mean < MOST_MEAN
    assert point.is_small
    assert point.bytes_per_claim <= 24


def test_a_handful_of_claims_needs_one_bucket() -> None:
    assert bucket_bits(10, 4) == 0


def test_the_curve_warns_where_buckets_would_outgrow_their_encoding() -> None:
    assert [point.is_small for point in claim_sizing.curve(4, 14)] == [True, True, True, True, True, True, False]
    assert claim_sizing.curve_text(4, 14).endswith("too many: raise the volume")
