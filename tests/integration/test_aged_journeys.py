"""What a journey in the state store has forgotten for its age changes nothing by being forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.integration.test_counting import Opened, counted
from tests.integration.test_counting import opened as opened
from tests.support.attribution import DAY, Attribution, Events, running_attribution
from tests.support.stores import Stores
from tributary.attribution.v1.credit_pb2 import UnattributedReason
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse.names import micros

MINUTE: Final = 60_000_000
TODAY: Final = SystemClock().unix_micros()
LONG_AGO: Final = TODAY - 100 * DAY
LIFE: Final = 59 * DAY


@pytest.fixture
async def attribution(stores: Stores, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(stores.empty_redis_url(), clickhouse_url, workspace) as opened:
        yield opened


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


@pytest.mark.parametrize("rule", ["once_per_session", "once_per_click", "once_per_person"])
async def test_a_refund_of_a_repeat_counts_it_no_second_time(opened: Opened, workspace: str, rule: str) -> None:
    events, who = Events(workspace), "visitor:a"
    async with opened(rule) as attribution:
        clicked = events.touch(who, at=LONG_AGO - MINUTE, clicks={"gclid": "1"})
        twice = [events.order(who, at=LONG_AGO + at * MINUTE, order_id=f"{at}") for at in (0, 1)]
        await attribution.handle(clicked, *twice, backfill=True)
        before = await counted(attribution, "0", "1")
        assert before == ["", rule.upper()]
        await attribution.let_journeys_age()
        await attribution.handle(events.touch(who, at=TODAY))
        await attribution.handle(events.refund(1_000_000, order_id="1"))
        assert await counted(attribution, "0", "1") == before


@pytest.mark.parametrize("reason", ["NO_CONSENT", "ONLY_QUARANTINED", "NO_TOUCHPOINT", "OUTSIDE_WINDOW"])
async def test_a_refund_tells_no_other_reason_why_nobody_earned(
    attribution: Attribution, events: Events, reason: str
) -> None:
    who = "visitor:a"
    letter = "Q" if reason == "ONLY_QUARANTINED" else "A"
    days = {"NO_TOUCHPOINT": -1, "OUTSIDE_WINDOW": 40}.get(reason, 2)
    touch = events.touch(who, at=LONG_AGO - days * DAY, letter=letter)
    if reason == "NO_CONSENT":
        touch[1].event.consent.analytics_storage = 2
    await attribution.handle(touch, events.order(who, at=LONG_AGO), backfill=True)
    assert await told(attribution, events) == {reason}
    await attribution.let_journeys_age()
    await attribution.handle(events.touch(who, at=TODAY))
    await attribution.handle(events.refund(1_000_000))
    assert await told(attribution, events) == {reason}


async def told(attribution: Attribution, events: Events) -> set[str]:
    """Returns why nobody earned the order, under the models of the core."""
    published = await attribution.published(events.conversion_id())
    assert published is not None
    found = {model.unattributed.reason for model in published.state.models if model.name != "data_driven"}
    return {UnattributedReason.Name(one).removeprefix("UNATTRIBUTED_REASON_") for one in found}


async def test_a_journey_says_it_is_whole_only_since_what_it_has_forgotten(
    attribution: Attribution, events: Events
) -> None:
    await attribution.handle(events.touch("visitor:a", at=LONG_AGO), backfill=True)
    await attribution.let_journeys_age()
    await attribution.handle(events.touch("visitor:a", at=TODAY))
    journey = await attribution.people.find(events.workspace, ["visitor:a"])
    assert journey is not None
    shown = await attribution.journeys.by_person_id(events.workspace, journey.person_id)
    assert micros(shown.complete_since_time) >= TODAY - LIFE
