"""Tokens that all processes of a credential share: sealed, because whoever reads Redis is not to send in its name.

A destination that answers with another refresh token may take the one before for stolen. So one process at a time asks,
and what it got is here before anybody uses it.
"""

from __future__ import annotations

from typing import Any

import redis.asyncio

from tributary_runtime.errors import TributaryError
from tributary_storage.redis import job_keys
from tributary_storage.redis.refusals import translate


class SharedTokens:
    """Keeps them, in the Redis of role *jobs*.

    Every method raises `StorageUnavailableError` if that does not answer.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def read(self, credential: str) -> bytes | None:
        """Returns what is kept of a credential, as it was sealed; None: nothing."""
        try:
            found: bytes | None = await self._client.get(job_keys.shared_token(credential, "sealed"))
        except redis.RedisError as error:
            raise _failed(error) from error
        return found

    async def write(self, credential: str, sealed: bytes) -> None:
        """Keeps it in the place of what was there. May run twice."""
        try:
            await self._client.set(job_keys.shared_token(credential, "sealed"), sealed)
        except redis.RedisError as error:
            raise _failed(error) from error

    async def lease(self, credential: str, holder: str, seconds: float) -> bool:
        """Tells whether this process asks for a token from now on, and for how long it alone does."""
        name = job_keys.shared_token(credential, "lease")
        try:
            return bool(await self._client.set(name, holder, nx=True, px=round(seconds * 1000)))
        except redis.RedisError as error:
            raise _failed(error) from error

    async def release(self, credential: str, holder: str) -> None:
        """Lets another process ask at once, if this one did."""
        name = job_keys.shared_token(credential, "lease")
        try:
            if await self._client.get(name) == holder.encode():
                await self._client.delete(name)
        except redis.RedisError as error:
            raise _failed(error) from error


def _failed(error: redis.RedisError) -> TributaryError:
    message = "The store of delivery jobs did not answer; tokens are obtained later."
    return translate(error, "jobs", message)
