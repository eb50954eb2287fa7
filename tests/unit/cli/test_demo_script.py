"""The demo's script has as many events as are asked for, of however small a world."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tributary_cli.demo.script import make_script

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("events", [1, 2, 3, 5, 9, 10, 11, 30, 60, 199, 200, 1000])
def test_a_script_has_exactly_as_many_events_as_are_asked_for(seed: int, events: int) -> None:
    script = make_script(seed, events, NOW)
    assert len(script.sendings) == events
    assert sum(script.verdicts().values()) == events


def test_a_small_world_says_what_it_has_none_of() -> None:
    missing = make_script(1, 1, NOW).missing()
    assert {"bots", "conflicts", "malformed events", "late touchpoints"} <= set(missing)
    assert make_script(1, 2000, NOW).missing() == []
