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


def _pinned(*lookbacks: int) -> list[Any]:
    return [core_settings(AttributionSettings(lookback_days=days)) for days in lookbacks]


@pytest.mark.parametrize(
    ("declared", "pinned"),
    [
        pytest.param([{}], [], id="nothing-stored"),
        pytest.param([{}], _pinned(30), id="as-declared"),
        pytest.param([{"lookback_days": 7}], _pinned(30, 14), id="edited-in-place"),
        pytest.param([{}, {"lookback_days": 7, "effective_from": _LATER}], _pinned(30, 7), id="two-of-them"),
        pytest.param([{}, {"effective_from": _LATER}], _pinned(30), id="the-same-twice"),
    ],
)
def test_whatever_a_conversion_was_credited_under_one_pass_compares_it(
    declared: list[dict[str, Any]], pinned: list[Any]
) -> None:
    passes = compared_settings(_shop(*declared), pinned, *_DAYS)
    known = {settings.version for settings in pinned}
    for version in (*known, "lost", ""):
        for time in (_DAYS[0], _DAYS[0] + 5 * DAY - 1, _DAYS[0] + 5 * DAY, _DAYS[1] - 1):
            takers = [
                one
                for one in passes
                if (
                    one.is_pinned and one.settings.version == version
                    if version in one.versions
                    else one.begin_micros <= time < one.end_micros
                )
            ]
            assert len(takers) == 1
            assert version not in known or takers[0].settings.version == version
