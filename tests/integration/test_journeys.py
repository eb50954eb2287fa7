"""A journey is found by whatever names its person, and by nobody else's name."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.attribution import DAY, NOON, Attribution, Events, running_attribution
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_domain.identifiers import Identification
from tributary_runtime.errors import NotFoundError


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


async def test_steps_are_in_event_order_and_say_what_they_are(
    attribution: Attribution, events: Events, workspace: str
) -> None:
    await attribution.handle(
        events.order("visitor:a"),
        events.touch("visitor:a", at=NOON - 60_000_000, continues_session=True),
        events.touch("visitor:a", at=NOON - 120_000_000, channel="Email"),
        events.touch("visitor:a", at=NOON - 2 * DAY, channel="Direct"),
    )
    journey = await attribution.journeys.by_conversion_id(workspace, events.conversion_id())
    assert [step.WhichOneof("step") for step in journey.steps] == ["touchpoint"] * 3 + ["conversion"]
    assert [step.touchpoint.source.channel for step in journey.steps][:2] == ["Direct", "Email"]
    assert journey.steps[2].touchpoint.continues_session
    first, *later = (step.session for step in journey.steps)
    assert len(set(later)) == 1
    assert first not in later
    assert list(journey.identity_tokens) == ["visitor:a"]
    assert not journey.HasField("complete_since_time")


async def test_a_plain_address_finds_its_person(attribution: Attribution, events: Events, workspace: str) -> None:
    identifiers = Identifiers(email="Jo@Example.com", visitor_id="never seen")
    tokens = Identification(b"pepper", None).identify(Identifiers(email="jo@example.com")).tokens
    await attribution.handle(events.touch(*tokens))
    journey = await attribution.journeys.by_identifiers(workspace, identifiers)
    assert len(journey.steps) == 1


async def test_the_id_of_a_person_who_became_another_leads_there(
    attribution: Attribution, events: Events, workspace: str
) -> None:
    await attribution.handle(events.touch("visitor:a", at=NOON - DAY), events.order("visitor:b", at=NOON))
    old = (await attribution.journeys.by_conversion_id(workspace, events.conversion_id())).person_id
    await attribution.handle(events.identify("visitor:a", "visitor:b"))
    merged = await attribution.journeys.by_person_id(workspace, old)
    assert merged.person_id != old
    assert await attribution.journeys.by_person_id(workspace, merged.person_id) == merged
    assert len(merged.steps) == 2


async def test_another_workspace_s_person_is_not_found(
    attribution: Attribution, events: Events, workspace: str, redis_url: str, clickhouse_url: str
) -> None:
    await attribution.handle(events.touch("visitor:a"), events.order("visitor:a"))
    known = (await attribution.journeys.by_conversion_id(workspace, events.conversion_id())).person_id
    async with running_attribution(redis_url, clickhouse_url, f"{workspace}-x") as other:
        with pytest.raises(NotFoundError):
            await other.journeys.by_person_id(f"{workspace}-x", known)
        with pytest.raises(NotFoundError):
            await other.journeys.by_conversion_id(f"{workspace}-x", events.conversion_id())
        with pytest.raises(NotFoundError):
            await other.journeys.by_person_id("no-such-workspace", known)
