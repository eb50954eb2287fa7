"""What changed an order that somebody told without its cycle, and who is erased: it goes on changing what counts.

The one rule: an adjustment names nobody. It becomes one of the conversion that it changes already, under the number
that it has: who reports it again reports it once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.affected import Affected
from tributary_attribution.credit_settings import conversion_life_seconds
from tributary_attribution.one_order import adjustments_of
from tributary_domain.stand_ins import is_stand_in
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.stand_ins import Handed, StandInRecords
from tributary_storage.codec.conversion_parts import pack_part
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.journey_layout import event_field


class HandedAdjustments:
    """Hands them over.

    Args:
        conversions: Keeps parts.
        records: Keeps the events.
    """

    def __init__(self, conversions: Conversions, records: StandInRecords) -> None:
        self._conversions = conversions
        self._records = records

    async def over(self, workspace: Workspace, erased: Iterable[Affected]) -> None:
        """Makes what changed conversions change what counts in place of each, by itself. May run twice.

        Args:
            workspace: Whose.
            erased: Conversions with their families. What counts in place of one and is erased itself has taken it.

        Raises:
            StorageUnavailableError: A store did not answer.
        """
        gone = {one.conversion_id: one for one in erased}
        parts: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        handed: list[Handed] = []
        for one in gone.values():
            into = one.kin.order.merged_into
            if into is None or into.conversion_id in gone or is_stand_in(into.conversion_id):
                continue
            for part in adjustments_of(one.parts):
                admitted = AdmittedEvent()
                admitted.CopyFrom(part.admitted)
                admitted.conversion_id = into.conversion_id
                adjustment = admitted.event.adjustment
                for name in ("conversion_name", "store", "cycle"):
                    adjustment.ClearField(name)
                adjustment.conversion_id = into.conversion_id
                key, field = conversion_key(workspace.id, into.conversion_id), event_field(part.event_hash)
                parts[key][field] = pack_part(admitted, part.accept_time_micros)
                content = admitted.SerializeToString(deterministic=True)
                handed.append(Handed(part.event_time_micros, part.event.event_id, into.conversion_id, content))
        if handed:
            await self._conversions.observe(parts, conversion_life_seconds([workspace]))
            await self._records.hand_over(workspace.id, handed)
