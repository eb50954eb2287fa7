"""How each destination is doing, and how often it may be called: shared by all replicas of delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from tributary_runtime.errors import TributaryError
from tributary_storage.redis import keys
from tributary_storage.redis.delivery_jobs import Lane
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.scripts import Script

_TAKE_QUOTA: Final = Script("take_quota")
_WINDOW_MICROS: Final = 61_000_000
"""A minute, and a second for calls that are not all equally long on their way."""


@dataclass(frozen=True, slots=True)
class DestinationState:
    """What all replicas know of a destination."""

    paused_until_millis: int
    """No call before; 0: not paused."""
    pause_reason: str
    last_outcome: int
    """Of `delivery.v1.OutcomeClass`; 0: never called."""
    last_attempt_micros: int
    dead: int
    """How many deliveries were given up."""


class DestinationStates:
    """State and quota of every destination, in the Redis of role *jobs*. Fails closed."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def read(self, lane: Lane) -> DestinationState:
        """Returns how a destination is doing.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        try:
            fields = await self._client.hgetall(keys.destination_state(lane.workspace, lane.destination))
        except redis.RedisError as error:
            raise _failed(error) from error
        return DestinationState(
            paused_until_millis=int(fields.get(b"paused_until", 0)),
            pause_reason=fields.get(b"pause_reason", b"").decode(),
            last_outcome=int(fields.get(b"outcome", 0)),
            last_attempt_micros=int(fields.get(b"attempt", 0)),
            dead=int(fields.get(b"dead", 0)),
        )

    async def note(self, lane: Lane, outcome: int, attempt_micros: int) -> None:
        """Keeps what the last attempt came to.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        fields = {"outcome": outcome, "attempt": attempt_micros}
        try:
            await self._client.hset(keys.destination_state(lane.workspace, lane.destination), mapping=fields)
        except redis.RedisError as error:
            raise _failed(error) from error

    async def pause(self, lane: Lane, until_millis: int, reason: str) -> None:
        """Lets nobody call a destination before `until_millis`; 0 ends a pause.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        fields = {"paused_until": until_millis, "pause_reason": reason}
        try:
            await self._client.hset(keys.destination_state(lane.workspace, lane.destination), mapping=fields)
        except redis.RedisError as error:
            raise _failed(error) from error

    async def take_quota(self, lane: Lane, per_minute: int, wanted: int) -> tuple[int, float]:
        """Takes calls from a destination's quota.

        A burst, and then one call per interval: burst + window / interval never exceed `per_minute`, so no sliding
        minute sees more calls than that.

        Returns:
            How many may be made now, and in how many seconds the next one could be.

        Raises:
            StorageUnavailableError: Redis did not answer: make none.
        """
        burst = max(1, per_minute // 4)
        arguments = [_WINDOW_MICROS // (per_minute - burst + 1) + 1, burst, wanted]
        try:
            granted, wait_micros = await _TAKE_QUOTA(
                self._client, [keys.quota(lane.workspace, lane.destination)], arguments
            )
        except redis.RedisError as error:
            raise _failed(error) from error
        return int(granted), int(wait_micros) / 1e6


def _failed(error: redis.RedisError) -> TributaryError:
    message = "The store of delivery jobs did not answer; nothing is sent until it does."
    return translate(error, "jobs", message)
