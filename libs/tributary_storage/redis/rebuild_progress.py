"""How far the state store is made whole again after a loss, as all processes know it.

One process does it for all, as long as it holds the lease; whoever comes after it goes on where it was. Fails closed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

import redis.asyncio

from tributary_storage.redis import keys
from tributary_storage.redis.state_scripts import failed


class RebuildStage(StrEnum):
    """What is done for each workspace, one after another."""

    WORDS = "words"
    """What operators said of who is who."""
    EVENTS = "events"
    """Who was seen with whom, and journeys, from events."""
    FIRSTS = "firsts"
    """How people began, from events that are older than journeys."""
    CONVERSIONS = "conversions"
    """What is published of conversions, and as what path each is counted."""
    OLD_CONVERSIONS = "old_conversions"
    """As what paths older conversions were counted."""
    OLD_PEOPLE = "old_people"
    """As what paths people were counted whose journeys had ended."""


@dataclass(frozen=True, slots=True)
class RebuildPlace:
    """How far it is."""

    loss_micros: int
    """The confirmed loss after which it is done."""
    workspace: str = ""
    """Of which something is done; those before it, by their ids, are whole."""
    stage: RebuildStage = RebuildStage.WORDS
    event_time_micros: int = 0
    event_id: str = ""
    """The event, in event order, up to which the stage is done."""
    events: int = 0
    """How many were brought back, of all workspaces."""
    conversions: int = 0
    """How many conversions were looked at."""
    noted_paths: int = 0
    """When all was back: how many changes of conversions' paths had been noted by then, which are to be added up."""
    due_seconds: int = 0
    """Likewise: when the last of the people who waited then to be counted as paths is looked at."""
    is_finished: bool = False


class RebuildProgress:
    """Keeps it. Every method raises `StorageUnavailableError` if the state store does not answer.

    Args:
        client: The Redis of role state.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def hold(self, holder: str, seconds: int) -> bool:
        """Tells whether this process may go on, and for how long it alone may.

        Args:
            holder: Names the process.
            seconds: Until others may.
        """
        try:
            if await self._client.set(keys.rebuild("lease"), holder, nx=True, ex=seconds):
                return True
            if await self._client.get(keys.rebuild("lease")) != holder.encode():
                return False
            await self._client.expire(keys.rebuild("lease"), seconds)
        except redis.RedisError as error:
            raise failed(error) from error
        return True  # two may after a long pause: each page may be done twice

    async def read(self) -> RebuildPlace:
        """Returns how far it is."""
        try:
            held = await self._client.get(keys.rebuild("progress"))
        except redis.RedisError as error:
            raise failed(error) from error
        if held is None:
            return RebuildPlace(0)
        fields = json.loads(held)
        return RebuildPlace(**{**fields, "stage": RebuildStage(fields["stage"])})

    async def note(self, place: RebuildPlace) -> None:
        """Notes how far it is; may run twice."""
        try:
            await self._client.set(keys.rebuild("progress"), json.dumps(asdict(place)))
        except redis.RedisError as error:
            raise failed(error) from error
