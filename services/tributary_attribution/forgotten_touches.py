"""What people did that their journeys have forgotten, asked for by many people at once.

The one rule: what is found of somebody does not hang on who else is asked for. What is too much for one question is
asked for of fewer people, and of each only what happened since the moment that was asked for is given. What is older
than the workspace keeps of people is gone, whether it is deleted by now or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from tributary_attribution.arrival_texts import keep_texts
from tributary_attribution.arrivals import Arrival, ArrivalReader
from tributary_attribution.credit_settings import conversion_life_seconds
from tributary_attribution.steps import let_others_run
from tributary_attribution.tombstones import Tombstones
from tributary_domain.consent import Assumed
from tributary_domain.event_order import NEVER
from tributary_domain.ties import most_telling
from tributary_runtime.errors import PoisonEvent
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.click_ids import ClickIds
from tributary_storage.redis.descriptors import Descriptors
from tributary_storage.redis.ties import Place

log = structlog.get_logger(__name__)

_MOST: Final = 50_000
"""Events of one question; of a person who has more by themselves, the oldest stay forgotten."""
_READ_AT_ONCE: Final = 500
"""Events that are read without letting callers on the same loop have their turn."""
_TOKENS_AT_ONCE: Final = 1_000
"""Identifiers of one question: ClickHouse bounds the length of a statement."""


class Recorded(Protocol):
    """Where recorded events are."""

    async def between(
        self, workspace: str, tokens: Collection[str], since_micros: int, until_micros: int, limit: int
    ) -> Sequence[tuple[str, bytes, int, str]]:
        """Returns (letter, admitted event, accept time, traceparent) of people, the newest first.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


class Asked(NamedTuple):
    """A person, and what of them is asked for."""

    workspace: Workspace
    place: Place
    """An identifier of the person."""
    tokens: Collection[str]
    """All identity tokens of the person."""
    since_micros: int
    until_micros: int
    """What happened from this moment on is known without asking."""


