"""What a conversion claims at a destination before it is sent there first: a second of its click, a name for its lead.

The one rule: whoever claims first has it, in whichever process, and whoever asks again hears the same. A worked
example, for a destination that takes two conversions of a click and a second for one, where names take turns of 3 s:

    claim c1:a, best 300, step 3      300
    claim c1:b, best 300, step 3      297: 300 is another's
    claim c1:a, best 300, step 3      300: its own
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import redis.asyncio

from tributary_domain.ids import family_id
from tributary_domain.lead_claims import ObjectKind, opened, seal
from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.delivery_jobs import SENT_LIFE_SECONDS
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.scripts import Argument, Script

_CLAIM: Final = Script("claim_seconds")
_NAME: Final = Script("name_leads")
_NOTHING_SENT: Final = "The store of delivery jobs did not answer; nothing is sent until it does."
LEAD_LIFE_SECONDS: Final = 400 * 86_400
"""How long after it was told last a lead keeps its name: as long as its orders are known again."""


@dataclass(frozen=True, slots=True)
class WantedSecond:
    """A second that a conversion would have of its click."""

    conversion_id: str
    click_digest: str
    old_digest: str
    """By what an earlier version found the click; what it kept there is read until it expires."""
    best: int
    """Since 1970."""
    step: int
    """How far the next one is, before or after."""
    earliest: int
    latest: int


@dataclass(frozen=True, slots=True)
class LeadName:
    """The name that the object of a lead would get. In the store nothing of it is plain: `lead_claims`."""

    known_by: tuple[str, str]
    """Its id and its root order, as `families.lead_names`: the same twice where it has only one of them."""
    kind: ObjectKind
    name: str
    lost: tuple[str, str] = ("", "")
    """What was claimed by its id, and by its root order, and is called so no more; "": nothing."""

    def claimed(self, by_id: bytes | None, by_order: bytes | None) -> str:
        """Returns how it was named before; "": it was not."""
        for lead_name, sealed in zip(self.known_by, (by_id, by_order), strict=True):
            if sealed:
                return opened(lead_name, sealed)
        return ""


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
            job_keys.click_seconds(*_of(lane), digest)
            for one in wanted
            for digest in (one.click_digest, one.old_digest)
        ]
        arguments: list[Argument] = [SENT_LIFE_SECONDS]
        for one in wanted:
            arguments += (one.conversion_id, one.best, one.step, one.earliest, one.latest)
        answers = await self._run(_CLAIM, names, arguments)
        return [None if int(one) < 0 else int(one) for one in answers]

    async def known_names(self, lane: Lane, wanted: Sequence[LeadName]) -> list[tuple[str, str]]:
        """Returns what the objects of leads are called, by id and by root order; "": not named yet.

        Raises:
            StorageUnavailableError: Redis did not answer.
        """
        asking = self._client.pipeline(transaction=False)
        for one in wanted:
            by_id, by_order, old_by_id, old_by_order = _places(lane, one)
            asking.hget(by_id, one.kind.field)
            asking.hget(by_order, one.kind.field)
            asking.mget(old_by_id, old_by_order)
        try:
            found = await asking.execute() if wanted else []
        except redis.RedisError as error:
            raise translate(error, "jobs", _NOTHING_SENT) from error
        names: list[tuple[str, str]] = []
        for number, one in enumerate(wanted):
            by_id, by_order, old = found[number * 3 : number * 3 + 3]
            known_by_id = one.claimed(by_id, None) or (old[0] or b"").decode()
            names.append((known_by_id, one.claimed(None, by_order) or (old[1] or b"").decode()))
        return names

    async def names(self, lane: Lane, wanted: Sequence[LeadName]) -> list[str]:
        """Names the objects of leads; returns the name of each: what it was called first, by id or by root order.

        Raises:
            StorageUnavailableError: Some may be named; ask for the same again.
        """
        names, pending = [one.name for one in wanted], list(range(len(wanted)))
        while pending:  # twice for whoever is named otherwise meanwhile, or earlier in the same batch; for ever: never
            some = [replace(wanted[place], name=names[place]) for place in pending]
            arguments: list[Argument] = [LEAD_LIFE_SECONDS]
            for one in some:
                arguments += (one.kind.field, *(seal(lead_name, one.name) for lead_name in one.known_by))
                for lead_name, lost in zip(one.known_by, one.lost, strict=True):
                    arguments.append(seal(lead_name, lost) if lost else b"")
            answers = await self._run(_NAME, [key for one in some for key in _places(lane, one)], arguments)
            before = [one.claimed(*answers[number * 2 : number * 2 + 2]) for number, one in enumerate(some)]
            for place, name in zip(pending, before, strict=True):
                names[place] = name or names[place]
            pending = [place for place, name in zip(pending, before, strict=True) if name]
        return names

    async def _run(self, script: Script, names: Sequence[Argument], arguments: Sequence[Argument]) -> Any:
        if not names:
            return []
        try:
            return await script(self._client, names, arguments)
        except redis.RedisError as error:
            raise translate(error, "jobs", _NOTHING_SENT) from error


def _places(lane: Lane, one: LeadName) -> tuple[str, str, str, str]:
    """Returns where a lead's claims are, by its id and its root order; and where an earlier version kept them."""
    by_id, by_order = (job_keys.lead_claims(*_of(lane), family_id(name)) for name in one.known_by)
    old_by_id, old_by_order = (job_keys.old_lead_name(*_of(lane), one.kind.old_digest(name)) for name in one.known_by)
    return by_id, by_order, old_by_id, old_by_order


def _of(lane: Lane) -> tuple[str, str]:
    return lane.workspace, lane.destination
