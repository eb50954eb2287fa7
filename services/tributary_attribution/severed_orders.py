"""Orders that somebody tells again whose conversion was severed: the person whose it was is erased, and it counts.

The one rule: an order counts once. What is left of the severed conversion is frozen and counts on (SEMANTICS section
13); whatever is told of the order after that, by whom and in which way ever, is kept, shown, and not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tributary_attribution.affected import Affected
from tributary_attribution.kinship import order_names
from tributary_attribution.seen import seen_of
from tributary_attribution.tombstones import Tombstones
from tributary_domain.erasures import Erasure
from tributary_domain.families import first_name
from tributary_domain.severed_orders import severed_digest, severed_key
from tributary_domain.stand_ins import is_stand_in
from tributary_runtime.workspaces import Workspace


class SeveredOrders:
    """Knows them.

    Args:
        tombstones: Hold the digests.
    """

    def __init__(self, tombstones: Tombstones) -> None:
        """Asks these."""
        self._tombstones = tombstones

    async def note(self, affected: Iterable[Affected]) -> None:
        """Notes of conversions whether they were severed, as far as that is known by now.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        await self._tombstones.refresh()
        for one in affected:
            self.mark(one)

    def mark(self, one: Affected) -> None:
        """Notes the same of one with its parts, as far as that was known when it was looked for last."""
        if self._tombstones.has_orders:
            key = _key(one.workspace)
            names = (one.conversion_id, *sorted(order_names(one)))
            one.is_severed = any(self._tombstones.has_order(severed_digest(key, name)) for name in names)


def severed_orders(erasure: Erasure, workspace: Workspace, conversions: Iterable[Affected]) -> tuple[str, ...]:
    """Returns by what an erasure's conversions are recognised when they are told again, with those it knew before.

    Of those that count by themselves, or were taken back: another that counts in place of one goes on counting.

    Args:
        erasure: Whose.
        workspace: Likewise.
        conversions: With their parts and families.
    """
    if erasure.removes:
        return erasure.severed_orders
    key = _key(workspace)
    names = {name for one in conversions if _stays(one, erasure) for name in _names(one)}
    return tuple(sorted({*erasure.severed_orders, *(severed_digest(key, name) for name in names)}))


def counts_on(one: Affected, erasure: Erasure) -> bool:
    """Tells whether somebody else told the same order with its cycle, and is not erased."""
    into = one.kin.order.merged_into
    return into is not None and not (into.conversion_id in erasure.conversion_ids or is_stand_in(into.conversion_id))


def _stays(one: Affected, erasure: Erasure) -> bool:
    """Tells whether a conversion is, once severed, the one that stands for its order."""
    seen = seen_of(one)
    is_published = one.stored is not None and one.stored.revision > 0
    return is_published and seen is not None and seen.is_observed and not counts_on(one, erasure)


def _names(one: Affected) -> Iterator[str]:
    """Yields its id and, of an order without a cycle, how one finds it who tells it as a first cycle."""
    yield one.conversion_id
    for part in one.parts:
        conversion = part.event.conversion
        if part.is_observation and conversion.order_id and not conversion.HasField("recurrence"):
            yield first_name(conversion.name, conversion.store, conversion.order_id)


def _key(workspace: Workspace) -> bytes:
    return severed_key(workspace.id, workspace.pepper.reveal().encode())
