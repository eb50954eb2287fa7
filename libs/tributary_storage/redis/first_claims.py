"""What a conversion claims at a destination before it is sent there first: a second of its click, a name for its lead.

The one rule: whoever claims first has it, in whichever process, and whoever asks again hears the same. A worked
example, for a destination that takes two conversions of a click and a second for one, where names take turns of 3 s:

    claim c1:a, best 300, step 3      300
    claim c1:b, best 300, step 3      297: 300 is another's
    claim c1:a, best 300, step 3      300: its own
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.delivery_jobs import SENT_LIFE_SECONDS
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.scripts import Argument, Script

_CLAIM: Final = Script("claim_seconds")
_NAME: Final = Script("name_leads")
_NOTHING_SENT: Final = "The store of delivery jobs did not answer; nothing is sent until it does."
_LEAD_LIFE_SECONDS: Final = 400 * 86_400
"""How long after it was told last a lead keeps its name: as long as its orders are known again."""


@dataclass(frozen=True, slots=True)
class WantedSecond:
    """A second that a conversion would have of its click."""

    conversion_id: str
    click_digest: str
    best: int
    """Since 1970."""
    step: int
    """How far the next one is, before or after."""
    earliest: int
    latest: int


@dataclass(frozen=True, slots=True)
class LeadName:
    """The name that the object of a lead would get."""

    digests: tuple[str, str]
    """Of its id and of its root order: the same twice where it has only one of them."""
    name: str


class FirstClaims:
    """Keeps them, in the Redis of role *jobs*. Fails closed: without a claim nothing is sent."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Takes the Redis of role *jobs*."""
        self._client: Any = client

    async def seconds(self, lane: Lane, wanted: Sequence[WantedSecond]) -> list[int | None]:
        """Claims seconds; returns that of each conversion, None: all that will do are others'.

        Raises:
            StorageUnavailableError: Some may be claimed; ask for the same again.
        """
        names: list[Argument] = [
            job_keys.click_seconds(lane.workspace, lane.destination, one.click_digest) for one in wanted
        ]
        arguments: list[Argument] = [SENT_LIFE_SECONDS]
        for one in wanted:
            arguments += (one.conversion_id, one.best, one.step, one.earliest, one.latest)
        answers = await self._run(_CLAIM, names, arguments)
        return [None if int(one) < 0 else int(one) for one in answers]

    async def known_names(self, lane: Lane, wanted: Sequence[LeadName]) -> list[str]:
        """Returns what the objects of leads are called; "": not named yet.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        try:
            found = [(one or b"").decode() for one in await self._client.mget(self._lead_names(lane, wanted))]
        except redis.RedisError as error:
            raise translate(error, "jobs", _NOTHING_SENT) from error
        return [by_id or by_order for by_id, by_order in zip(found[::2], found[1::2], strict=True)]

    async def names(self, lane: Lane, wanted: Sequence[LeadName]) -> list[str]:
        """Names the objects of leads; returns the name of each: what it was called first, by id or by root order.

        Raises:
            StorageUnavailableError: Some may be named; ask for the same again.
        """
        arguments: list[Argument] = [_LEAD_LIFE_SECONDS, *(one.name for one in wanted)]
        return [one.decode() for one in await self._run(_NAME, self._lead_names(lane, wanted), arguments)]

    @staticmethod
    def _lead_names(lane: Lane, wanted: Sequence[LeadName]) -> list[Argument]:
        return [
            job_keys.lead_name(lane.workspace, lane.destination, digest) for one in wanted for digest in one.digests
        ]

    async def _run(self, script: Script, names: Sequence[Argument], arguments: Sequence[Argument]) -> Any:
        if not names:
            return []
        try:
            return await script(self._client, names, arguments)
        except redis.RedisError as error:
            raise translate(error, "jobs", _NOTHING_SENT) from error
