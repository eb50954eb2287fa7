"""Settings rewrite the past on purpose only, as revisions; a preview says what would change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.attribution import DAY, Attribution, Events, running_attribution
from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.explanation_pb2 import CreditSettings
from tributary.attribution.v1.reattribution_pb2 import ReattributionPage
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import InvalidRequestError
from tributary_storage.clickhouse.published_conversions import START, Place, Wanted

WHOLE = 1_000_000
EURO = 1_000_000
SOLD = SystemClock().unix_micros() - 2 * DAY
"""Journeys are whole for as long as they live: from 59 days ago on."""
LONGER = [{"lookback_days": 45}]


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


@pytest.fixture
async def before(redis_url: str, clickhouse_url: str, workspace: str, events: Events) -> AsyncIterator[Attribution]:
    """Two orders: a longer window gives the first to another channel, and nothing new to the second."""
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        await running.handle(
            events.touch("visitor:a", at=SOLD - 40 * DAY, channel="Display"),
            events.touch("visitor:a", at=SOLD - 7 * DAY, channel="Email"),
            events.order("visitor:a", at=SOLD),
            events.touch("visitor:b", at=SOLD - 3 * DAY, channel="Email"),
            events.order("visitor:b", at=SOLD + DAY, order_id="o-2", micros=10 * EURO),
        )
        yield running


@pytest.fixture
async def after(redis_url: str, clickhouse_url: str, workspace: str, before: Attribution) -> AsyncIterator[Attribution]:
    """The same, with other settings in the file."""
    async with running_attribution(redis_url, clickhouse_url, workspace, attribution=LONGER) as running:
        yield running


def wanted(attribution: Attribution, **more: Any) -> Wanted:
    span = {"start_micros": SOLD - DAY, "end_micros": SOLD + 2 * DAY}
    return Wanted(workspace=attribution.workspace.id, **{**span, **more})


def changes(page: ReattributionPage, model: str) -> dict[str, tuple[int, int]]:
    """Returns channel -> value before and after."""
    return {
        one.channel: (one.before_value_micros, one.after_value_micros) for one in page.changes if one.model == model
    }


async def revisions(attribution: Attribution, conversion_id: str) -> list[ConversionRevised]:
    return [revised for revised in await attribution.logged() if revised.state.conversion_id == conversion_id]


async def test_a_preview_tells_the_change_and_stores_nothing(before: Attribution, events: Events) -> None:
    logged = await before.logged()
    page, last = await before.reattribution.preview(wanted(before), CreditSettings(lookback_days=45))
    assert (page.conversions, page.changed, page.incomplete, last) == (2, 1, 0, None)
    assert changes(page, "first_touch") == {"Display": (0, 90 * EURO), "Email": (100 * EURO, 10 * EURO)}
    assert changes(page, "last_touch") == {"Email": (100 * EURO, 100 * EURO)}
    for model in {one.model for one in page.changes}:
        shares = [one for one in page.changes if one.model == model]
        assert sum(one.before_credit_micros for one in shares) == 2 * WHOLE
        assert sum(one.after_credit_micros for one in shares) == 2 * WHOLE
    assert await before.logged() == logged
    same, _ = await before.reattribution.preview(wanted(before))
    assert same.changed == 0


async def test_what_was_previewed_is_what_is_revised(after: Attribution, events: Events) -> None:
    preview, _ = await after.reattribution.preview(wanted(after))
    done, _ = await after.reattribution.apply(wanted(after))
    assert done == preview
    assert done.changed == 1
    first, second = await revisions(after, events.conversion_id())
    assert [RevisionCause.Name(cause) for cause in second.causes] == ["REVISION_CAUSE_SETTINGS_CHANGE"]
    assert second.state.settings_version == after.workspace.attribution[0].version != first.state.settings_version
    assert sum(delta.credit_micros for delta in second.deltas) == 0
    assert [touch.source.channel for touch in second.state.touches] == ["Display", "Email"]
    assert second.state.touches[0].credits[0].value_micros == 90 * EURO
    assert not second.HasField("cause_accept_time")  # no event caused it, and so it has no latency


async def test_a_change_that_gives_the_same_credit_makes_no_revision(after: Attribution, events: Events) -> None:
    await after.reattribution.apply(wanted(after))
    assert len(await revisions(after, events.conversion_id("o-2"))) == 1
    again, _ = await after.reattribution.apply(wanted(after))
    assert again.changed == 0
    assert len(await revisions(after, events.conversion_id())) == 2


async def test_only_what_was_asked_for_is_revised_and_pages_join(after: Attribution, events: Events) -> None:
    none, _ = await after.reattribution.apply(wanted(after, names=("signup",)))
    assert none.conversions == 0
    later, _ = await after.reattribution.apply(wanted(after, start_micros=SOLD + 1))
    assert (later.conversions, later.changed) == (1, 0)
    seen, at = 0, START
    while True:
        page, last = await after.reattribution.apply(wanted(after, after=at, limit=2))
        seen += page.conversions
        if last is None:
            break
        at = last
    assert seen == 2
    assert at == Place(SOLD, events.conversion_id())
    assert len(await revisions(after, events.conversion_id())) == 2


async def test_the_past_keeps_its_settings_where_new_ones_begin_later(
    redis_url: str, clickhouse_url: str, workspace: str, before: Attribution, events: Events
) -> None:
    appended = [{}, {"lookback_days": 45, "effective_from": "2030-01-01T00:00:00Z"}]
    async with running_attribution(redis_url, clickhouse_url, workspace, attribution=appended) as running:
        page, _ = await running.reattribution.apply(wanted(running))
        assert (page.conversions, page.changed) == (2, 0)


async def test_what_is_forgotten_keeps_its_credit_and_is_told(after: Attribution, events: Events) -> None:
    async for key in after.state.scan_iter(match="trb:*:journey:*"):
        await after.state.delete(key)
    page, _ = await after.reattribution.apply(wanted(after))
    assert (page.conversions, page.changed, page.incomplete) == (2, 0, 2)


async def test_settings_that_no_file_could_say_are_refused(before: Attribution) -> None:
    with pytest.raises(InvalidRequestError):
        await before.reattribution.preview(wanted(before, names=("nothing",)), CreditSettings(lookback_days=0))


async def test_a_moment_before_is_explained_under_the_settings_of_then(after: Attribution, before: Attribution) -> None:
    """The file says something else by now: what the version of the revision stands for was stored."""
    workspace, conversion_id = after.workspace.id, Events(after.workspace.id).conversion_id()
    await before.settings_history.store()
    await before.settings_history.store()  # again changes nothing
    then = SystemClock().unix_micros()
    await after.reattribution.apply(wanted(after))
    past = (await after.explainer.explain(workspace, conversion_id, then)).message
    assert (past.settings.version, past.settings.lookback_days) == (before.workspace.attribution[0].version, 30)
    assert past.reproduces_revision
    now = (await after.explainer.explain(workspace, conversion_id)).message
    assert now.settings.lookback_days == 45
    assert now.reproduces_revision
    unknown = await after.settings_history.find(after.workspace, "a1:of-nobody")
    assert unknown is None
