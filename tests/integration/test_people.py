"""Journeys of identifiers are united as the ties between them say: whenever it is asked, by any number of workers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial

import pytest
import redis.asyncio

from tributary_domain.identity import IdentityLimits, Person
from tributary_domain.journey import JourneyTouch
from tributary_domain.shards import shard_of_key
from tributary_domain.ties import OperatorWord, edges_of, join, operator_edge
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.journey_homes import Lives, Regrouped, SettledPerson, Sighted
from tributary_storage.redis.journey_layout import (
    ACQUIRED,
    META,
    event_field,
    pack_conversion,
    pack_sighting,
    pack_touch,
)
from tributary_storage.redis.journeys import JourneyChange, Journeys, Visit, VisitedJourney
from tributary_storage.redis.people import People
from tributary_storage.redis.tie_layout import HeldTies
from tributary_storage.redis.ties import Place, person_key

SHARDS = 4
LIVES = Lives(journey_seconds=3600, ties_seconds=7200, journey_events=10_000)
AN_ORDER = (event_field(1), pack_conversion(JourneyTouch(1_500, 1), f"c1:{1:032x}"))
CUSTOMER, EMAIL, LAPTOP, PHONE = "customer:c", "email:e", "visitor:laptop", "visitor:phone"


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="test") as opened:
        yield opened


@pytest.fixture
def people(client: redis.asyncio.Redis) -> People:
    return People(client, SHARDS)


def touched(number: int, token: str, workspace: str = "w") -> Sighted:
    """A touch at the time of its number."""
    at = 1_000 + number
    entry = event_field(number), pack_touch(JourneyTouch(at, number))
    return Sighted(workspace, token, entry, pack_sighting(at, number, 0))


def ordered(number: int, token: str) -> Sighted:
    at = 1_000 + number
    entry = event_field(number), pack_conversion(JourneyTouch(at, number), f"c1:{number:032x}")
    return Sighted("w", token, entry, pack_sighting(at, number, 0))


async def tie(people: People, *events: Sequence[str]) -> dict[tuple[str, str], Regrouped]:
    """Ties identifiers that were seen together, one event after another."""
    edges = [edge for number, tokens in enumerate(events) for edge in edges_of(tokens, number, number)]
    named = {("w", token) for edge in edges for token in edge.pair}
    held = await people.ties.read(named)
    joined = join(edges, IdentityLimits().shared_device_days, [tie for own in held.values() for tie in own.ties])
    own = {place: [tie for tie in joined.values() if place[1] in tie.pair] for place in named}
    changes = {place: (held[place].version, ties, ()) for place, ties in own.items()}
    assert await people.ties.write(changes, LIVES.ties_seconds) == []
    return dict.fromkeys(named, Regrouped(is_merged=True, is_split=False))


async def numbers(people: People, token: str) -> set[int]:
    journey = await people.find("w", [token])
    return set() if journey is None else {entry.event_hash for entry in journey.entries}


async def test_the_journey_of_a_person_is_that_of_all_identifiers(people: People) -> None:
    await people.settle([touched(1, LAPTOP), touched(2, PHONE), ordered(3, CUSTOMER)], LIVES, 0)
    assert await numbers(people, PHONE) == {2}
    await tie(people, (CUSTOMER, LAPTOP), (CUSTOMER, PHONE))
    for token in (CUSTOMER, LAPTOP, PHONE):
        journey = await people.find("w", [token])
        assert journey is not None
        assert journey.tokens == {CUSTOMER, LAPTOP, PHONE}
        assert {entry.event_hash for entry in journey.entries} == {1, 2, 3}
        assert journey.person_id == person_key("w", CUSTOMER)


async def test_a_touch_on_a_tied_device_shows_the_conversion_of_another(people: People) -> None:
    regrouped = await tie(people, (CUSTOMER, LAPTOP))
    assert await people.settle([touched(1, LAPTOP)], LIVES, 0, regrouped) == []  # nobody converted
    await people.settle([ordered(5, CUSTOMER)], LIVES, 0)
    [person] = await people.settle([touched(2, LAPTOP)], LIVES, 0)
    assert person.why == 1
    assert {entry.event_hash for entry in person.journey.entries} == {1, 2, 5}


async def test_a_device_that_comes_back_after_its_journey_expired_still_shows_it(
    people: People, client: redis.asyncio.Redis
) -> None:
    await people.settle([touched(1, LAPTOP)], LIVES, 0, await tie(people, (CUSTOMER, LAPTOP)))
    await people.settle([ordered(5, CUSTOMER)], LIVES, 0)
    key = person_key("w", LAPTOP)
    await client.delete(keys.journey(shard_of_key(key, SHARDS), key))
    [person] = await people.settle([touched(2, LAPTOP)], LIVES, 0)
    assert {entry.event_hash for entry in person.journey.entries} == {2, 5}


async def test_ties_outlive_journeys_and_are_renewed_with_what_needs_them(
    people: People, client: redis.asyncio.Redis
) -> None:
    await people.settle([touched(1, LAPTOP)], LIVES, 0, await tie(people, (CUSTOMER, LAPTOP)))
    async for key in client.scan_iter(match="trb:*:ties"):
        await client.expire(key, 10)
    await people.settle([ordered(5, CUSTOMER)], LIVES, 0)
    async for key in client.scan_iter(match="trb:*"):
        if key.endswith(b":firsts"):  # for ever of whoever converted
            continue
        life = LIVES.ties_seconds if key.endswith(b":ties") else LIVES.journey_seconds
        assert life - 60 < await client.ttl(key) <= life


async def test_who_reads_a_journey_after_people_changed_computes_from_a_newer_one(people: People) -> None:
    [before] = await people.settle([ordered(5, CUSTOMER)], LIVES, 0)
    await people.settle([touched(1, LAPTOP)], LIVES, 0)
    [after] = await people.settle([], LIVES, 0, await tie(people, (CUSTOMER, LAPTOP)))
    assert after.journey.version > before.journey.version
    assert after.is_merged
    assert after.why == 0


async def test_the_same_event_again_changes_no_version_and_asks_for_all(people: People) -> None:
    [first] = await people.settle([ordered(1, CUSTOMER)], LIVES, 0)
    [again] = await people.settle([ordered(1, CUSTOMER)], LIVES, 0)
    assert again.journey.version == first.journey.version
    assert (first.why, again.why) == (1, 2)


async def test_a_trim_of_one_journey_is_one_of_the_person_s(people: People) -> None:
    short = LIVES._replace(journey_events=100)
    await people.settle([touched(number, LAPTOP) for number in range(1, 127)], short, 0)
    await people.settle([touched(1_000, CUSTOMER)], short, 0)
    await tie(people, (CUSTOMER, LAPTOP))
    journey = await people.find("w", [CUSTOMER])
    assert journey is not None
    assert journey.trimmed_until_micros > 0
    assert journey.has_lost_touches


async def test_two_workspaces_share_nobody(people: People) -> None:
    await people.settle([touched(1, CUSTOMER), touched(1, CUSTOMER, "other")], LIVES, 0)
    assert person_key("w", CUSTOMER) != person_key("other", CUSTOMER)
    assert await people.find("third", [CUSTOMER]) is None
    assert await people.token_of("other", person_key("w", CUSTOMER)) is None


async def test_a_person_id_is_known_as_long_as_the_ties_of_whom_it_named(
    people: People, client: redis.asyncio.Redis
) -> None:
    await people.settle([touched(1, LAPTOP)], LIVES, 0)
    await tie(people, (CUSTOMER, LAPTOP))
    assert await people.token_of("w", person_key("w", LAPTOP)) == LAPTOP
    async for key in client.scan_iter(match="trb:*:journey:*"):
        if not key.endswith(b":ties"):
            await client.delete(key)
    assert await people.token_of("w", person_key("w", LAPTOP)) == LAPTOP


Meanwhile = Callable[[], Awaitable[object]]


class Overtaken(People):
    """Is overtaken by others: after it has read who is who, and after it has visited journeys first."""

    after_people: Meanwhile | None = None
    after_visit: Meanwhile | None = None

    async def _people_of(self, places: Collection[Place], ties: dict[Place, HeldTies]) -> dict[Place, Person]:
        people = await super()._people_of(places, ties)
        meanwhile, self.after_people = self.after_people, None
        if meanwhile is not None:
            await meanwhile()
        return people


class OvertakenJourneys(Journeys):
    """The journeys of one who is overtaken."""

    def __init__(self, client: redis.asyncio.Redis, owner: Overtaken) -> None:
        super().__init__(client, SHARDS)
        self._owner = owner

    async def visit(self, visits: Sequence[Visit], ties_seconds: int) -> list[VisitedJourney]:
        found = await super().visit(visits, ties_seconds)
        meanwhile, self._owner.after_visit = self._owner.after_visit, None
        if meanwhile is not None:
            await meanwhile()
        return found


async def test_who_was_parted_from_a_journey_of_a_fast_clock_computes_from_a_newer_one(
    people: People, client: redis.asyncio.Redis
) -> None:
    places = [("w", CUSTOMER), ("w", LAPTOP)]
    await tie(people, (CUSTOMER, LAPTOP))
    await people.settle([ordered(20, CUSTOMER), touched(10, LAPTOP)], LIVES, 0)
    name = person_key("w", LAPTOP)
    laptop = keys.journey(shard_of_key(name, SHARDS), name)
    meta = await client.hget(laptop, META)
    assert meta is not None
    version = int.from_bytes(meta[:8]) + 10**12  # Redis of another node, whose clock is ahead
    await client.hset(laptop, META, version.to_bytes(8) + meta[8:])
    before = await people.find("w", [CUSTOMER])
    assert before is not None
    assert before.version == version
    held = await people.ties.read(places)
    apart = operator_edge(CUSTOMER, LAPTOP, OperatorWord.SEPARATED, 5_000, 5)
    assert await people.ties.write({place: (held[place].version, [apart], ()) for place in places}, 7200) == []

    found = await people.settle([], LIVES, 0, dict.fromkeys(places, Regrouped(False, True)))

    [customer] = [person for person in found if person.tokens == (CUSTOMER,)]
    assert customer.journey.version > version


async def test_who_is_overtaken_by_a_split_sees_it(client: redis.asyncio.Redis) -> None:
    slow, quick = Overtaken(client, SHARDS), People(client, SHARDS)
    await tie(quick, (CUSTOMER, LAPTOP))
    await quick.settle([ordered(20, CUSTOMER)], LIVES, 10**9)

    async def part() -> None:
        places = [("w", CUSTOMER), ("w", LAPTOP)]
        held = await quick.ties.read(places)
        apart = operator_edge(CUSTOMER, LAPTOP, OperatorWord.SEPARATED, 5_000, 5)
        changes = {place: (held[place].version, [apart], ()) for place in places}
        assert await quick.ties.write(changes, LIVES.ties_seconds) == []
        found = await quick.settle([], LIVES, 10**9, dict.fromkeys(places, Regrouped(False, True)))
        assert {person.tokens for person in found} == {(CUSTOMER,), (LAPTOP,)}

    slow.after_people = part
    [person] = await slow.settle([touched(10, LAPTOP)], LIVES, 10**9)
    assert person.tokens == (LAPTOP,)
    assert not person.journey.conversions


async def test_who_asks_for_a_journey_while_people_change_sees_the_change(client: redis.asyncio.Redis) -> None:
    slow, quick = Overtaken(client, SHARDS), People(client, SHARDS)
    await quick.settle([touched(1, PHONE), touched(2, CUSTOMER)], LIVES, 10**9)
    slow.after_people = partial(tie, quick, (CUSTOMER, PHONE))
    [journey] = await slow.find_each([("w", PHONE)])
    assert journey is not None
    assert journey.tokens == {CUSTOMER, PHONE}


async def test_who_is_overtaken_by_a_touch_knows_it_or_is_older(client: redis.asyncio.Redis) -> None:
    slow, quick = Overtaken(client, SHARDS), People(client, SHARDS)
    slow._journeys = OvertakenJourneys(client, slow)
    await tie(quick, (CUSTOMER, LAPTOP), (CUSTOMER, EMAIL))
    await quick.settle([ordered(20, CUSTOMER)], LIVES, 10**9)
    slow.after_people = partial(quick.settle, [touched(12, CUSTOMER)], LIVES, 10**9)
    theirs: list[SettledPerson] = []

    async def touch() -> None:
        theirs.extend(await quick.settle([touched(11, EMAIL)], LIVES, 10**9))

    slow.after_visit = touch
    [person] = await slow.settle([touched(10, LAPTOP)], LIVES, 10**9)
    [other] = theirs
    knows = 11 in {entry.event_hash for entry in person.journey.entries}
    assert knows or person.journey.version < other.journey.version


@pytest.mark.parametrize("seed", range(6))
async def test_of_what_comes_at_once_whoever_is_last_sees_all(client: redis.asyncio.Redis, seed: int) -> None:
    """Touches, orders and ties from many workers: somebody is answered with each conversion's whole journey."""
    rng = random.Random(seed)
    tokens = [CUSTOMER, EMAIL, LAPTOP, PHONE]
    events = [(ordered if number % 5 == 0 else touched)(number, rng.choice(tokens)) for number in range(1, 41)]
    last: dict[str, tuple[int, frozenset[int]]] = {}

    def note(found: Iterable[object]) -> None:
        for person in found:
            journey = person.journey  # type: ignore[attr-defined]
            for conversion_id in journey.conversions:
                seen = frozenset(entry.event_hash for entry in journey.entries)
                last[conversion_id] = max(last.get(conversion_id, (0, frozenset())), (journey.version, seen))

    async def work(mine: Sequence[Sighted]) -> None:
        people = People(client, SHARDS)
        for event in mine:
            note(await people.settle([event], LIVES, 10**9))

    async def link() -> None:
        people = People(client, SHARDS)
        regrouped = await tie(people, (CUSTOMER, LAPTOP), (CUSTOMER, EMAIL), (CUSTOMER, PHONE))
        note(await people.settle([], LIVES, 10**9, regrouped))

    await asyncio.gather(link(), *(work(events[start::4]) for start in range(4)))
    assert {seen for _, seen in last.values()} == {frozenset(range(1, 41))}


async def test_what_a_crash_between_the_parts_of_a_large_change_left_is_finished(client: redis.asyncio.Redis) -> None:
    events = [touched(number, LAPTOP) for number in range(2, 3_000)]
    entries = dict([AN_ORDER, *(event.entry for event in events if event.entry is not None)])
    journeys = Journeys(client, SHARDS)
    for crashed_after in (1000, 2000):
        begun = JourneyChange("a-person", dict(list(entries.items())[:crashed_after]), {})
        await journeys.apply([begun], 3600, 0)
    for why in (1, 2):
        [applied] = await journeys.apply([JourneyChange("a-person", entries, {})], 3600, 0)
        assert applied.why == why
        assert applied.fields is not None
        assert applied.fields.keys() == {*entries, META, ACQUIRED}


async def test_a_conversion_among_many_events_is_answered_with_the_whole_journey(client: redis.asyncio.Redis) -> None:
    events = [touched(number, LAPTOP) for number in range(2, 2_500)]
    entries = dict([AN_ORDER, *(event.entry for event in events if event.entry is not None)])
    [applied] = await Journeys(client, SHARDS).apply([JourneyChange("a-person", entries, {})], 3600, 0)
    assert applied.fields is not None
    assert entries.items() <= applied.fields.items()
