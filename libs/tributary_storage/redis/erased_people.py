"""What the state store keeps of erased people, and its destroying.

Every method may run twice, and at once in several processes. Fails closed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import redis.asyncio

from tributary_domain.erasures import Erasure
from tributary_domain.journey import JourneyTouch
from tributary_domain.shards import shard_of_key
from tributary_runtime.errors import Backpressure
from tributary_storage.redis import keys
from tributary_storage.redis.consents import decision_micros
from tributary_storage.redis.conversions import FORWARD, conversion_key
from tributary_storage.redis.descriptors import digest_of
from tributary_storage.redis.firsts import FirstConversion, events_of, pack_first, time_of_first
from tributary_storage.redis.journey_layout import ACQUIRED, EVENT_BYTES, META, SEEN, event_field, unpack_journey
from tributary_storage.redis.scripts import Script
from tributary_storage.redis.state_scripts import Piece, failed, in_calls, run
from tributary_storage.redis.tie_layout import unpack_ties
from tributary_storage.redis.ties import person_key
from tributary_storage.redis.trace_layout import time_of

_FORGET: Final = Script("forget_conversions")
_FORGET_OBSERVED: Final = Script("forget_observed")
_OF_OBSERVED: Final = 4
"""Arguments of the script per observation."""


class Observed(NamedTuple):
    """What somebody observed of an erased person's conversion."""

    token: str
    """Whose it is."""
    event_hash: int
    name: str
    """Of the conversion."""
    own_first: FirstConversion | None
    """The earliest of that name that is recorded of whoever it is, and is not erased; None: there is none."""
    order: int = 0
    """The number by which observations of one erased order are told from those of another; 0: it is not known."""


