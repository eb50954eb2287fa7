"""What an operator says of a Redis role whose data are gone for good; for `migrate` only.

The one rule: first the role says since when it is whole, then what fed it is read again from the log before it, as far
as that is kept. Who reads an event again knows what it had: applied once, published once, sent once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import redis.asyncio

from tributary_storage.redis.conversion_log import ConversionLogSource
from tributary_storage.redis.epoch import Role, confirm_loss
from tributary_storage.redis.event_log import EventLogSource
from tributary_storage.redis.keys import ATTRIBUTE_GROUP


async def confirm_losses(clients: Mapping[Role, redis.asyncio.Redis], lost: Collection[Role], shards: int) -> None:
    """Accepts that roles have lost data. May run twice.

    Args:
        clients: The Redis of each role.
        lost: Which.
        shards: Of the epoch.

    Raises:
        PreconditionError: A role has no epoch.
        StorageUnavailableError: A Redis did not answer; run it again.
    """
    for role in lost:
        await confirm_loss(clients[role], role)
    if "state" in lost:
        await EventLogSource(clients["log"], ATTRIBUTE_GROUP, "migrate", shards).read_again()
    if "jobs" in lost:
        await ConversionLogSource(clients["state"], "migrate", shards).read_again()
