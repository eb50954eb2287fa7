"""The demo's script has as many events as are asked for, of however small a world."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import pytest

from tributary_cli.demo.script import Expected, make_script
from tributary_domain.velocity import Limits

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


def test_nobody_in_the_world_buys_so_often_that_it_looks_like_fraud() -> None:
    limits = Limits()
    moments: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for sending in make_script(1, 20_000, NOW).sendings:
        event = sending.event
        if sending.expected is Expected.ACCEPTED and event.WhichOneof("kind") == "conversion":
            time_seconds = event.event_time.seconds
            moments[(event.conversion.name, "address", event.context.client_ip)].append(time_seconds)
            moments[(event.conversion.name, "identifier", event.identifiers.visitor_id)].append(time_seconds)
    moments = {who: times for who, times in moments.items() if who[2]}
    assert len(moments) > 1_000
    for (_, kind, who), times in moments.items():
        limit = limits.address if kind == "address" else limits.identifier
        for time_seconds in times:
            window = [other for other in times if 0 <= time_seconds - other < limit.window_millis / 1000]
            assert len(window) <= limit.at_most, who
