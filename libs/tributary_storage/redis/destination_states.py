"""How each destination is doing, and how often it may be called: shared by all replicas of delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from tributary.delivery.v1.delivery_pb2 import OUTCOME_CLASS_OK
from tributary_runtime.errors import TributaryError
from tributary_storage.redis import job_keys
from tributary_storage.redis.credential_gates import CredentialGates
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.scripts import Script

_TAKE_QUOTA: Final = Script("take_quota")
_SLOW_DOWN: Final = Script("slow_down")
_HURRY: Final = Script("hurry_jobs")
_HURRIED_AT_ONCE: Final = 500
_WINDOW_MICROS: Final = 61_000_000
"""A minute, and a second for calls that are not all equally long on their way."""
_GROWTH_SECONDS: Final = 600
"""How long a destination that was slowed down to nothing would take to be called as fast as ever."""
_SAME_SECONDS: Final = 5
_LEAST_THOUSANDTHS: Final = 60


@dataclass(frozen=True, slots=True)
class DestinationState:
    """What all replicas know of a destination."""

    paused_until_millis: int
    """No call before; 0: not paused."""
    pause_reason: str
    last_outcome: int
    """Of `delivery.v1.OutcomeClass`; 0: never called."""
    last_attempt_micros: int
    held_reason: str | None = None
    """Why somebody paused it until they resume it; None: nobody did."""
    blamed_settings: str = ""
    """Digest of the settings that the pause is for, and that it holds up alone; "": it holds up whatever they are."""

    def is_paused(self, now_millis: int, settings: str) -> bool:
        """Tells whether nobody may call it now under settings of this digest."""
        if self.held_reason is not None:
            return True
        return self.paused_until_millis > now_millis and self.blamed_settings in ("", settings)


class DestinationStates:
    """State and quota of every destination, in the Redis of role *jobs*. Fails closed."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client
        self.gates = CredentialGates(client)
        """What is shared by all that call with one credential."""

    async def read(self, lane: Lane) -> DestinationState:
        """Returns how a destination is doing.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        try:
            fields = await self._client.hgetall(job_keys.destination_state(lane.workspace, lane.destination))
        except redis.RedisError as error:
            raise _failed(error) from error
        return DestinationState(
            paused_until_millis=int(fields.get(b"paused_until", 0)),
            pause_reason=fields.get(b"pause_reason", b"").decode(),
            last_outcome=int(fields.get(b"outcome", 0)),
            last_attempt_micros=int(fields.get(b"attempt", 0)),
            held_reason=fields[b"held"].decode() if b"held" in fields else None,
            blamed_settings=fields.get(b"pause_settings", b"").decode(),
        )

    async def note(self, lane: Lane, outcome: int, attempt_micros: int) -> None:
        """Keeps what the last attempt came to.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        await self._set(lane, {"outcome": outcome, "attempt": attempt_micros})

    async def took(self, lane: Lane, account: str) -> None:
        """Keeps that a destination took something under an account: no refusal before it counts any more.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        await self._set(lane, {"account": account, "foreign": 0})

    async def count_foreign(self, lane: Lane, account: str, refused: int) -> int | None:
        """Counts conversions that were refused as another account's; the end of a pause forgets none of them.

        Which account took something no release before this one kept: where none is, and the last attempt was taken, it
        was under this account.

        Returns:
            How many were since something was taken; None: nothing was yet under this account, and nothing is counted.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        name = job_keys.destination_state(lane.workspace, lane.destination)
        try:
            took, last = await self._client.hmget(name, "account", "outcome")
            if took is None and last is not None and int(last) == OUTCOME_CLASS_OK:  # kept: the next one is no OK
                await self._client.hsetnx(name, "account", account)
                took = await self._client.hget(name, "account")
            if took != account.encode():
                return None
            return int(await self._client.hincrby(name, "foreign", refused))
        except redis.RedisError as error:
            raise _failed(error) from error

    async def pause(self, lane: Lane, until_millis: int, reason: str, *, settings: str = "") -> None:
        """Lets nobody call a destination before `until_millis`; 0 ends a pause.

        Args:
            lane: Which destination.
            until_millis: Unix.
            reason: For people.
            settings: Digest of the settings that are to blame (`settings_digest`): under others it may be called. "":
                none are.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        await self._set(lane, {"paused_until": until_millis, "pause_reason": reason, "pause_settings": settings})

    async def mend(self, lane: Lane, settings: str) -> None:
        """Ends a pause that other settings were to blame for than those of this digest, which hold from now on.

        What waits because of those is due then, after what was planned meanwhile.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        if (await self.read(lane)).blamed_settings not in ("", settings):
            await self.pause(lane, 0, "")
            await self._hurry(lane)

    async def hold(self, lane: Lane, reason: str) -> None:
        """Lets nobody call a destination until it is released, whatever else pauses it.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        await self._set(lane, {"held": reason})

    async def release(self, lane: Lane) -> None:
        """Ends every pause of a destination; what waits because its settings were to blame is due then, after all else.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        try:
            await self._client.hdel(job_keys.destination_state(lane.workspace, lane.destination), "held")
        except redis.RedisError as error:
            raise _failed(error) from error
        await self.pause(lane, 0, "")
        await self._hurry(lane)

    async def _hurry(self, lane: Lane) -> None:
        names = [job_keys.due(lane.workspace, lane.destination), job_keys.mending(lane.workspace, lane.destination)]
        try:
            while int(await _HURRY(self._client, names, [_HURRIED_AT_ONCE])) == _HURRIED_AT_ONCE:
                pass
        except redis.RedisError as error:
            raise _failed(error) from error

    async def _set(self, lane: Lane, fields: dict[str, int | str]) -> None:
        try:
            await self._client.hset(job_keys.destination_state(lane.workspace, lane.destination), mapping=fields)
        except redis.RedisError as error:
            raise _failed(error) from error

    async def slow_down(self, lane: Lane) -> float:
        """Halves how fast a destination is called; it grows back by itself. Returns the part of its quota that is left.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        arguments = [_SAME_SECONDS * 1000, _LEAST_THOUSANDTHS, _GROWTH_SECONDS * 1000]
        try:
            left = await _SLOW_DOWN(
                self._client, [job_keys.destination_state(lane.workspace, lane.destination)], arguments
            )
        except redis.RedisError as error:
            raise _failed(error) from error
        return int(left) / 1000

    async def take_quota(self, lane: Lane, per_minute: int, wanted: int) -> tuple[int, float]:
        """Takes calls from a destination's quota.

        A burst, and then one call per interval: burst + window / interval never exceed `per_minute`, so no sliding
        minute sees more calls than that; fewer after the destination asked to slow down.

        Returns:
            How many may be made now, and in how many seconds the next one could be.

        Raises:
            StorageUnavailableError: Redis did not answer: make none.
        """
        names = [
            job_keys.quota(lane.workspace, lane.destination),
            job_keys.destination_state(lane.workspace, lane.destination),
        ]
        arguments = [per_minute, _WINDOW_MICROS, wanted, _GROWTH_SECONDS * 1_000_000]
        try:
            granted, wait_micros = await _TAKE_QUOTA(self._client, names, arguments)
        except redis.RedisError as error:
            raise _failed(error) from error
        return int(granted), int(wait_micros) / 1e6


def _failed(error: redis.RedisError) -> TributaryError:
    message = "The store of delivery jobs did not answer; nothing is sent until it does."
    return translate(error, "jobs", message)
