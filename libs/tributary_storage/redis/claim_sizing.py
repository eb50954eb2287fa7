"""How many buckets claims need: short buckets are fast, few buckets are small, and none may outgrow its encoding.

The one rule: a bucket holds 24 to 48 claims at the configured volume, so that its mean plus six standard deviations
stays below the 128 entries at which the least generous Redis turns a small hash into a table of 72 bytes per claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

from tributary_domain.shards import MAX_BUCKET_BITS

LEAST_MEAN: Final = 24
MOST_MEAN: Final = 48
SMALL_ENCODING_LIMIT: Final = 128
"""`hash-max-listpack-entries` (`hash-max-ziplist-entries` before Redis 7) of the least generous default."""

_CLAIM_BYTES: Final = 15 + 2
"""7 bytes of field and 6 of value with 2 of header each, and what growing step by step leaves unused."""
_BUCKET_BYTES: Final = 130
"""Key, dictionary entry, object and header of one bucket."""
_TABLE_CLAIM_BYTES: Final = 75


@dataclass(frozen=True, slots=True)
class SizePoint:
    """What claims cost at one volume."""

    claims: int
    """Live claims in all shards."""
    mean: float
    """Claims per bucket."""
    largest: float
    """Mean plus six standard deviations: no bucket is expected to be larger."""
    bytes_per_claim: float
    """Of Redis memory, about."""
    is_small: bool
    """Whether every bucket keeps its small encoding."""


def bucket_bits(claims: int, shards: int) -> int:
    """Returns how many buckets a shard needs, as a power of two.

    Args:
        claims: Live claims at the configured volume: events of 36 days, and twice the conversions with an order id.
        shards: Of the log.

    >>> bucket_bits(3_000_000, 4)
    14
    """
    bits = 0
    while bits < MAX_BUCKET_BITS and claims / shards / 2 ** (bits + 1) >= LEAST_MEAN:
        bits += 1
    return bits


def size_at(claims: int, shards: int, bits: int) -> SizePoint:
    """Returns what `claims` live claims cost in buckets of a given size."""
    mean = claims / shards / 2**bits
    largest = mean + 6 * sqrt(mean)
    is_small = largest <= SMALL_ENCODING_LIMIT
    filled = 1 - 2.718281828 ** -min(mean, 50.0)  # the share of buckets that exist at all
    each = (_CLAIM_BYTES if is_small else _TABLE_CLAIM_BYTES) + (_BUCKET_BYTES * filled / mean if mean else 0.0)
    return SizePoint(claims, mean, largest, each, is_small)


def curve(shards: int, bits: int) -> list[SizePoint]:
    """Returns what claims cost from a hundredth of the volume these buckets are for to four times of it."""
    volume = LEAST_MEAN * shards * 2**bits
    return [size_at(int(volume * share), shards, bits) for share in (0.01, 0.1, 0.5, 1, 1.5, 2, 4)]


def curve_text(shards: int, bits: int) -> str:
    """Returns the curve as a table for people."""
    lines = [f"{'claims':>14} {'per bucket':>10} {'largest':>8} {'bytes each':>10}"]
    for point in curve(shards, bits):
        warning = "" if point.is_small else "  too many: raise the volume"
        lines.append(
            f"{point.claims:>14,} {point.mean:>10.1f} {point.largest:>8.0f} {point.bytes_per_claim:>10.1f}{warning}"
        )
    return "\n".join(lines)
