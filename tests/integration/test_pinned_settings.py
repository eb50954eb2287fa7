"""A conversion keeps the settings that it was credited under, in stream and batch, until somebody asks for others."""

from __future__ import annotations

from typing import Any

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Events
from tributary_storage.clickhouse.published_conversions import Wanted
from tributary_storage.clickhouse.settings_versions import SettingsEntry, SettingsVersions

_BEFORE: dict[str, Any] = {"attribution": [{"lookback_days": 30}]}
_AFTER: dict[str, Any] = {"attribution": [{"lookback_days": 7}]}


async def _channels(world: Reconciled, make: Events) -> dict[str, tuple[list[str], list[str]]]:
    """Returns who shares each order, and why its newest revision was made."""
    rows = await world.attribution.stored("order_id, touch_channels, causes")
    return {order: (list(channels), list(causes)) for order, channels, causes in rows}


async def test_other_settings_change_nothing_that_was_published_until_somebody_asks_for_it(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    wanted = Wanted(workspace=workspace, start_micros=NOON - DAY, end_micros=NOON + DAY)
    async with reconciled(redis_url, clickhouse_url, workspace, **_BEFORE) as world:
        await world.attribution.settings_history.store()
        for order, days in (("old", 20), ("new", 2)):
            touch = make.touch(f"visitor:{order}", at=NOON - days * DAY, channel="Email")
            await world.happen(touch, make.order(f"visitor:{order}", order_id=order))
    async with reconciled(redis_url, clickhouse_url, workspace, **_AFTER) as world:
        late = [make.touch(f"visitor:{order}", at=NOON - 10 * DAY, channel="Display") for order in ("old", "new")]
        await world.happen(late[0])
        assert await _channels(world, make) == {
            "old": (["Email", "Display"], ["late_touchpoint"]),
            "new": (["Email"], ["initial"]),
        }
        explained = (await world.attribution.explainer.explain(workspace, make.conversion_id("old"))).message
        assert (explained.settings.lookback_days, explained.reproduces_revision) == (30, True)
        run = await world.run()
        assert (run.counts["conversions"], await world.differences()) == (2, [])
        preview, _ = await world.attribution.reattribution.preview(wanted)
        assert preview.changed == 1
        await world.attribution.reattribution.apply(wanted)
        assert await _channels(world, make) == {
            "old": (["unattributed"], ["settings_change"]),
            "new": (["Email"], ["initial"]),
        }
        await world.happen(late[1])  # of an order whose credit was the same under both: it keeps what it names
        assert (await _channels(world, make))["new"] == (["Display", "Email"], ["late_touchpoint"])
        assert (await world.run()).counts["differences"] == 0


async def test_a_version_that_meant_something_else_is_none_any_more_and_what_it_credited_is_changed_once(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    make = Events(workspace)
    async with reconciled(redis_url, clickhouse_url, workspace) as world:  # stands for a release of another meaning
        touches = [make.touch("visitor:a", at=NOON - n * DAY, channel=f"C{n}") for n in (2, 1)]
        await world.happen(*touches, make.order("visitor:a", order_id="old"))
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[{"direct_channels": ["C1"]}]) as world:
        own = world.attribution
        [[version]] = await own.stored("settings_version")
        [now] = own.workspace.attribution
        await SettingsVersions(own.clickhouse).write([SettingsEntry(workspace, version, 0, now.content)])
        assert await own.settings_history.find(own.workspace, version) is None
        run = await world.run()
        assert (run.counts["differences"], run.counts["repaired"]) == (1, 1)
        [[after, causes]] = await own.stored("settings_version, causes")
        assert (after, set(causes)) == (now.version, {"reconciliation", "settings_change"})
        assert (await world.run()).counts["differences"] == 0
