"""Whom identifiers were seen with, in the state store: what people are computed from.

Who is one person is nowhere stored: it follows from the ties, whenever it is asked. So nothing can contradict them, and
a crash can leave only a tie of which one end is written, which links nobody, and a link that is not finished, which
whoever writes next at its identifier finishes. Beside each journey, in its slot. Fails closed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import redis.asyncio

from tributary_domain.ids import person_id
from tributary_domain.shards import shard_of_key
from tributary_domain.ties import Tie
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Script
from tributary_storage.redis.state_scripts import Piece, failed, in_calls, run
from tributary_storage.redis.tie_layout import OWNER, HeldTies, Link, pack_link, pack_tie, unpack_ties

_READ: Final = Script("read_ties")
_WRITE: Final = Script("write_ties")
_CREDIT: Final = Script("credit_links")
_FINISH: Final = Script("finish_links")

FIELDS_AT_ONCE: Final = 2_000
"""Lua passes at most some 8 000 values to one command."""

person_key = lru_cache(maxsize=1 << 15)(person_id)
"""(workspace, identity token) -> the person key the token has by itself."""

Place = tuple[str, str]
"""Workspace and identity token."""


class IdentityTies:
    """The ties of identifiers. Every method may run twice, and at once in several processes.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._client = client
        self._shards = shards

    async def read(self, places: Collection[Place]) -> dict[Place, HeldTies]:
        """Reads what is known of identifiers.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        wanted = list(places)
        calls, positions = in_calls([self._piece(place) for place in wanted])
        held: dict[Place, HeldTies] = {}
        for own, answer in zip(positions, await run(self._client, _READ, calls), strict=True):
            for at, flat in zip(own, answer, strict=True):
                held[wanted[at]] = unpack_ties(wanted[at][1], flat) if flat else _NOTHING
        return held

    async def write(
        self, changes: Mapping[Place, tuple[int, Iterable[Tie], Iterable[Link]]], life_seconds: int
    ) -> list[Place]:
        """Writes ties of identifiers, and links that are not finished yet with one of their identifiers.

        Args:
            changes: Of each identifier the version it was read at, the ties to be kept, and the links.
            life_seconds: How long they live after this.

        Returns:
            The identifiers that somebody else wrote since they were read, of which nothing was written, and those with
            too many ties for once, of which some were: read again.

        Raises:
            StorageUnavailableError: The state store did not answer: what was written is unknown; read again.
        """
        wanted = list(changes)
        moved: list[Place] = []
        pieces = []
        for place, (version, ties, links) in changes.items():
            own: list[tuple[bytes | str, bytes | str]] = [] if version else [(OWNER, place[1])]
            own += [(link.field, pack_link(link)) for link in links]
            own += [(tie.other(place[1]), pack_tie(tie)) for tie in ties]
            if len(own) > FIELDS_AT_ONCE:
                moved.append(place)  # the rest comes when it is read again
                del own[FIELDS_AT_ONCE:]
            pieces.append(self._piece(place, version, len(own), *chain.from_iterable(own)))
        calls, positions = in_calls(pieces, (life_seconds,))
        for places, answer in zip(positions, await run(self._client, _WRITE, calls), strict=True):
            moved += [wanted[at] for at, is_written in zip(places, answer, strict=True) if not is_written]
        return moved

    async def credit(self, links: Iterable[tuple[str, Link]]) -> None:
        """Notes that what links changed of people is credited: whoever meets them credits it no second time.

        Args:
            links: Workspace and link of each.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        await self._for_each(_CREDIT, links)

    async def finish(self, links: Iterable[tuple[str, Link]]) -> None:
        """Forgets links whose changes are stored and credited.

        Args:
            links: Workspace and link of each.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        await self._for_each(_FINISH, links)

    async def owner(self, person_key: str) -> list[str]:
        """Returns the identity token whose ties are kept under a person key, if there are any.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        return [token for token in await self.owners([person_key]) if token is not None]

    async def owners(self, person_keys: Sequence[str]) -> list[str | None]:
        """Returns the same of several, in order; None where there are none.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        pipeline = self._client.pipeline(transaction=False)
        for person_key in person_keys:
            pipeline.hget(keys.ties(shard_of_key(person_key, self._shards), person_key), OWNER)
        try:
            tokens: list[Any] = await pipeline.execute() if person_keys else []
        except redis.RedisError as error:
            raise failed(error) from error
        return [None if token is None else token.decode() for token in tokens]

    async def _for_each(self, script: Script, links: Iterable[tuple[str, Link]]) -> None:
        pieces = [self._piece((workspace, link.home), link.field) for workspace, link in links]
        if pieces:
            await run(self._client, script, in_calls(pieces)[0])

    def _piece(self, place: Place, *arguments: str | bytes | int) -> Piece:
        key = person_key(*place)
        shard = shard_of_key(key, self._shards)
        return Piece(shard, keys.ties(shard, key), arguments)


_NOTHING: Final = HeldTies()
