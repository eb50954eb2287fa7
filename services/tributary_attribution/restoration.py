"""What Redis has lost of conversions, read back from ClickHouse before they are computed.

A conversion that was published once must never be published as a new one: totals would count it twice. Where nothing is
published in Redis although the conversion may be old, ClickHouse is asked: for events that came by backfill, for
adjustments whose conversion is not there, and for what happened before this state store was created (or so little after
that clocks may disagree). An ordinary new conversion is none of these, and costs no question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Protocol

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.affected import Affected
from tributary_attribution.credit_settings import conversion_life_seconds
from tributary_domain.event_order import event_hash
from tributary_storage.codec.conversion_parts import pack_part
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

    async def events_of(self, workspace: str, conversion_ids: Collection[str]) -> list[tuple[int, bytes]]:
        """Returns (accept time in microseconds, serialised `AdmittedEvent`) of the events that say what they are."""
        ...


class Restoration:
    """Restores conversions that Redis has lost.

    Args:
        history: What ClickHouse knows.
        conversions: Keeps parts and published states.
        create_time_micros: When the state store was created (its epoch): older events may have been in another.
    """

    def __init__(self, history: History, conversions: Conversions, create_time_micros: int) -> None:
        self._history = history
        self._conversions = conversions
        self._oldest_known = create_time_micros + _MARGIN_MICROS

    async def restore(self, affected: Iterable[Affected]) -> None:
        """Gives those that may be lost back what ClickHouse knows of them; in Redis too, so that it is asked once.

        Not restored is an observation that ClickHouse does not have (any more): a refund of it waits, unpublished.

        Args:
            affected: As they were read.

        Raises:
            StorageUnavailableError: A store does not answer; nothing may be published of these conversions.
        """
        lost: dict[str, list[Affected]] = defaultdict(list)
        for one in affected:
            if self._may_be_lost(one):
                lost[one.workspace.id].append(one)
        for some in lost.values():
            await self._restore(some)

    def _may_be_lost(self, one: Affected) -> bool:
        times = [part.event_time_micros for part in one.parts if part.is_observation]
        if not times:
            return True  # an adjustment that waits for its conversion, or parts that a journey says there are
        is_published = one.record is not None and one.record.revision > 0
        return not is_published and (one.is_backfill or min(times) < self._oldest_known)

    async def _restore(self, lost: Sequence[Affected]) -> None:
        """Restores conversions of one workspace."""
        workspace = lost[0].workspace
        newest = await self._history.newest(workspace.id, [one.conversion_id for one in lost])
        if not newest:
            return
        parts: dict[str, dict[bytes, bytes]] = {conversion_id: {} for conversion_id in newest}
        observed: set[str] = set()
        for accept_micros, content in await self._history.events_of(workspace.id, list(newest)):
            admitted = AdmittedEvent.FromString(content)
            field = event_field(event_hash(admitted.event.event_id))
            parts[admitted.conversion_id][field] = pack_part(admitted, accept_micros)
            if admitted.event.HasField("conversion"):
                observed.add(admitted.conversion_id)
        by_key = {one.key: one for one in lost if one.conversion_id in newest}
        restored = {
            key: LostConversion(
                newest[one.conversion_id].revision, _state(newest[one.conversion_id]), parts[one.conversion_id]
            )
            for key, one in by_key.items()
        }
        await self._conversions.restore(restored, conversion_life_seconds([workspace]))
        for key, record in (await self._conversions.observe({key: {} for key in restored}, 0)).items():
            by_key[key].take(record)
        log.warning(
            "conversions_restored",
            workspace=workspace.id,
            conversions=len(restored),
            without_observation=len(newest.keys() - observed),
        )


def _state(revised: ConversionRevised) -> bytes:
    """Returns what Redis keeps of a revision."""
    kept = ConversionRevised()
    kept.CopyFrom(revised)
    kept.ClearField("deltas")
    return kept.SerializeToString(deterministic=True)
