"""Reconciliation compares each conversion under one of the settings, and once."""

from __future__ import annotations

from typing import Any

import pytest

from tributary_attribution.credit_settings import core_settings
from tributary_attribution.run_settings import compared_settings
from tributary_runtime.attribution_settings import AttributionSettings
from tributary_runtime.workspaces import Workspace

DAY = 86_400_000_000
_DAYS = (20_000 * DAY, 20_010 * DAY)
_LATER = "2024-10-09T00:00:00Z"  # 20 005 days


def _shop(*attribution: dict[str, Any]) -> Workspace:
    return Workspace.model_validate({"id": "shop", "pepper": {"value": "pepper"}, "attribution": list(attribution)})


def _pinned(*lookbacks: int) -> dict[str, Any]:
    return {one.version: one for one in (core_settings(AttributionSettings(lookback_days=days)) for days in lookbacks)}


def _renamed(**said: Any) -> dict[str, Any]:
    """Returns settings by all their names: of today, and of before the meaning of one of them changed."""
    settings = AttributionSettings.model_validate(said)
    return dict.fromkeys(settings.names, core_settings(settings))


@pytest.mark.parametrize(
    ("declared", "pinned"),
    [
        pytest.param([{}], {}, id="nothing-stored"),
        pytest.param([{}], _pinned(30), id="as-declared"),
        pytest.param([{"lookback_days": 7}], _pinned(30, 14), id="edited-in-place"),
        pytest.param([{}, {"lookback_days": 7, "effective_from": _LATER}], _pinned(30, 7), id="two-of-them"),
        pytest.param([{}, {"effective_from": _LATER}], _pinned(30), id="the-same-twice"),
        pytest.param([{"direct_channels": []}], _renamed(direct_channels=[]), id="of-another-name"),
        pytest.param([{"lookback_days": 7}], _renamed(direct_channels=[]), id="of-another-name-and-edited"),
    ],
)
def test_whatever_a_conversion_was_credited_under_one_pass_compares_it(
    declared: list[dict[str, Any]], pinned: dict[str, Any]
) -> None:
    passes = compared_settings(_shop(*declared), pinned, *_DAYS)
    for version in (*pinned, "lost", ""):
        for time in (_DAYS[0], _DAYS[0] + 5 * DAY - 1, _DAYS[0] + 5 * DAY, _DAYS[1] - 1):
            takers = [
                one
                for one in passes
                if (
                    version in one.own_versions
                    if version in one.versions
                    else one.begin_micros <= time < one.end_micros
                )
            ]
            assert len(takers) == 1
            assert version not in pinned or takers[0].settings == pinned[version]
