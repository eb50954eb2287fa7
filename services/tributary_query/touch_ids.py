"""Puts the ids of events where revisions and journeys name them by hash: journeys keep no texts, ClickHouse does.

What ClickHouse does not have yet, or no more, keeps its reference.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.journey_pb2 import Journey
from tributary_storage.codec.event_references import hash_of_reference


class EventIds(Protocol):
    """What knows event ids by hash."""

    async def event_ids(self, workspace: str, touches: Collection[tuple[int, int]]) -> dict[int, str]:
        """Returns event ids by their hash; touches are (event time in microseconds, hash).

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


async def name_touches(revisions: Sequence[ConversionRevised], workspace: str, ids: EventIds) -> None:
    """Writes event ids into the touches and deltas of revisions, in place.

    Raises:
        StorageUnavailableError: ClickHouse did not answer.
    """
    wanted: set[tuple[int, int]] = set()
    for revised in revisions:
        for touch in revised.state.touches:
            wanted.add((touch.touch_time.ToMicroseconds(), hash_of_reference(touch.event_id)))
        for delta in revised.deltas:
            wanted.add((delta.touch_time.ToMicroseconds(), hash_of_reference(delta.touch_event_id)))
    found = await ids.event_ids(workspace, [touch for touch in wanted if touch[1]])
    for revised in revisions:
        for touch in revised.state.touches:
            touch.event_id = found.get(hash_of_reference(touch.event_id), touch.event_id)
        for delta in revised.deltas:
            delta.touch_event_id = found.get(hash_of_reference(delta.touch_event_id), delta.touch_event_id)


async def name_steps(journey: Journey, workspace: str, ids: EventIds) -> None:
    """Writes event ids into the steps of a journey, in place; of what ClickHouse does not have yet there is none.

    Raises:
        StorageUnavailableError: ClickHouse did not answer.
    """
    wanted = [(step.event_time.ToMicroseconds(), step.event_hash) for step in journey.steps]
    found = await ids.event_ids(workspace, wanted)
    for step in journey.steps:
        step.event_id = found.get(step.event_hash, "")
