"""Settings that somebody wants to try: what is not said stays, and every setting can be said."""

from __future__ import annotations

import pytest

from tributary.attribution.v1.explanation_pb2 import CreditSettings
from tributary_attribution.simulated_settings import simulated
from tributary_runtime.attribution_settings import AttributionSettings
from tributary_runtime.errors import InvalidRequestError

DECLARED = AttributionSettings.model_validate(
    {"direct_channels": ["Direct", "Email"], "path_after_conversion": {"reset": ["purchase"]}}
)


def test_what_is_not_said_stays_as_it_is() -> None:
    tried = simulated(DECLARED, CreditSettings(lookback_days=7))
    assert (tried.lookback_days, tried.direct_channels) == (7, ("Direct", "Email"))
    assert tried.resets_after == {"purchase"}


def test_paths_may_continue_and_no_channel_be_direct() -> None:
    tried = simulated(DECLARED, CreditSettings(path_continues=True, no_direct_channels=True))
    assert (tried.resets_after, tried.direct_channels) == (frozenset(), ())


def test_a_list_may_not_be_empty_and_hold_something() -> None:
    asked = CreditSettings(path_continues=True, path_reset_names=["lead"])
    with pytest.raises(InvalidRequestError) as refused:
        simulated(DECLARED, asked)
    assert [one.field for one in refused.value.violations] == ["settings.path_continues"]