class ErasedPeople:
    """Destroys it.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._client = client
        self._shards = shards

    async def forget_people(
        self,
        workspace: str,
        tokens: Sequence[str],
        until_micros: int,
        others_came_by: Callable[[Collection[int]], Awaitable[Collection[int]]],
    ) -> dict[str, int]:
        """Destroys what is kept of identifiers until a moment: journeys, how they began, ties, consent.

        Args:
            workspace: Whose.
            tokens: The identifiers.
            until_micros: The moment.
            others_came_by: Returns those of some click ids, by number, that somebody else came by: their texts stay.

        Returns:
            How much there was, by what it was.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        clicks = {click for token in tokens for click in await self._clicks(workspace, token, until_micros)}
        if clicks:  # before the journeys: nothing else tells which they are
            clicks.difference_update(await others_came_by(clicks))
        counts = Counter(click_ids=await self._forget_clicks(workspace, clicks))
        for token in tokens:
            counts.update(await self._forget_person(workspace, token, until_micros))
        return counts

    async def _clicks(self, workspace: str, token: str, until_micros: int) -> set[int]:
        """Returns the numbers of the click ids that events of an identifier until a moment carry, and none after it."""
        key = person_key(workspace, token)
        shard = shard_of_key(key, self._shards)
        found = await self._ask(self._client.hgetall(keys.journey(shard, key)))
        began = await self._ask(self._client.hgetall(keys.firsts(shard, key)))
        return _clicks_until(until_micros, unpack_journey(key, [events_of(began) | events_of(found)]).entries)

    async def _forget_person(self, workspace: str, token: str, until_micros: int) -> dict[str, int]:
        """Destroys what is kept of one identifier, but for its click ids; returns how much that was."""
        key = person_key(workspace, token)
        shard = shard_of_key(key, self._shards)
        journey, ties, ledger = keys.journey(shard, key), keys.ties(shard, key), keys.consent(shard, key)
        found = await self._ask(self._client.hgetall(journey))
        seen = unpack_journey(key, [found]) if META in found else None
        entries = () if seen is None else seen.entries
        old = [one for one in entries if one.event_time_micros <= until_micros]
        if found and len(old) == len(entries):
            await self._ask(self._client.delete(journey))
        elif old:
            await self._ask(self._client.hdel(journey, *(one.event_hash.to_bytes(EVENT_BYTES) for one in old)))
        traces = await self._old_traces(keys.traces(shard, key), until_micros)
        if traces:
            await self._ask(self._client.hdel(keys.traces(shard, key), *traces))
        firsts = await self._old_firsts(keys.firsts(shard, key), until_micros)
        if firsts:
            await self._ask(self._client.hdel(keys.firsts(shard, key), *firsts))
        await self._ask(self._client.hdel(journey, ACQUIRED, SEEN))  # the next touch is compared with what is left
        severed = await self._forget_ties(workspace, token, ties, until_micros)
        said = await self._ask(self._client.hgetall(ledger))
        gone = [name for name in said if decision_micros(name) <= until_micros]
        if gone:
            await self._ask(self._client.hdel(ledger, *gone))
        return {
            "journey_events": len(old),
            "traces": len(traces),
            "firsts": len(firsts),
            "ties": severed,
            "decisions": len(gone),
        }

    async def forget_conversions(
        self, erasure: Erasure, held: Mapping[str, int], stays: Mapping[str, Collection[bytes]]
    ) -> int:
        """Destroys what is kept of the conversions of an erasure; returns how many there were.

        Where they are removed, what data_driven learned of them is taken back in the same step.

        Args:
            erasure: Whose they are.
            held: Ids of those of them that are destroyed, each with its last revision.
            stays: Fields that are never gone, by key: they say whose a conversion is if it comes again, or what
                happened after the erasure.

        Raises:
            Backpressure: Some were published since, and are still there: sever what that was first.
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        await self._forget_events(erasure, stays)
        pieces = []
        for conversion_id, revision in sorted(held.items()):
            name = conversion_key(erasure.workspace, conversion_id)
            shard, staying = shard_of_key(name, self._shards), stays.get(name, ())
            pieces.append(Piece(shard, keys.conversion(shard, name), (revision, len(staying), *staying)))
        calls, _ = in_calls(pieces, (int(erasure.removes),), first_key=keys.published)
        answers = await run(self._client, _FORGET, calls)
        if any(moved for _, moved in answers):
            raise Backpressure("Conversions of the person were published meanwhile.", pause_seconds=1.0)
        count: int = sum(forgotten for forgotten, _ in answers)
        for conversion_id in held:
            name = conversion_key(erasure.workspace, conversion_id)
            shard = shard_of_key(name, self._shards)
            await self._ask(self._client.zrem(keys.deferred(shard), name))
            await self._ask(self._client.zrem(keys.deferred_since(shard), name))
        return count

    async def forget_observed(self, workspace: str, observed: Iterable[Observed]) -> None:
        """Destroys in the journeys of others which conversions of a person they observed; that they did stays.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        seen: dict[str, list[bytes]] = defaultdict(list)
        for one in observed:
            name = digest_of(one.name.encode()).to_bytes(EVENT_BYTES)
            own = b"" if one.own_first is None else pack_first(one.own_first)
            order = one.order.to_bytes(EVENT_BYTES) if one.order else b""
            seen[person_key(workspace, one.token)] += (event_field(one.event_hash), name, own, order)
        pieces = []
        for place, own_events in seen.items():
            shard = shard_of_key(place, self._shards)
            pieces.append(Piece(shard, keys.journey(shard, place), (len(own_events) // _OF_OBSERVED, *own_events)))
        calls, _ = in_calls(pieces)
        await run(self._client, _FORGET_OBSERVED, calls)

    async def _forget_events(self, erasure: Erasure, stays: Mapping[str, Collection[bytes]]) -> None:
        """Destroys which conversions events of before observed, as the records have lost it.

        Before the conversions go: one that is told again in between is no longer the erasure's (`told_again`).
        """
        gone = {name.encode() for name in (*erasure.conversion_ids, *erasure.own_names)}
        for own_id in erasure.own_names:
            name = conversion_key(erasure.workspace, own_id)
            key = keys.conversion(shard_of_key(name, self._shards), name)
            if FORWARD not in stays.get(name, ()) and await self._ask(self._client.hget(key, FORWARD)) in gone:
                await self._ask(self._client.hdel(key, FORWARD))

    async def held(self, workspace: str, tokens: Sequence[str], until_micros: int) -> dict[str, int]:
        """Returns how much is kept of identifiers until a moment, by what it is.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        counts = dict.fromkeys(("journey_events", "traces", "firsts", "ties", "decisions"), 0)
        for token in tokens:
            key = person_key(workspace, token)
            shard = shard_of_key(key, self._shards)
            found = await self._ask(self._client.hgetall(keys.journey(shard, key)))
            if META in found:
                entries = unpack_journey(key, [found]).entries
                counts["journey_events"] += sum(one.event_time_micros <= until_micros for one in entries)
            counts["traces"] += len(await self._old_traces(keys.traces(shard, key), until_micros))
            counts["firsts"] += len(await self._old_firsts(keys.firsts(shard, key), until_micros))
            counts["ties"] += len(await self._old_ties(token, keys.ties(shard, key), until_micros))
            said = await self._ask(self._client.hkeys(keys.consent(shard, key)))
            counts["decisions"] += sum(decision_micros(name) <= until_micros for name in said)
        return counts

    async def _old_traces(self, traces: str, until_micros: int) -> list[bytes]:
        """Returns the fields of what was left until a moment."""
        found = await self._ask(self._client.hgetall(traces))
        return [field for field, value in found.items() if time_of(value) <= until_micros]

    async def _old_firsts(self, firsts: str, until_micros: int) -> list[bytes]:
        """Returns the fields of how an identifier began until a moment."""
        found = await self._ask(self._client.hgetall(firsts))
        return [field for field, value in found.items() if time_of_first(field, value) <= until_micros]

    async def _old_ties(self, token: str, ties: str, until_micros: int) -> list[str]:
        """Returns with whom an identifier was seen until a moment, and not after it."""
        flat = await self._ask(self._client.hgetall(ties))
        held = unpack_ties(token, [part for pair in flat.items() for part in pair]).ties if flat else ()
        return [tie.other(token) for tie in held if all(span[0] <= until_micros for span in tie.spans)]

    async def _forget_ties(self, workspace: str, token: str, ties: str, until_micros: int) -> int:
        others = await self._old_ties(token, ties, until_micros)
        for other in others:
            key = person_key(workspace, other)
            await self._ask(self._client.hdel(keys.ties(shard_of_key(key, self._shards), key), token))
        if others:
            await self._ask(self._client.hdel(ties, *others))
        flat = await self._ask(self._client.hgetall(ties))
        if flat and not unpack_ties(token, [part for pair in flat.items() for part in pair]).ties:
            await self._ask(self._client.delete(ties))
        return len(others)

    async def _forget_clicks(self, workspace: str, numbers: Collection[int]) -> int:
        names = [f"{workspace}|{number:016x}" for number in numbers]
        gone = 0
        for name in names:
            gone += await self._ask(self._client.delete(keys.click(shard_of_key(name, self._shards), name)))
        return gone

    async def _ask(self, answer: Any) -> Any:
        try:
            return await answer
        except redis.RedisError as error:
            raise failed(error) from error


def _clicks_until(until_micros: int, entries: Iterable[JourneyTouch]) -> set[int]:
    """Returns the numbers of the click ids that events until a moment carry, and none after it."""
    clicks: dict[bool, set[int]] = {True: set(), False: {0}}
    for one in entries:
        clicks[one.event_time_micros <= until_micros].add(one.click)
    return clicks[True] - clicks[False]
