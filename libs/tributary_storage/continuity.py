"""Refuses a Redis that has lost what other stores know it had: an older copy of it, or an empty one under its name.

The one rule: what ClickHouse has of a role was in that role first, so a role that ends before it has lost something,
however healthy it looks. Somebody must look, and confirm (`tributary migrate --confirm-loss`): the moment is kept in
the role's epoch, and from then on whatever may have been before it is looked up in ClickHouse.

A conversion whose person was erased is in ClickHouse under a random id, of some other shard: its revisions are compared
with the highest of all shards.

Asked once per run of Redis, before anything is written to it (`Reconnection`); that it was asked is noted in the role
itself, so that what is emptied while it runs is asked again. Of a cluster it is noted in every part (`PassedNotes`): a
part without a note has lost something, also where ClickHouse knows of nothing that was in it, as of journeys. Fails
closed: while ClickHouse does not answer nobody can tell, and nothing is written; attribution and delivery need it
anyhow.

| role  | what is compared, per place                     | written                                     |
|-------|-------------------------------------------------|---------------------------------------------|
| log   | per stream the last id (see dedup's guard)      | by the script that appends                  |
| state | per shard the highest published revision        | by the script that publishes                |
| jobs  | per destination the highest revision tried      | by the script that notes an attempt         |
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import redis.asyncio
import structlog

from tributary_runtime.errors import PartOutageError, PreconditionError, StorageUnavailableError, UnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.client import name_of_runs, read_answering_runs
from tributary_storage.redis.epoch import Role, read_epoch
from tributary_storage.redis.passed_notes import PassedNotes

log = structlog.get_logger(__name__)

RECORD_SECONDS: Final = 3.0
"""How long ClickHouse may take; shorter than a command, which may wait for it on a new connection."""

_SHOWN: Final = 3

Marks = Mapping[str, int]
"""Place -> the highest revision met there, in microseconds since 1970."""


class Marked(Protocol):
    """What is in a role."""

    async def marks(self, places: Collection[str]) -> Marks:
        """Returns the marks of places; 0 where there is none. Raises `StorageUnavailableError`."""
        ...


class Recorded(Protocol):
    """What ClickHouse has of it."""

    async def marks(self) -> Marks:
        """Returns the marks of the places that it knows. Raises `StorageUnavailableError`."""
        ...


class Continuity:
    """A guard of the role *state* or *jobs*.

    Args:
        client: Of the role, on connections that are not confirmed.
        role: Which.
        there: What is in it.
        recorded: What was in it.
    """

    def __init__(self, client: redis.asyncio.Redis, role: Role, there: Marked, recorded: Recorded) -> None:
        self.name = f"{role}:continuity"
        self._client = client
        self._notes = PassedNotes(client, role)
        self._role: Role = role
        self._there = there
        self._recorded = recorded
        self._passed_runs: set[str] = set()
        self.loss_micros = 0
        """When the last confirmed loss was, microseconds since 1970: what is older may be lost. 0: there was none."""

    async def __call__(self) -> None:
        """Returns if nothing is missing that ClickHouse knows of, or if that was confirmed.

        Raises:
            PreconditionError: Something is.
            PartOutageError: Some nodes of a cluster do not answer; those that do have not restarted since all passed.
            StorageUnavailableError: Redis or ClickHouse does not answer.
        """
        try:
            runs, is_whole = await read_answering_runs(self._client)
            if not is_whole and not runs <= self._passed_runs:
                raise self._silent()
            epoch = await read_epoch(self._client)
            self.loss_micros = 0 if epoch is None else epoch.loss_time_micros
            noted = await self._notes.read()
            if emptied := noted.emptied(self.loss_micros):
                raise _emptied(self._role, emptied)
            if not is_whole:
                raise PartOutageError("Some nodes of Redis do not answer.", metadata={"store": self._role})
            run = name_of_runs(runs)
            is_passed = await self._client.get(keys.passed(self._role)) == run.encode()
            if is_passed and noted.is_whole(self.loss_micros):
                self._passed_runs = runs
                return
        except redis.RedisError as error:
            raise self._silent() from error
        await self._compare()
        try:
            if (await read_answering_runs(self._client))[0] != runs:
                raise self._silent()  # what was compared is not what is there by now
            await self._notes.write(self.loss_micros)
            await self._client.set(keys.passed(self._role), run)
        except redis.RedisError as error:
            raise self._silent() from error
        self._passed_runs = runs

    async def _compare(self) -> None:
        """Returns if the role has all that ClickHouse knows of, or if what it lacks was confirmed."""
        try:
            async with asyncio.timeout(RECORD_SECONDS):
                recorded = await self._recorded.marks()
        except (UnavailableError, TimeoutError) as outage:
            message = "ClickHouse must say what the Redis had before it restarted, and does not answer."
            raise StorageUnavailableError(message, metadata={"store": "clickhouse"}) from outage
        there = await self._there.marks(recorded.keys())
        behind = sorted(place for place, mark in recorded.items() if there.get(place, 0) < mark)
        missing = [place for place in behind if recorded[place] > self.loss_micros]
        if missing:
            raise older(self._role, missing)
        if behind:
            log.warning("loss_confirmed", role=self._role, places=len(behind))

    def _silent(self) -> StorageUnavailableError:
        return StorageUnavailableError("Redis did not answer.", metadata={"store": self._role})


def older(role: Role, places: Collection[str]) -> PreconditionError:
    """Returns the refusal of a role that lacks what ClickHouse knows of it."""
    shown = ", ".join(list(places)[:_SHOWN])
    return _refusal(
        role,
        f"The Redis of role {role} is older than what ClickHouse knows of it ({shown}; {len(places)} places in all): "
        "it was emptied or restored from a copy, or ClickHouse is another installation's.",
    )


def _emptied(role: Role, slots: Sequence[str]) -> PreconditionError:
    return _refusal(
        role,
        f"The Redis Cluster of role {role} lost what it held in {', '.join(slots)}: a node was emptied or came back "
        "without its data, or its slots were given to a node that never had them.",
    )


def _refusal(role: Role, what: str) -> PreconditionError:
    message = (
        f"{what} Bring the right data back; or, if they are lost, run `tributary migrate --confirm-loss {role}`: what "
        "is missing is then restored from ClickHouse where it is needed."
    )
    return PreconditionError(message, subject=f"redis:{role}", reason=f"{role.upper()}_OLDER_THAN_RECORD")
