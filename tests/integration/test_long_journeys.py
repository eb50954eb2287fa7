"""A journey in the state store is bounded, however busy or long-lived its person, and says since when it is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

import pytest
import redis.asyncio

from tributary_domain.journey import NO_CONSENT, QUARANTINED, JourneyTouch, TouchKind
from tributary_runtime.clock import SystemClock
from tributary_storage.redis.client import connect
from tributary_storage.redis.journey_layout import (
    Journey,
    event_field,
    meta_of,
    pack_conversion,
    pack_touch,
    unpack_journey,
)
from tributary_storage.redis.journeys import AppliedJourney, JourneyChange, Journeys, Visit

LIFE_SECONDS = 3_600
KEPT = 100
SECOND = 1_000_000


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="test") as opened:
        yield opened


@pytest.fixture
def journeys(client: redis.asyncio.Redis) -> Journeys:
    return Journeys(client, 4)


def touches(hashes: Iterable[int], *, at: int = 1_000 * SECOND, **own: int) -> dict[bytes, bytes]:
    """Touches, one per second, whose numbers are their hashes."""
    return {event_field(one): pack_touch(JourneyTouch(at + one * SECOND, one, **own)) for one in hashes}


async def journey_after(journeys: Journeys, *changes: Mapping[bytes, bytes], life: int = LIFE_SECONDS) -> Journey:
    for change in changes:
        await journeys.apply([JourneyChange("a", change, {})], life, 0, KEPT)
    [fields] = await journeys.read_each(["a"])
    return unpack_journey("a", [fields])


def numbers(journey: Journey) -> list[int]:
    return sorted(entry.event_hash for entry in journey.entries)


async def test_the_oldest_go_where_there_are_too_many(journeys: Journeys) -> None:
    journey = await journey_after(journeys, touches(range(1, 126)))
    assert numbers(journey) == list(range(1, 126))
    assert (journey.trimmed_until_micros, journey.has_lost_touches) == (0, False)
    journey = await journey_after(journeys, touches([126]))
    assert numbers(journey) == list(range(27, 127))
    assert journey.trimmed_until_micros == 1_027 * SECOND
    assert journey.has_lost_touches


async def test_what_carries_an_id_is_known_however_many_push_it_out(journeys: Journeys) -> None:
    clicked, denied = touches([1], click=7), touches([2], click=8, flags=NO_CONSENT)
    order = {event_field(5_000): pack_conversion(JourneyTouch(9_000 * SECOND, 5_000), f"c1:{1:032x}")}
    journey = await journey_after(journeys, clicked | denied, touches(range(10, 400)))
    assert numbers(journey) == [1, *range(300, 400)]
    [applied] = await journeys.apply([JourneyChange("a", order, {})], LIFE_SECONDS, 0, KEPT)
    assert applied.fields is not None
    assert numbers(unpack_journey("a", [applied.fields])) == [1, *range(300, 400), 5_000]
    [visited] = await journeys.visit([Visit("a")], LIFE_SECONDS)
    assert visited.fields is not None
    assert {name for name in visited.fields if len(name) == 8} == {name for name in applied.fields if len(name) == 8}


async def test_a_thousand_events_with_ids_and_no_more_outlive_a_journey(
    journeys: Journeys, client: redis.asyncio.Redis
) -> None:
    for first in range(1, 2_402, 400):
        await journeys.apply([JourneyChange("a", touches(range(first, first + 400), click=7), {})], LIFE_SECONDS, 0)
    firsts = [key async for key in client.scan_iter(match="trb:*:journey:a:firsts")]
    assert [await client.hlen(key) for key in firsts] == [1_201]  # and who it was acquired by


async def test_a_journey_stays_bounded_whatever_the_order(journeys: Journeys) -> None:
    backwards = [touches(range(at, at + 50)) for at in range(2_000, 0, -50)]
    journey = await journey_after(journeys, *backwards)
    assert len(journey.entries) <= KEPT + KEPT // 4 + 50
    assert set(range(1_950, 2_050)) <= {entry.event_hash for entry in journey.entries}


async def test_what_is_only_seen_or_quarantined_pushes_out_nothing_else(journeys: Journeys) -> None:
    good, flood = touches(range(1, 51)), touches(range(1_000, 2_000), kind=TouchKind.IMPRESSION)
    bots = touches(range(3_000, 4_000), flags=QUARANTINED)
    journey = await journey_after(journeys, good, flood, bots)
    assert numbers(journey)[:50] == list(range(1, 51))
    assert len(journey.entries) <= 50 + KEPT // 4 + 1
    assert journey.trimmed_until_micros == 0


async def test_the_answer_to_what_made_it_too_long_is_what_is_left(journeys: Journeys) -> None:
    order = {event_field(5_000): pack_conversion(JourneyTouch(9_000 * SECOND, 5_000), f"c1:{1:032x}")}
    [applied] = await journeys.apply([JourneyChange("a", touches(range(1, 500)) | order, {})], LIFE_SECONDS, 0, KEPT)
    assert isinstance(applied, AppliedJourney)
    assert applied.fields is not None
    assert len(unpack_journey("a", [applied.fields]).entries) == KEPT


async def live_past_its_life(
    journeys: Journeys, client: redis.asyncio.Redis, *changes: Mapping[bytes, bytes]
) -> Journey:
    """Applies changes to a journey, the last one when it is older than its life; each use keeps it alive."""
    await journey_after(journeys, *changes[:-1])
    [key] = [key async for key in client.scan_iter(match="trb:*:journey:a")]
    created = SystemClock().unix_micros() - (LIFE_SECONDS + 1) * SECOND
    meta = meta_of(await client.hgetall(key))._replace(create_time_micros=created, look_seconds=0)  # type: ignore[arg-type]
    await client.hset(key, "m", meta.pack())  # type: ignore[arg-type]
    return await journey_after(journeys, changes[-1])


async def test_a_journey_that_lives_on_loses_what_is_older_than_its_life(
    journeys: Journeys, client: redis.asyncio.Redis
) -> None:
    now = SystemClock().unix_micros() // SECOND * SECOND
    old = touches([1], at=now - 2 * LIFE_SECONDS * SECOND)
    clicked = touches([2], at=now - 2 * LIFE_SECONDS * SECOND, click=7)
    named = touches([3], at=now - 2 * LIFE_SECONDS * SECOND, interaction=8)
    young = touches([4], at=now - LIFE_SECONDS * SECOND // 2)
    journey = await live_past_its_life(journeys, client, old | clicked | named | young, touches([5], at=now))
    assert numbers(journey) == [2, 3, 4, 5]
    assert journey.has_lost_touches
    assert journey.trimmed_until_micros == 0
    assert now <= journey.since_micros + LIFE_SECONDS * SECOND <= now + 60 * SECOND


async def test_what_a_backfill_brings_lives_as_long_as_what_is_new(
    journeys: Journeys, client: redis.asyncio.Redis
) -> None:
    now = SystemClock().unix_micros() // SECOND * SECOND
    years_ago = touches([2], at=now - 1_000 * LIFE_SECONDS * SECOND)
    journey = await live_past_its_life(journeys, client, touches([1], at=now), years_ago)
    assert numbers(journey) == [1, 2]
    journey = await journey_after(journeys, touches([3], at=now))
    assert numbers(journey) == [1, 2, 3]