class ForgottenTouches:
    """Asks for them. Every method may run twice, and at once in several processes.

    Args:
        recorded: The events.
        descriptors: Keeps the texts of sources.
        click_ids: Keeps the texts of click ids.
        tombstones: Knows who was erased.
        retained_since: Workspace -> since when it has events of people at all, in microseconds; may raise
            `StorageUnavailableError`.
        assumed_of: Workspace -> what its people are assumed to consent to.
    """

    def __init__(
        self,
        recorded: Recorded,
        descriptors: Descriptors,
        click_ids: ClickIds,
        tombstones: Tombstones,
        retained_since: Callable[[str], Awaitable[int]],
        assumed_of: Callable[[str], Assumed] = lambda _: Assumed(),
    ) -> None:
        self._recorded = recorded
        self._descriptors = descriptors
        self._click_ids = click_ids
        self._tombstones = tombstones
        self._retained_since = retained_since
        self._reader = ArrivalReader(assumed_of)

    async def of(self, asked: Sequence[Asked]) -> tuple[Mapping[Place, Mapping[bytes, bytes]], Mapping[Place, int]]:
        """Finds what people did.

        Returns:
            Home -> entries of a journey, as it keeps them; and since when they are whole, by the place of each person
            who has too many to be read, or of whom older ones are not kept any more.

        Raises:
            StorageUnavailableError: A store did not answer.
        """
        by_workspace: dict[str, list[Asked]] = defaultdict(list)
        for one in asked:
            by_workspace[one.workspace.id].append(one)
        entries: dict[Place, dict[bytes, bytes]] = defaultdict(dict)
        cut: dict[Place, int] = {}
        for name, some in by_workspace.items():
            since = await self._retained_since(name)
            gone = [one.place for one in some if one.since_micros < since]
            left = [one._replace(since_micros=max(one.since_micros, since)) for one in some]
            for group in _groups(left):
                cut |= await self._ask(group, entries)
            cut |= {place: max(since, cut.get(place, 0)) for place in gone}
        return entries, cut

    async def _ask(self, asked: Sequence[Asked], entries: dict[Place, dict[bytes, bytes]]) -> dict[Place, int]:
        """Asks for what some people of a workspace did.

        Where it is too much at once, half of them are asked for at a time.

        Returns:
            Since when it is there, of those who have too much by themselves.
        """
        workspace, since = asked[0].workspace, min(one.since_micros for one in asked)
        until = max(one.until_micros for one in asked)
        named = sorted({token for one in asked for token in one.tokens})
        arrivals: list[Arrival] = []
        cut_micros = 0
        for start in range(0, len(named), _TOKENS_AT_ONCE):
            some = named[start : start + _TOKENS_AT_ONCE]
            found = await self._recorded.between(workspace.id, some, since, until, _MOST)
            if len(found) >= _MOST and len(asked) > 1:
                half = len(asked) // 2
                parts = [await self._ask(part, entries) for part in (asked[:half], asked[half:])]
                return parts[0] | parts[1]
            read = await self._read_all(workspace.id, found)
            if len(found) >= _MOST:
                oldest = min((arrival.event_time_micros for arrival in read), default=until)
                cut_micros = max(cut_micros, oldest + 1)
            arrivals += read
        await self._unite(workspace, asked, arrivals, entries)
        return {one.place: cut_micros for one in asked} if cut_micros else {}

    async def _unite(
        self,
        workspace: Workspace,
        asked: Sequence[Asked],
        arrivals: Sequence[Arrival],
        entries: dict[Place, dict[bytes, bytes]],
    ) -> None:
        """Adds what was read to what is known of each person, from the moment on that is asked for."""
        since_of: dict[str, int] = {}
        for one in asked:
            for token in one.tokens:
                since_of[token] = min(one.since_micros, since_of.get(token, one.since_micros))
        meant = [
            one
            for one in arrivals
            if one.event_time_micros >= min((since_of.get(token, NEVER) for token in one.tokens), default=NEVER)
        ]
        living = await self._tombstones.living(meant)
        if len(living) < len(arrivals):
            stays = {id(arrival) for arrival in living}
            self._reader.forget_clicks(living, [one for one in arrivals if id(one) not in stays])
        await keep_texts(self._reader, self._descriptors, self._click_ids, conversion_life_seconds([workspace]))
        for arrival in living:
            if arrival.entry is not None and arrival.tokens:
                for home in arrival.tokens if arrival.is_quarantined else [most_telling(arrival.tokens)]:
                    entries[workspace.id, home][arrival.entry[0]] = arrival.entry[1]

    async def _read_all(self, workspace: str, rows: Sequence[tuple[str, bytes, int, str]]) -> list[Arrival]:
        """Reads events, and lets others have their turn."""
        read: list[Arrival] = []
        for start in range(0, len(rows), _READ_AT_ONCE):
            some = rows[start : start + _READ_AT_ONCE]
            read += [one for row in some if (one := self._read(workspace, *row)) is not None]
            await let_others_run()
        return read

    def _read(
        self, workspace: str, letter: str, admitted: bytes, accept_micros: int, traceparent: str
    ) -> Arrival | None:
        """Reads an event; None where it can never be read: attribution could not read it either."""
        try:
            return self._reader.read(workspace, letter, admitted, accept_micros, traceparent)
        except PoisonEvent as poison:
            log.error("event_not_recalled", workspace=workspace, reason=poison.reason)
            return None


def _groups(asked: Sequence[Asked]) -> list[list[Asked]]:
    """Returns the people of one question each."""
    groups: list[list[Asked]] = [[]]
    size = 0
    for one in asked:
        size += len(one.tokens)
        if groups[-1] and size > _TOKENS_AT_ONCE:
            groups.append([])
            size = len(one.tokens)
        groups[-1].append(one)
    return groups
