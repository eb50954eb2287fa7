"""What changed orders of which somebody is erased: it goes on changing the others of the order, as much as before.

The one rule: an adjustment names nobody. Those of an order that was told without its cycle are kept with what stands in
for that, under the numbers that they have: who reports one again reports it once. What of them was a cycle's is kept
with what stands in for it, so that the others have what was theirs. Once nobody of an order is left, all of it goes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.affected import Affected
from tributary_attribution.anonymous import anonymous_change
from tributary_attribution.one_order import adjustments_of
from tributary_domain.conversion_parts import Standing
from tributary_domain.erasures import Erasure
from tributary_domain.event_order import event_hash
from tributary_domain.shared_adjustments import had_of
from tributary_storage.clickhouse.order_changes import OrderChange, OrderChangeRecords
from tributary_storage.codec.conversion_parts import ConversionPart, pack_part
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.journey_layout import event_field


class OrderChanges:
    """Keeps them. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        conversions: Keeps parts.
        records: ClickHouse's part of it.
    """

    def __init__(self, conversions: Conversions, records: OrderChangeRecords) -> None:
        self._conversions = conversions
        self._records = records

    async def store(
        self, erasure: Erasure, mine: Iterable[Affected], ids: Mapping[str, str], now_micros: int
    ) -> Erasure:
        """Stores what changed the orders of an erasure's conversions; returns the same with whose orders are over.

        Args:
            erasure: Whose.
            mine: Its conversions, with their families.
            ids: Random id by conversion id.
            now_micros: When.
        """
        over = set(erasure.orders_over)
        changes: list[OrderChange] = []
        for one in mine:
            order = one.kin.order
            if set(order.living).issubset(erasure.conversion_ids):
                over.update((*order.frozen, *(ids[name] for name in order.living)))
            elif not erasure.removes:
                changes += _changes(one, ids[one.conversion_id])
        await self._records.write(erasure.workspace, changes, now_micros)
        return replace(erasure, orders_over=tuple(sorted(over)))

    async def take_place(self, workspace: str, stand_ins: Iterable[str], life_seconds: int) -> None:
        """Gives stand-ins what is stored with them."""
        parts: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        for change in await self._records.of(workspace, sorted(stand_ins)):
            key, field = conversion_key(workspace, change.conversion_id), event_field(event_hash(change.event_id))
            parts[key][field] = pack_part(AdmittedEvent.FromString(change.admitted), change.accept_micros)
        if parts:
            await self._conversions.replace({}, parts, life_seconds)

    async def forget(self, erasure: Erasure) -> None:
        """Destroys what is kept of orders that are over."""
        fields: dict[str, list[bytes]] = defaultdict(list)
        for change in await self._records.of(erasure.workspace, erasure.orders_over):
            key = conversion_key(erasure.workspace, change.conversion_id)
            fields[key].append(event_field(event_hash(change.event_id)))
        if fields:
            await self._conversions.replace(fields, {})
            await self._records.delete(erasure.workspace, erasure.orders_over)


def _changes(one: Affected, stand_in_id: str) -> Iterator[OrderChange]:
    """Yields what of its order's changes is kept with what stands in for a conversion."""
    order = one.kin.order
    if order.plain_families:
        for part in adjustments_of(one.parts):
            if part.standing is Standing.GOOD:
                yield _change(part, anonymous_change(part.admitted, stand_in_id), is_share=False)
        return
    named, changes, share = (
        [part.adjustment() for part in parts] for parts in (adjustments_of(one.parts), order.changes, order.adjustments)
    )
    own, had = {change.identity for change in named}, had_of(named, changes, share)
    seen: set[tuple[str, str]] = set()
    for part in sorted(order.changes, key=lambda part: (part.event_time_micros, part.event_hash)):
        identity = part.adjustment().identity
        if identity not in seen and (identity in had or identity in own):
            seen.add(identity)
            kept = anonymous_change(part.of_amount(had.get(identity)).admitted, stand_in_id)
            kept.names_cycle = identity not in had
            yield _change(part, kept, is_share=True)


def _change(part: ConversionPart, kept: AdmittedEvent, *, is_share: bool) -> OrderChange:
    said = ConversionPart(part.accept_time_micros, kept).adjustment()
    kind, identity = said.identity
    sent = (said.parts.tax_micros, said.parts.shipping_micros, said.parts.cost_of_goods_micros)
    tax, shipping, cost = (-1 if micros is None else micros for micros in sent)
    return OrderChange(
        conversion_id=kept.conversion_id,
        event_id=said.event_id,
        is_share=is_share,
        is_named=kept.names_cycle,
        time_micros=said.event_time_micros,
        event_hash=said.event_hash,
        kind=kind.upper(),
        identity=identity,
        has_amount=said.amount_micros is not None,
        amount_micros=said.amount_micros or 0,
        currency=said.currency_code,
        tax_micros=tax,
        shipping_micros=shipping,
        cost_of_goods_micros=cost,
        accept_micros=part.accept_time_micros,
        admitted=kept.SerializeToString(deterministic=True),
    )
