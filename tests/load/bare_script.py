"""The floor of Redis: the claim script with everything prepared, without orders and without what brings it there."""

from __future__ import annotations

import itertools
import time

from tests.load.claims import batch
from tributary_storage.redis.claim_layout import Placement
from tributary_storage.redis.claims import Claims, Decided
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import Epoch

EVENT_BYTES = 600


async def run_bare_script(url: str, epoch: Epoch, events: int, commit: int) -> None:
    """Claims new events, `commit` at a time, with as many bytes of payload as such events have."""
    placement, numbers = Placement(epoch), itertools.count(time.monotonic_ns())
    async with connect(url, name="floor", timeout_seconds=60) as client:
        claims = Claims(client)
        for _ in range(events // commit):
            answers = await claims.commit(batch(placement, list(itertools.islice(numbers, commit)), EVENT_BYTES))
            if not all(isinstance(answer, Decided) for answer in answers):
                raise RuntimeError(f"the script did not run: {answers}")
