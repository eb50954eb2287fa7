"""Requests that a destination queued, and will say later what became of: which, and when to ask next.

The one rule: a request is kept from before its jobs are settled until its report is in the ledger. A worked example:

    expect "r-1" at 10:00, first asked at 10:30     zset {"1767225600000000 r-1": 10:30}
    lease at 10:30                                  nobody else asks for a while
    it is still being processed                     due at 11:00; then at 12:00, 14:00, ...
    done                                            zset {}
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from tributary_runtime.errors import TributaryError
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.refusals import translate


@dataclass(frozen=True, slots=True)
class Awaited:
    """A request whose report is to come."""

    request_id: str
    """The destination's own id of it."""
    accept_micros: int
    """When it was queued there."""

    def written(self) -> str:
        """Returns it as it is kept."""
        return f"{self.accept_micros} {self.request_id}"

    @classmethod
    def read(cls, text: bytes) -> Awaited:
        """Returns what was kept."""
        micros, _, request_id = text.decode().partition(" ")
        return cls(request_id, int(micros))


class AwaitedReports:
    """What is awaited of each destination, in the Redis of role *jobs*.

    Every method raises `StorageUnavailableError` if Redis does not answer.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def expect(self, lane: Lane, requests: Iterable[Awaited], due_micros: int) -> None:
        """Notes requests, to be asked about from `due_micros` on. May run twice."""
        scores = {one.written(): due_micros // 1000 for one in requests}
        try:
            await self._client.zadd(job_keys.reports(lane.workspace, lane.destination), scores)
        except redis.RedisError as error:
            raise _failed(error) from error

    async def due(self, lane: Lane, now_micros: int, most: int) -> list[Awaited]:
        """Returns those that are due, the longest due first."""
        name = job_keys.reports(lane.workspace, lane.destination)
        try:
            found = await self._client.zrangebyscore(name, 0, now_micros // 1000, 0, most)
        except redis.RedisError as error:
            raise _failed(error) from error
        return [Awaited.read(one) for one in found]

    async def lease(self, lane: Lane, token: str, seconds: float) -> bool:
        """Tells whether this process asks from now on, for so long; one at a time does."""
        name = job_keys.reports_lease(lane.workspace, lane.destination)
        try:
            return bool(await self._client.set(name, token, nx=True, px=round(seconds * 1000)))
        except redis.RedisError as error:
            raise _failed(error) from error

    async def postpone(self, lane: Lane, request: Awaited, due_micros: int) -> None:
        """Has a request asked about again later."""
        await self.expect(lane, [request], due_micros)

    async def done(self, lane: Lane, requests: Sequence[Awaited]) -> None:
        """Forgets requests."""
        try:
            await self._client.zrem(
                job_keys.reports(lane.workspace, lane.destination), *[one.written() for one in requests]
            )
        except redis.RedisError as error:
            raise _failed(error) from error


def _failed(error: redis.RedisError) -> TributaryError:
    message = "The store of delivery jobs did not answer; reports are read later."
    return translate(error, "jobs", message)
