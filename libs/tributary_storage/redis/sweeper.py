"""Removes claims past their life, slowly, off the path of acknowledgements; watches that buckets stay small.

The one rule: every bucket is visited long before the time in its claims comes round again (97 days for events), so an
old claim is never taken for a new one.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final

import redis.asyncio
import structlog

from tributary_runtime import metrics
from tributary_storage.redis import keys
from tributary_storage.redis.claim_layout import UNIT_SECONDS
from tributary_storage.redis.epoch import Epoch
from tributary_storage.redis.scripts import Script

log = structlog.get_logger(__name__)

BUCKETS_PER_CALL: Final = 20
PASS_SECONDS: Final = 86_400.0
"""How long one pass over all buckets takes."""

CLAIM_LIFE_SECONDS: Final = 37 * 86_400
"""Beyond the accept window of 28 days, and a week of retries."""

ORDER_LIFE_SECONDS: Final = 400 * 86_400
"""Beyond the accept window of 399 days."""

_SWEEP = Script("sweep")


class Sweeper:
    """A loop that visits all buckets once a day; several processes may do so at once.

    Args:
        client: Of the role *log*.
        epoch: Says how many buckets there are.
        rng: Chooses where to begin, so that restarts do not favour the first buckets.
    """

    name = "sweeper"

    def __init__(self, client: redis.asyncio.Redis, epoch: Epoch, rng: random.Random) -> None:
        self._client = client
        self._epoch = epoch
        self._buckets = 1 << epoch.claim_bucket_bits
        self._steps_per_shard = -(-self._buckets // BUCKETS_PER_CALL)
        self._step = rng.randrange(self._steps_per_shard * epoch.shards)
        self._largest = self._outgrown = self._visited = 0

    @property
    def steps(self) -> int:
        """How many steps one pass has."""
        return self._steps_per_shard * self._epoch.shards

    async def run(self, stop: asyncio.Event) -> None:
        """Sweeps until stopped."""
        pause = PASS_SECONDS / self.steps
        while not stop.is_set():
            try:
                async with asyncio.timeout(pause):
                    await stop.wait()
            except TimeoutError:
                await self.sweep_next()

    async def sweep_next(self) -> int:
        """Sweeps the next few buckets of one shard; returns how many claims and orders were removed."""
        shard, step = divmod(self._step, self._steps_per_shard)
        self._step = (self._step + 1) % self.steps
        first = step * BUCKETS_PER_CALL
        buckets = range(first, min(first + BUCKETS_PER_CALL, self._buckets))
        removed = largest = outgrown = 0
        try:
            for key_of, life, time_bytes in (
                (keys.claims, CLAIM_LIFE_SECONDS, 2),
                (keys.orders, ORDER_LIFE_SECONDS, 3),
            ):
                names = [key_of(shard, bucket) for bucket in buckets]
                answer = await _SWEEP(self._client, names, [life // UNIT_SECONDS, time_bytes])
                removed += int(answer[0])
                largest, outgrown = max(largest, int(answer[1])), outgrown + int(answer[2])
        except redis.RedisError as error:
            log.warning("sweep_failed", shard=shard, reason=str(error))
        metrics.CLAIMS_SWEPT.add(removed)
        self._watch(shard, largest, outgrown)
        return removed

    def _watch(self, shard: int, largest: int, outgrown: int) -> None:
        """Tells how large buckets are: what was found so far, and at the end of a pass what the whole pass found."""
        self._visited += 1
        self._largest, self._outgrown = max(self._largest, largest), self._outgrown + outgrown
        if outgrown:
            log.warning("claim_buckets_outgrown", shard=shard, buckets=outgrown, largest=largest)
        metrics.LARGEST_BUCKET.set(self._largest)
        metrics.OUTGROWN_BUCKETS.set(self._outgrown)
        if self._visited >= self.steps:
            self._largest = self._outgrown = self._visited = 0
