"""Refunds that name an order by the id of an event which an earlier version stored as it was sent.

A token stands for an id that holds an IP address, and did not always: what names the event by the token would not be
found beside it. The one rule: such a refund is recorded as one of the order that the event observed, and for all others
nothing is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

from tributary_domain.stand_ins import is_stand_in
from tributary_storage.clickhouse.event_rows import EventBatch


class Recorded(Protocol):
    """What ClickHouse has, as `RecordedEvents`."""

    async def orders_as_sent(self, workspace: str, named: Mapping[str, int]) -> dict[str, str]:
        """Returns the conversions that events observed which are stored as they were sent.

        Raises:
            StorageUnavailableError: It cannot be told.
        """
        ...


async def name_orders(batch: EventBatch, recorded: Recorded) -> None:
    """Lets the rows of refunds name the orders that they are of.

    Raises:
        StorageUnavailableError: It cannot be told.
    """
    named: dict[str, dict[str, int]] = defaultdict(dict)
    for workspace, own_id, sent_hash in batch.targets():
        named[workspace][own_id] = sent_hash
    for workspace, some in named.items():
        orders = await recorded.orders_as_sent(workspace, some)
        batch.name_orders(workspace, {own_id: order for own_id, order in orders.items() if not is_stand_in(order)})
