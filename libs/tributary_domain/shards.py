"""Where things live: digest -> shard and bucket, person and conversion -> shard.

The one rule: shard, bucket and claim are taken from disjoint bytes of one digest. If they overlapped, all claims of a
bucket would share bits, and 7 bytes of claim would tell fewer events apart.

| bytes of the digest | used for                              |
|---------------------|---------------------------------------|
| 0-6                 | the claim's field in its bucket       |
| 7-10                | the shard                             |
| 11-15               | the bucket                            |

The shard count is an install constant (kept in the epoch key) and never changes under live claims.
"""

from typing import Final

import xxhash

CLAIM_BYTES: Final = 7
MAX_BUCKET_BITS: Final = 40


def shard_of_digest(digest: bytes, shards: int) -> int:
    """Returns the log shard of an event, order or adjustment.

    Args:
        digest: 16 bytes, from `ids.event_digest`, `ids.order_digest` or `ids.adjustment_digest`.
        shards: How many there are.

    Returns:
        0 to `shards` - 1.
    """
    return int.from_bytes(digest[7:11]) % shards


def bucket_of_digest(digest: bytes, bits: int) -> int:
    """Returns the bucket of a claim within its shard.

    Args:
        digest: As for `shard_of_digest`.
        bits: How many buckets a shard has, as a power of two; at most 40.

    Returns:
        0 to 2^bits - 1.
    """
    return int.from_bytes(digest[11:16]) >> (MAX_BUCKET_BITS - bits)


def claim_field(digest: bytes) -> bytes:
    """Returns the 7 bytes that tell the claims of one bucket apart."""
    return digest[:CLAIM_BYTES]


def shard_of_key(key: str, shards: int) -> int:
    """Returns the shard of a person, an identifier or a conversion.

    Args:
        key: A person key, an identity token with its workspace, or a conversion id.
        shards: How many there are.

    Returns:
        0 to `shards` - 1.

    >>> shard_of_key("c1:00000000000000000000000000000000", 4)
    2
    """
    return xxhash.xxh64_intdigest(key.encode()) % shards
