"""Which models of data_driven are in use: what attributors credit new conversions under. Fails closed.

Every version is in ClickHouse before it is in use here. Lost, it is published again by the next evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import redis.asyncio

from tributary_storage.redis import keys
from tributary_storage.redis.state_scripts import failed

_GENERATION: Final = "generation"
"""Grows whenever a model changes; no key of a model, which has a bar in it."""

Subject = tuple[str, str]
"""Workspace and conversion name."""


class CurrentModels:
    """The models in use, in the state store. Every method raises `StorageUnavailableError` if it does not answer.

    Args:
        client: The Redis of role state.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def begin_round(self, seconds: int) -> bool:
        """Tells whether this process may evaluate now: one of all does so in that time."""
        try:
            return bool(await self._client.set(keys.models_lease(), "1", nx=True, px=seconds * 1000 - 50))
        except redis.RedisError as error:
            raise failed(error) from error

    async def use(self, models: Mapping[Subject, bytes]) -> None:
        """Puts models in use; empty ones out of use. May run twice.

        Args:
            models: Serialised `Model` by workspace and conversion name.
        """
        pipeline = self._client.pipeline(transaction=False)
        for (workspace, name), content in models.items():
            if content:
                pipeline.hset(keys.models(), f"{workspace}|{name}", content)
            else:
                pipeline.hdel(keys.models(), f"{workspace}|{name}")
        pipeline.hincrby(keys.models(), _GENERATION, 1)
        try:
            await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error

    async def generation(self) -> int:
        """Returns a number that differs when models have changed."""
        try:
            return int(await self._client.hget(keys.models(), _GENERATION) or 0)
        except redis.RedisError as error:
            raise failed(error) from error

    async def read(self) -> dict[Subject, bytes]:
        """Returns the models in use, serialised."""
        try:
            held: dict[bytes, bytes] = dict(await self._client.hgetall(keys.models()))  # type: ignore[arg-type]  # bytes
        except redis.RedisError as error:
            raise failed(error) from error
        found = {}
        for field, content in held.items():
            workspace, bar, name = field.decode().partition("|")
            if bar:
                found[workspace, name] = content
        return found
