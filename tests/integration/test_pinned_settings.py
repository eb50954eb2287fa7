"""A conversion keeps the settings that it was credited under, in stream and batch, until somebody asks for others."""

from __future__ import annotations

from typing import Any

from tests.integration.test_reconciliation import Reconciled, reconciled
from tests.support.attribution import DAY, NOON, Events
from tributary_runtime.attribution_settings import AttributionSettings
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


async def test_what_was_credited_before_a_setting_meant_something_else_keeps_all_others(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    """Direct was passed over whatever was listed, and the file says another lookback since."""
    make, then = Events(workspace), AttributionSettings(lookback_days=30, direct_channels=("C1",))
    [former] = then.names - {then.version}
    as_credited = [{"lookback_days": 30, "direct_channels": ["C1", "Direct"]}]
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=as_credited) as world:
        own = world.attribution
        own.workspace.attribution[0].__dict__["version"] = former  # as the release named it that credited so
        for order, visits in (("other", ("C1", "Direct", "C20")), ("alike", ("C20",))):
            touches = [
                make.touch(f"visitor:{order}", at=NOON - (20 + n) * DAY, channel=c) for n, c in enumerate(visits)
            ]
            await world.happen(*touches, make.order(f"visitor:{order}", order_id=order))
        await SettingsVersions(own.clickhouse).write([SettingsEntry(workspace, former, 0, then.content)])
        columns = "order_id, settings_version, touch_channels, last_non_direct_credit_micros, causes"
        million, shares = 1_000_000, ["C20", "Direct", "C1"]
        alike = ("alike", former, ["C20"], [million], ["initial"])
        assert sorted(await own.stored(columns)) == [alike, ("other", former, shares, [million, 0, 0], ["initial"])]
    async with reconciled(redis_url, clickhouse_url, workspace, attribution=[{"lookback_days": 7}]) as world:
        own = world.attribution
        assert await own.settings_history.find(own.workspace, then.version) is None
        assert await own.settings_history.find(own.workspace, former) == then
        assert await own.settings_history.find(own.workspace, then.version) == then  # what is credited now names it
        run = await world.run()
        assert (run.counts["differences"], run.counts["repaired"]) == (1, 1)
        [same, (*changed, causes)] = sorted(await own.stored(columns))
        assert same == alike
        assert changed == ["other", then.version, shares, [0, million, 0]]
        assert set(causes) == {"reconciliation", "settings_change"}
        assert (await world.run()).counts["differences"] == 0
