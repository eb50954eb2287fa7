"""What delivery is asked to forget of people who are erased: by what destinations know their leads and orders.

Attribution asks in the state store, as it does not reach the store of jobs; delivery, whose that is, takes back what it
has done. What is asked for stays until then, so whoever dies in between does it again, and nobody calls an erasure
finished before. It names nobody: leads by their family ids, orders by the ids of their conversions. Fails closed.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import redis.asyncio

from tributary_storage.redis import keys
from tributary_storage.redis.state_scripts import failed

_DIGEST_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class AskedToForget:
    """What one erasure asks for."""

    erasure_id: str
    workspace: str
    families: tuple[str, ...]
    """Family ids of the names of leads."""
    conversion_ids: tuple[str, ...]

    @property
    def field(self) -> str:
        """Returns what it is kept under: another where it is asked for more meanwhile, which is not done then."""
        return f"{self.erasure_id} {blake2b(self.content().encode(), digest_size=_DIGEST_BYTES).hexdigest()}"

    def content(self) -> str:
        """Returns it as it is kept."""
        return json.dumps([self.workspace, self.families, self.conversion_ids])


class ErasedNames:
    """What is asked for. Every method may run twice, and raises `StorageUnavailableError` if Redis does not answer."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *state*."""
        self._client: Any = client

    async def ask(self, asked: AskedToForget) -> None:
        """Asks; durable on return."""
        await self._run(self._client.hset(keys.erased_names(), asked.field, asked.content()))

    async def asked(self) -> list[AskedToForget]:
        """Returns all that is not done yet."""
        found = []
        for field, content in (await self._run(self._client.hgetall(keys.erased_names()))).items():
            workspace, families, conversion_ids = json.loads(content)
            erasure_id = field.decode().partition(" ")[0]
            found.append(AskedToForget(erasure_id, workspace, tuple(families), tuple(conversion_ids)))
        return found

    async def confirm(self, done: AskedToForget) -> None:
        """Takes back what is done."""
        await self._run(self._client.hdel(keys.erased_names(), done.field))

    async def left(self, erasure_ids: Collection[str]) -> int:
        """Returns of how many leads and conversions it is not done yet that some erasures asked to forget."""
        asked = [one for one in await self.asked() if one.erasure_id in erasure_ids]
        return len({name for one in asked for name in (*one.families, *one.conversion_ids)})

    async def _run(self, answer: Any) -> Any:
        try:
            return await answer
        except redis.RedisError as error:
            raise failed(error) from error
