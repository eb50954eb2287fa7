"""What Redis has lost of conversions, read back from ClickHouse before they are computed.

A conversion that was published once must never be published as a new one: totals would count it twice. So ClickHouse is
asked wherever Redis has nothing published of a conversion that is not certainly new. One is, if this batch brings an
observation whose order, or event id, was claimed just now (letter A), for the first time it is read; and if it happened
after the state store was created and after its last confirmed loss (or so little later that clocks may disagree), or
the workspace had published nothing before this store was created, and nothing was lost since: then there is no other
life that it could be of. An ordinary new conversion is that, and costs no question. What another observation of an
order, a refund or a late touchpoint leads to is there, or was there.

After a loss that was confirmed, what is there may be an older copy: it is asked for once, if it is older than the loss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.affected import Affected
from tributary_attribution.credit_settings import conversion_life_seconds
from tributary_domain import ids
from tributary_domain.event_order import event_hash
from tributary_storage.codec.conversion_parts import pack_part
from tributary_storage.codec.event_digests import digest_of_event
from tributary_storage.redis.conversions import Conversions, LostConversion
from tributary_storage.redis.journey_layout import event_field

log = structlog.get_logger(__name__)

_MARGIN_MICROS: Final = 5 * 60 * 1_000_000
"""How far ahead of the clock an event may be."""


class History(Protocol):
    """What ClickHouse knows of conversions. Every method raises `StorageUnavailableError` if it does not answer."""

    async def newest(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, ConversionRevised]:
        """Returns the newest revision by conversion id; those that were never published are left out."""
        ...

    async def workspaces_published_before(self, moment_micros: int) -> set[str]:
        """Returns the workspaces of which anything was published before a moment."""
        ...

    async def events_of(self, workspace: str, conversion_ids: Collection[str]) -> list[tuple[int, bytes, bool]]:
        """Returns the events that say what they are, and the observations that wait in quarantine.

        Returns:
            (accept time in microseconds, serialised `AdmittedEvent`, whether it is quarantined) of each.
        """
        ...


class Restoration:
    """Restores conversions that Redis has lost.

    Args:
        history: What ClickHouse knows.
        conversions: Keeps parts and published states.
        create_time_micros: When the state store was created (its epoch): older events may have been in another.
        loss_micros: Tells when the last confirmed loss was; 0: there was none.
    """

    def __init__(
        self,
        history: History,
        conversions: Conversions,
        create_time_micros: int,
        loss_micros: Callable[[], int] = lambda: 0,
    ) -> None:
        self._history = history
        self._conversions = conversions
        self._create_time_micros = create_time_micros
        self._loss_micros = loss_micros
        self._of_another_life: set[str] | None = None

    async def restore(self, affected: Iterable[Affected]) -> None:
        """Gives those that may be lost back what ClickHouse knows of them; in Redis too, so that it is asked once.

        Not restored is an observation that ClickHouse does not have (any more): a refund of it waits, unpublished.

        Args:
            affected: As they were read.

        Raises:
            StorageUnavailableError: A store does not answer; nothing may be published of these conversions.
        """
        loss_micros = self._loss_micros()
        lost: dict[str, list[Affected]] = defaultdict(list)
        old: dict[str, list[Affected]] = defaultdict(list)
        for one in affected:
            if _may_be_lost(one, loss_micros):
                lost[one.workspace.id].append(one)
            elif not (one.stored and one.stored.revision) and self._is_old(one, loss_micros):
                old[one.workspace.id].append(one)
        for workspace, some in old.items():
            if loss_micros or workspace in await self._workspaces_of_another_life():
                lost[workspace] += some
        for some in lost.values():
            for one in some:
                one.was_lost = True
            await self._restore(some, loss_micros)

    def _is_old(self, one: Affected, loss_micros: int) -> bool:
        """Tells whether a new conversion may have been published in another life of the store."""
        known_since = max(self._create_time_micros, loss_micros)
        times = (part.event_time_micros for part in one.parts if part.is_observation)
        return one.claim_micros < known_since or min(times) < known_since + _MARGIN_MICROS

    async def _workspaces_of_another_life(self) -> set[str]:
        """Returns those that had published anything before the store was created; asked once, for it never changes."""
        if self._of_another_life is None:
            self._of_another_life = await self._history.workspaces_published_before(self._create_time_micros)
        return self._of_another_life

    async def _restore(self, lost: Sequence[Affected], loss_micros: int) -> None:
        """Restores conversions of one workspace."""
        workspace = lost[0].workspace
        newest = await self._history.newest(workspace.id, [one.conversion_id for one in lost])
        life_seconds = conversion_life_seconds([workspace])
        asked = [one.key for one in lost if loss_micros and one.conversion_id not in newest and one.stored is not None]
        if asked:
            await self._conversions.restore(dict.fromkeys(asked, LostConversion(0, b"", {})), life_seconds, loss_micros)
        waiting = {one.conversion_id for one in lost if _waits(one)}.difference(newest)
        if not newest and not waiting:
            return
        parts: dict[str, dict[bytes, bytes]] = {conversion_id: {} for conversion_id in waiting.union(newest)}
        observed: set[str] = set()
        orders = _own_ids(workspace.id, newest) | {conversion_id: conversion_id for conversion_id in parts}
        events = await self._events_of(workspace.id, list(orders))
        further = _further_ids(workspace.id, [admitted for _, admitted, _ in events], orders)
        if further:
            orders |= further
            events += await self._events_of(workspace.id, list(further))
        for accept_micros, admitted, is_quarantined in events:
            conversion_id = orders[admitted.conversion_id]
            if is_quarantined or (conversion_id in waiting and not admitted.event.HasField("adjustment")):
                continue
            field = event_field(event_hash(admitted.event.event_id))
            parts[conversion_id][field] = pack_part(admitted, accept_micros)
            if admitted.event.HasField("conversion"):
                observed.add(conversion_id)
        by_key = {one.key: one for one in lost if one.conversion_id in newest or parts.get(one.conversion_id)}
        restored = {
            key: LostConversion(
                newest[one.conversion_id].revision if one.conversion_id in newest else 0,
                _state(newest[one.conversion_id]) if one.conversion_id in newest else b"",
                parts[one.conversion_id],
            )
            for key, one in by_key.items()
        }
        await self._conversions.restore(restored, life_seconds, loss_micros)
        for key, stored in (await self._conversions.observe({key: {} for key in restored}, 0)).items():
            by_key[key].take(stored)
        if newest:
            log.warning(
                "conversions_restored",
                workspace=workspace.id,
                conversions=len(newest),
                without_observation=len(newest.keys() - observed),
            )

    async def _events_of(self, workspace: str, conversion_ids: Sequence[str]) -> list[tuple[int, AdmittedEvent, bool]]:
        """Returns the same as `History.events_of`, read."""
        found = await self._history.events_of(workspace, conversion_ids)
        return [(micros, AdmittedEvent.FromString(content), quarantined) for micros, content, quarantined in found]


def _may_be_lost(one: Affected, loss_micros: int) -> bool:
    """Tells whether a conversion may have been published whatever the store knows of it, however new its events are."""
    if not any(part.is_observation for part in one.parts):
        return True  # an adjustment that waits for its conversion, or parts that a journey says there are
    stored = one.stored
    if stored is not None and stored.revision > 0:
        return max(stored.revision, stored.asked_after_micros) < loss_micros
    return not one.claim_micros


def _waits(one: Affected) -> bool:
    """Tells whether a conversion may have been adjusted though nobody observed it: as an order is that has a cycle."""
    if any(part.is_observation for part in one.parts):
        return False
    return one.is_plain or any(part.event.adjustment.order_id for part in one.parts)


def _own_ids(workspace: str, newest: Mapping[str, ConversionRevised]) -> dict[str, str]:
    """Returns under which ids adjustments may name orders by the events that observed them -> the order."""
    return {
        ids.conversion_id(ids.event_digest(workspace, event_id)): conversion_id
        for conversion_id, revised in newest.items()
        for event_id in revised.state.observation_event_ids
    }


def _further_ids(workspace: str, events: Iterable[AdmittedEvent], orders: Mapping[str, str]) -> dict[str, str]:
    """Returns the same of observations that states do not show as they were sent, without what `orders` has.

    Those are what waits in quarantine, and events whose ids are personal.
    """
    found = {
        ids.conversion_id(digest_of_event(workspace, admitted)): orders[admitted.conversion_id]
        for admitted in events
        if admitted.event.HasField("conversion")
    }
    return {own_id: order for own_id, order in found.items() if own_id not in orders}


def _state(revised: ConversionRevised) -> bytes:
    """Returns what Redis keeps of a revision."""
    kept = ConversionRevised()
    kept.CopyFrom(revised)
    kept.ClearField("deltas")
    return kept.SerializeToString(deterministic=True)
