"""Events without what was erased: as the log brings them, and as they are recorded.

The one rule: after a loss of the state store the log tells all that it holds once more, as it was told; what an erasure
took out of it meanwhile nothing tells but the record. An order may have been that of somebody erased, whoever else saw
it, and be told by somebody living since: with what is of before it would be taken for theirs. So of what was accepted
before the loss, what the record has no more is passed over, and what it has otherwise is read as it is there. Without a
loss nobody is asked: what was stripped was read before that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import structlog

from tributary_attribution.arrivals import Arrival, ArrivalReader
from tributary_attribution.tombstones import Tombstones
from tributary_storage.clickhouse.admission_rows import RecordedAdmission
from tributary_storage.clickhouse.lost_state import MARGIN_SECONDS
from tributary_storage.redis.log_entry import LogEntry

log = structlog.get_logger(__name__)

_MARGIN_MICROS: Final = MARGIN_SECONDS * 1_000_000


class Stripped(Protocol):
    """What erasures have left of recorded events."""

    async def among(
        self, workspace: str, events: Collection[tuple[int, str]]
    ) -> Mapping[tuple[int, str], RecordedAdmission | None]:
        """Returns that of each of some events that was stripped with an order, by time and id; None: nothing.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


class LivingEvents:
    """Tells them.

    Args:
        tombstones: Know who was erased.
        stripped: What is left of events.
        loss_micros: Tells when the last confirmed loss of the state store was; 0: there was none.
    """

    def __init__(self, tombstones: Tombstones, stripped: Stripped, loss_micros: Callable[[], int]) -> None:
        self._tombstones = tombstones
        self._stripped = stripped
        self._loss_micros = loss_micros

    async def of(self, arrivals: Sequence[Arrival], reader: ArrivalReader) -> Sequence[Arrival]:
        """Returns the events that are not those of somebody who was erased; of the others no click id is kept.

        Args:
            arrivals: As they are recorded.
            reader: Has read them.

        Raises:
            StorageUnavailableError: A store did not answer; nobody can tell.
        """
        return _kept(arrivals, await self._tombstones.living(arrivals), reader)

    async def of_log(self, arrivals: Sequence[Arrival], reader: ArrivalReader) -> Sequence[Arrival]:
        """Returns the same of events as the log has them; raises `PoisonEvent`, too, where a row is no event."""
        living = await self._tombstones.living(arrivals)
        stripped = await self._stripped_among(living)
        if stripped:
            read = [_as_recorded(one, stripped, reader) for one in living]
            # What is left of one may name somebody else whose erasure is under way.
            living = await self._tombstones.living([one for one in read if one is not None])
            log.info("stripped_events_read_as_recorded", events=len(stripped), passed_over=read.count(None))
        return _kept(arrivals, living, reader)

    async def heed_refused(self, entries: Sequence[LogEntry]) -> None:
        """Has looked once more for whom what was refused names (`Tombstones.heed_refused`); raises likewise."""
        await self._tombstones.heed_refused(entries)

    async def _stripped_among(
        self, arrivals: Sequence[Arrival]
    ) -> dict[tuple[str, int, str], RecordedAdmission | None]:
        """Returns what is left of those that were read before a loss, and stripped since, with an order."""
        loss_micros = self._loss_micros()
        if not loss_micros or not self._tombstones.has_any:
            return {}
        asked: dict[str, set[tuple[int, str]]] = defaultdict(set)
        for one in arrivals:
            if one.named_conversion_id and one.accept_time_micros < loss_micros + _MARGIN_MICROS:
                asked[one.workspace].add((one.event_time_micros, one.event_id))
        return {
            (workspace, *place): left
            for workspace, events in asked.items()
            for place, left in (await self._stripped.among(workspace, events)).items()
        }


def _as_recorded(
    arrival: Arrival, stripped: Mapping[tuple[str, int, str], RecordedAdmission | None], reader: ArrivalReader
) -> Arrival | None:
    place = arrival.workspace, arrival.event_time_micros, arrival.event_id
    if place not in stripped:
        return arrival
    left = stripped[place]
    if left is None:
        return None
    return reader.read(arrival.workspace, *left, is_redelivered=arrival.is_redelivered)


def _kept(arrivals: Sequence[Arrival], living: Sequence[Arrival], reader: ArrivalReader) -> Sequence[Arrival]:
    if len(living) < len(arrivals):
        stays = {id(arrival) for arrival in living}
        reader.forget_clicks(living, [one for one in arrivals if id(one) not in stays])
    return living
