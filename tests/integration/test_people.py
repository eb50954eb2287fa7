"""People become one in any order, from any number of workers, and stop nowhere in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from tributary_domain.journey import JourneyTouch
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.journey_layout import (
    ALIAS,
    META,
    Journey,
    event_field,
    pack_conversion,
    pack_sighting,
    pack_touch,
)
from tributary_storage.redis.journeys import AppliedJourney, JourneyChange, Journeys
from tributary_storage.redis.people import Lives, People, Sighted, person_key

SHARDS = 4
LIVES = Lives(journey_seconds=3600, alias_seconds=7200, journey_events=10_000)
AN_ORDER = (event_field(1), pack_conversion(JourneyTouch(1_500, 1), f"c1:{1:032x}"))


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="test") as opened:
        yield opened


def sighted(number: int, *tokens: str) -> Sighted:
    """An event at the time of its number, with these tokens."""
    touch = JourneyTouch(1_000 + number, number)
    sightings = [pack_sighting(1_000 + number, number, position) for position in range(len(tokens))]
    return Sighted("w", tokens, (event_field(number), pack_touch(touch)), sightings)


def token(number: int) -> str:
    return f"visitor:{number:022d}"


async def find(people: People, *tokens: str) -> Journey:
    journey = await people.find("w", [person_key("w", token) for token in tokens])
    assert journey is not None
    return journey


def components(events: list[Sighted]) -> list[tuple[set[str], set[int]]]:
    """Returns who is one person, by definition: tokens and events that are connected."""
    groups: list[tuple[set[str], set[int]]] = []
    for event in events:
        assert event.entry is not None
        joined = ({*event.tokens}, {int.from_bytes(event.entry[0])})
        apart = []
        for group in groups:
            if group[0] & joined[0]:
                joined = (joined[0] | group[0], joined[1] | group[1])
            else:
                apart.append(group)
        groups = [*apart, joined]
    return groups


async def check(client: redis.asyncio.Redis, events: list[Sighted]) -> None:
    """Checks that there is one journey per person with all of it, and that everything else points there."""
    people = People(client, SHARDS)
    for tokens, numbers in components(events):
        journeys = {(await find(people, token)).person_key: await find(people, token) for token in tokens}
        assert len(journeys) == 1
        [journey] = journeys.values()
        assert journey.tokens.keys() == tokens
        assert {entry.event_hash for entry in journey.entries} == numbers
        first = min(events, key=lambda event: event.sightings[0] if tokens & {*event.tokens} else b"\xff")
        assert journey.person_id == person_key("w", first.tokens[0])
    async for key in client.scan_iter(match=keys.journey(0, "*").replace("{p0}", "{p*}")):
        fields = await client.hgetall(key)
        assert ALIAS not in fields or len(fields) == 1
        life = LIVES.alias_seconds if ALIAS in fields else LIVES.journey_seconds
        assert life - 60 < await client.ttl(key) <= life


def a_crowd(seed: int) -> list[Sighted]:
    rng = random.Random(seed)
    events = []
    for number in range(1, 60):
        count = rng.choice([1, 1, 1, 2, 2, 3])
        events.append(sighted(number, *(token(one) for one in rng.sample(range(40), count))))
    return events


@pytest.mark.parametrize("seed", range(8))
async def test_any_order_and_grouping_makes_the_same_people(client: redis.asyncio.Redis, seed: int) -> None:
    events = a_crowd(seed)
    rng = random.Random(seed)
    arrivals = events + rng.sample(events, 20)
    rng.shuffle(arrivals)
    while arrivals:
        size = rng.choice([1, 2, 5, 20])
        await People(client, SHARDS).settle(arrivals[:size], LIVES, 0)
        arrivals = arrivals[size:]
    await check(client, events)


@pytest.mark.parametrize("seed", range(8))
async def test_many_workers_at_once_make_the_same_people(client: redis.asyncio.Redis, seed: int) -> None:
    events = a_crowd(seed)
    shuffled = random.Random(seed).sample(events, len(events))

    async def work(mine: list[Sighted]) -> None:
        people = People(client, SHARDS)
        for at in range(0, len(mine), 2):
            await people.settle(mine[at : at + 2], LIVES, 0)

    await asyncio.gather(*(work(shuffled[start::6]) for start in range(6)))
    await check(client, events)


async def test_a_long_journey_moves_whole(client: redis.asyncio.Redis) -> None:
    people = People(client, SHARDS)
    events = [sighted(number, token(number % 2)) for number in range(1, 6_001)]
    await people.settle(events, LIVES, 0)
    link = sighted(6_001, token(0), token(1))
    [person] = await people.settle([link], LIVES, 0)
    assert person.is_merged
    await check(client, [*events, link])


async def test_versions_grow_over_merges(client: redis.asyncio.Redis) -> None:
    people = People(client, SHARDS)
    before = await people.settle([sighted(1, token(0)), sighted(2, token(1))], LIVES, 0)
    [after] = await people.settle([sighted(3, token(0), token(1))], LIVES, 0)
    assert after.version > max(person.version for person in before)


async def test_the_same_event_again_changes_no_version(client: redis.asyncio.Redis) -> None:
    people = People(client, SHARDS)
    [first] = await people.settle([sighted(1, token(0), token(1))], LIVES, 0)
    [again] = await people.settle([sighted(1, token(0), token(1))], LIVES, 0)
    assert again.version == first.version


async def test_two_workspaces_share_nobody(client: redis.asyncio.Redis) -> None:
    people = People(client, SHARDS)
    event = sighted(1, token(0))
    await people.settle([event, Sighted("other", event.tokens, event.entry, event.sightings)], LIVES, 0)
    assert person_key("w", token(0)) != person_key("other", token(0))
    assert await people.find("third", [person_key("third", token(0))]) is None


async def test_a_customer_who_logged_in_long_ago_is_still_who_visited_yesterday(client: redis.asyncio.Redis) -> None:
    people = People(client, SHARDS)
    await people.settle([sighted(1, token(0), token(1))], LIVES, 0)
    [journey] = [key async for key in client.scan_iter(match="*journey*") if not await client.hexists(key, ALIAS)]
    await client.delete(journey)  # its life is shorter
    await people.settle([sighted(2, token(0))], LIVES, 0)
    await people.settle([sighted(3, token(1))], LIVES, 0)
    assert {entry.event_hash for entry in (await find(people, token(0))).entries} == {2, 3}


async def test_one_person_may_have_many_tokens_in_one_batch(client: redis.asyncio.Redis) -> None:
    events = [sighted(n, token(0), *(token(20 * n + one) for one in range(1, 20))) for n in range(1, 201)]
    people = People(client, SHARDS)
    [person] = await people.settle(events, LIVES, 0)
    await people.settle(events, LIVES, 0)
    journey = await find(people, token(1_234))
    assert len(person.events) == len(journey.entries) == 200
    assert journey.tokens.keys() == {one for event in events for one in event.tokens}


async def test_a_person_with_many_tokens_becomes_another_and_goes_on(client: redis.asyncio.Redis) -> None:
    tokens = sorted(map(token, range(5_000)), key=lambda one: person_key("w", one))
    smallest, *others = tokens
    events = [sighted(1 + at, others[0], *others[at : at + 10]) for at in range(1, len(others), 10)]
    people = People(client, SHARDS)
    for start in range(0, len(events), 100):
        await people.settle(events[start : start + 100], LIVES, 0)
    events.append(sighted(9_000, others[-1], smallest))
    await people.settle(events[-1:], LIVES, 0)
    events.append(sighted(9_001, others[17]))
    await people.settle(events[-1:], LIVES, 0)
    journey = await find(people, others[3])
    assert journey.person_key == person_key("w", smallest)
    assert journey.tokens.keys() == set(tokens)
    assert len(journey.entries) == len(events)


async def test_what_a_crash_between_the_parts_of_a_large_change_left_is_finished(client: redis.asyncio.Redis) -> None:
    events = [sighted(number, token(number)) for number in range(2, 3_000)]
    entries = dict([AN_ORDER, *(event.entry for event in events if event.entry is not None)])
    sightings = {event.tokens[0].encode(): event.sightings[0] for event in events}
    journeys = Journeys(client, SHARDS)
    for crashed_after in (1000, 2000):
        begun = JourneyChange("a-person", dict(list(entries.items())[:crashed_after]), {})
        await journeys.apply([begun], 3600, 0)
    for _ in range(2):
        [applied] = await journeys.apply([JourneyChange("a-person", entries, sightings)], 3600, 0)
        assert isinstance(applied, AppliedJourney)
        assert applied.why == 2
        assert applied.fields is not None
        assert applied.fields.keys() == {*entries, *sightings, META}


async def test_a_conversion_among_many_events_is_answered_with_the_whole_journey(client: redis.asyncio.Redis) -> None:
    events = [sighted(number, token(1)) for number in range(2, 2_500)]
    entries = dict([AN_ORDER, *(event.entry for event in events if event.entry is not None)])
    [applied] = await Journeys(client, SHARDS).apply([JourneyChange("a-person", entries, {})], 3600, 0)
    assert isinstance(applied, AppliedJourney)
    assert applied.fields is not None
    assert entries.items() <= applied.fields.items()
