"""Whether buckets of claims are still small: a bucket that outgrows its encoding costs four times the memory for good.

The one rule: only looks. A few buckets of each shard speak for all, because digests spread evenly.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import redis.asyncio
from redis.exceptions import ResponseError

from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.claim_sizing import SMALL_ENCODING_LIMIT
from tributary_storage.redis.epoch import Epoch

_SAMPLED_PER_SHARD: Final = 50
_LIMITS: Final = ("hash-max-listpack-entries", "hash-max-ziplist-entries")


@dataclass(frozen=True, slots=True)
class BucketSample:
    """What a sample of buckets says of all."""

    looked_at: int
    mean: float
    """Entries per bucket, of claims or of orders, whichever are more."""
    largest: int
    """Entries of the largest that was seen."""
    outgrown: int
    """How many of them have lost the small encoding."""
    limit: int
    """Entries a hash of this Redis may have in the small encoding."""

    @property
    def expected_largest(self) -> float:
        """Mean plus six standard deviations: no bucket is expected to be larger."""
        return self.mean + 6 * sqrt(self.mean)

    def problems(self) -> list[str]:
        """Returns a sentence per problem that says what to do."""
        if self.outgrown:
            return [
                f"{self.outgrown} of {self.looked_at} sampled claim buckets have lost the small encoding (limit "
                f"{self.limit} entries, largest seen {self.largest}): their claims cost four times the memory. Raise "
                "hash-max-listpack-entries (hash-max-ziplist-entries before Redis 7) now; plan an installation with "
                "a higher `tributary migrate --claims`."
            ]
        if self.expected_largest > self.limit:
            return [
                f"Claim buckets hold {self.mean:.0f} entries on average, so some will soon outgrow the small encoding "
                f"({self.limit} entries): raise hash-max-listpack-entries (hash-max-ziplist-entries before Redis 7) "
                "first."
            ]
        return []


async def sample_buckets(client: redis.asyncio.Redis, epoch: Epoch, rng: random.Random) -> BucketSample:
    """Looks at some buckets of each shard.

    Args:
        client: Of the role *log*.
        epoch: Says how many there are.
        rng: Chooses.

    Raises:
        StorageUnavailableError: Redis did not answer.
    """
    buckets = 1 << epoch.claim_bucket_bits
    chosen = [
        (shard, rng.randrange(buckets))
        for shard in range(epoch.shards)
        for _ in range(min(buckets, _SAMPLED_PER_SHARD))
    ]
    names = [key_of(*place) for key_of in (keys.claims, keys.orders) for place in chosen]
    try:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.hlen(name)
            pipeline.object("ENCODING", name)
        answers: list[Any] = await pipeline.execute()
        limit = await _limit(client)
    except redis.RedisError as error:
        raise StorageUnavailableError("The event log did not answer.", metadata={"store": "log"}) from error
    sizes, encodings = [int(size) for size in answers[::2]], answers[1::2]
    claims, orders = sizes[: len(chosen)], sizes[len(chosen) :]
    return BucketSample(
        looked_at=len(names),
        mean=max(sum(claims), sum(orders)) / len(chosen),
        largest=max(sizes),
        outgrown=sum(encoding in (b"hashtable", "hashtable") for encoding in encodings),
        limit=limit,
    )


async def _limit(client: Any) -> int:
    """Returns the limit of this Redis; where it does not tell, that of the least generous default."""
    try:
        for name in _LIMITS:
            told = await client.config_get(name)
            if told:
                return int(next(iter(told.values())))
    except ResponseError:
        pass
    return SMALL_ENCODING_LIMIT
