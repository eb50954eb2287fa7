"""Fills a Redis with claims, as if an installation had run for a month."""

from __future__ import annotations

from tests.load.claims import BATCH, batch
from tributary_storage.redis import keys
from tributary_storage.redis.claim_layout import Placement
from tributary_storage.redis.claims import Claims
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import Epoch


async def fill(url: str, epoch: Epoch, claims: int) -> None:
    """Claims so many events that nobody sends; its file is switched off meanwhile, and its log emptied."""
    placement, step = Placement(epoch), BATCH * epoch.shards * 5
    async with connect(url, name="growth", timeout_seconds=600) as client:
        await client.config_set("appendonly", "no")
        committer = Claims(client)
        for at in range(0, claims, step):
            await committer.commit(batch(placement, range(at, min(at + step, claims))))
        for shard in range(epoch.shards):
            await client.xtrim(keys.event_log(shard, "live"), maxlen=0)
        await client.config_set("appendonly", "yes")
        while (await client.info("persistence"))["aof_rewrite_in_progress"]:
            await client.wait(0, 100)
