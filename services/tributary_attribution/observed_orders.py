"""What others observed of the orders of somebody who is erased: it stays in their journeys, and names no order.

The one rule: who began with such an order began with their own earliest, also where the journey has forgotten that, or
has expired. So it is read from the recorded events, as after a loss of the state store. What a journey names goes
before what leads there is stripped, and once more after that: one that was rebuilt meanwhile has the order again.
"""

from __future__ import annotations

from collections.abc import Mapping

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.shared_orders import SharedOrders
from tributary_domain.erasures import Erasure
from tributary_domain.event_order import event_hash
from tributary_domain.ties import most_telling
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.redis.erased_people import ErasedPeople, Observed
from tributary_storage.redis.firsts import FirstConversion
from tributary_storage.redis.journey_layout import number_of_erased


class ObservedOrders:
    """Strips it. May run twice, and raises `StorageUnavailableError`.

    Args:
        erased: What the state store has of them.
        records: ClickHouse's part.
        shared: Tell what others observed.
    """

    def __init__(self, erased: ErasedPeople, records: ErasureRecords, shared: SharedOrders) -> None:
        self._erased = erased
        self._records = records
        self._shared = shared

    async def strip(self, erasure: Erasure) -> int:
        """Strips a person's recorded events, and what others observed of their orders; returns of how many events."""
        entries = await self._shared.entries_of_others(erasure)
        await self._forget(erasure, entries)
        events = await self._records.strip_events(erasure, entries)
        await self._forget(erasure, entries)
        return events

    async def _forget(self, erasure: Erasure, entries: Mapping[tuple[int, str], bytes]) -> None:
        """Takes the orders out of the journeys of others."""
        if not entries:
            return
        left = {event_id: AdmittedEvent.FromString(content) for (_, event_id), content in entries.items()}
        homes = {event_id: most_telling(one.identity_tokens) for event_id, one in left.items()}
        rows = await self._records.firsts_of_others(erasure, sorted(set(homes.values())))
        firsts = {
            (token, name): FirstConversion(micros, event_hash(event_id), conversion_id)
            for token, name, micros, event_id, conversion_id in rows
        }
        observed = [
            Observed(
                homes[event_id],
                event_hash(event_id),
                one.event.conversion.name,
                firsts.get((homes[event_id], one.event.conversion.name)),
                number_of_erased(one.conversion_id),
            )
            for event_id, one in left.items()
        ]
        await self._erased.forget_observed(erasure.workspace, observed)
