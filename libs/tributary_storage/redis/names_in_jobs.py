"""What the store of jobs has of names that callers give: claims of leads, and by what is known what is being sent.

For forgetting them, and for keeping claims as they are kept now (`lead_claims`): an earlier version kept them in plain
text, where no erasure finds them. Every method may run twice, and raises `StorageUnavailableError` if Redis does not
answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Final

import redis.asyncio

from tributary_domain.ids import family_id
from tributary_domain.lead_claims import ObjectKind, seal
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.first_claims import LEAD_LIFE_SECONDS
from tributary_storage.redis.refusals import translate

_LANE: Final = re.compile(r"trb:\{j:([^:{}]+):([^:{}]+)\}:(?:due|state|lead:.*)")
_EVERY: Final = "trb:{j:*}:[ds][ut][ea]*"
"""`due` and `state`: of every lane that ever sent anything, or is about to."""
_OLD: Final = "trb:{j:*}:lead:*"
_AT_ONCE: Final = 500


class NamesInJobs:
    """All lanes', seen from outside."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def lanes(self) -> set[Lane]:
        """Returns every lane that there ever was, whether workspaces.yaml names it or not. Reads all keys."""
        return await self._lanes(_EVERY)

    async def old_lanes(self) -> set[Lane]:
        """Returns the lanes that have claims as an earlier version kept them. Reads all keys."""
        return await self._lanes(_OLD)

    async def forget(self, lanes: Collection[Lane], families: Collection[str], conversion_ids: Collection[str]) -> int:
        """Forgets claims of leads, and by what conversions that are being sent are known; returns of how many.

        What waits of these conversions is dropped when it is due: nobody knows them any more.
        """
        done = 0
        for lane in lanes:
            place = (lane.workspace, lane.destination)
            claims, words = list(families), list(conversion_ids)
            for start in range(0, max(len(claims), len(words)), _AT_ONCE):
                asking = self._client.pipeline(transaction=False)
                for family in claims[start : start + _AT_ONCE]:
                    asking.delete(job_keys.lead_claims(*place, family))
                for conversion_id in words[start : start + _AT_ONCE]:
                    asking.hdel(job_keys.job(*place, conversion_id), "k")
                done += sum(map(int, await self._ask(asking.execute())))
        return done

    async def convert(self, lane: Lane, kinds: Collection[ObjectKind], lead_names: Sequence[str]) -> int:
        """Keeps claims of leads as they are kept now; returns how many were as an earlier version kept them.

        Args:
            lane: Whose.
            kinds: Of objects, that there are at the destination.
            lead_names: By what leads are known, whether anything was claimed for them or not.
        """
        place = (lane.workspace, lane.destination)
        pairs = [(kind, name) for name in lead_names for kind in kinds]
        converted = 0
        for start in range(0, len(pairs), _AT_ONCE):
            some = pairs[start : start + _AT_ONCE]
            olds = [job_keys.old_lead_name(*place, kind.old_digest(name)) for kind, name in some]
            found = await self._ask(self._client.mget(olds))
            for (kind, name), old, called in zip(some, olds, found, strict=True):
                if called:
                    await self._convert(old, job_keys.lead_claims(*place, family_id(name)), kind, name, called.decode())
                    converted += 1
        return converted

    async def drop_old(self, lane: Lane, *, unless_told_seconds: float) -> int:
        """Drops claims as an earlier version kept them; returns how many.

        Args:
            lane: Whose.
            unless_told_seconds: Those that were told, or named, within this time are kept.
        """
        old_key = job_keys.old_lead_name(lane.workspace, lane.destination, "*")
        dropped = 0
        try:
            async for key in self._client.scan_iter(match=old_key, count=1000):
                if await self._client.ttl(key) < LEAD_LIFE_SECONDS - unless_told_seconds:
                    dropped += await self._client.delete(key)
        except redis.RedisError as error:
            raise _unavailable(error) from error
        return dropped

    async def _convert(self, old: str, new: str, kind: ObjectKind, lead_name: str, called: str) -> None:
        life, own_life = [int(await self._ask(self._client.ttl(key))) for key in (old, new)]
        if life == -2:  # it ended, or somebody else has converted it
            return
        await self._ask(self._client.hsetnx(new, kind.field, seal(lead_name, called)))
        await self._ask(self._client.expire(new, max(life, own_life, 1)))
        await self._ask(self._client.delete(old))  # last: whoever dies before does it again

    async def _lanes(self, match: str) -> set[Lane]:
        try:
            found = [key.decode() async for key in self._client.scan_iter(match=match, count=1000)]
        except redis.RedisError as error:
            raise _unavailable(error) from error
        return {Lane(*place.groups()) for key in found if (place := _LANE.fullmatch(key)) is not None}

    async def _ask(self, answer: Any) -> Any:
        try:
            return await answer
        except redis.RedisError as error:
            raise _unavailable(error) from error


def _unavailable(error: redis.RedisError) -> Exception:
    return translate(error, "jobs", "The store of delivery jobs did not answer; what is to be forgotten there is kept.")
