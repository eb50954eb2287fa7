"""What `workspaces.yaml` says of the models decides what is published: each setting, on real stores."""

from __future__ import annotations

import gzip
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Events, running_attribution
from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_IMPRESSION
from tributary_domain.settings import MODELS

VECTORS = pathlib.Path(__file__).parents[1] / "vectors" / "attribution.json.gz"
HOUR = DAY // 24
WHOLE = 1_000_000
Path = Callable[[Events], list[Admitted]]


def seen(events: Events, at: int, channel: str) -> Admitted:
    letter, event = events.touch("visitor:a", at=at, channel=channel)
    event.event.touchpoint.kind = TOUCHPOINT_KIND_IMPRESSION
    return letter, event


def visits(*steps: tuple[int, str]) -> Path:
    """Returns a path of visits, each so many days before the order, which comes last."""
    return lambda events: [
        *(events.touch("visitor:a", at=NOON - days * DAY, channel=channel) for days, channel in steps),
        events.order("visitor:a"),
    ]


def credit(state: ConversionState, model: str) -> dict[str, int]:
    """Returns channel -> credit, and what nobody earned."""
    place = [applied.name for applied in state.models].index(model)
    found: dict[str, int] = {}
    for touch in state.touches:
        found[touch.source.channel] = found.get(touch.source.channel, 0) + touch.credits[place].credit_micros
    nobody = state.models[place].unattributed.credit_micros
    return {channel: share for channel, share in [*found.items(), ("", nobody)] if share}


TWO_ORDERS: Path = lambda events: [  # noqa: E731 - a path like the others
    events.touch("visitor:a", at=NOON - 3 * DAY, channel="Display"),
    events.order("visitor:a", at=NOON - 2 * DAY, order_id="o-0"),
    events.touch("visitor:a", at=NOON - DAY, channel="Email"),
    events.order("visitor:a"),
]
ONE_SESSION: Path = lambda events: [  # noqa: E731
    events.touch("visitor:a", at=NOON - HOUR, channel="Display"),
    events.touch("visitor:a", at=NOON - HOUR + 1, channel="Email"),
    events.order("visitor:a"),
]
A_VIEW_AND_A_CLICK: Path = lambda events: [  # noqa: E731
    events.touch("visitor:a", at=NOON - 2 * DAY, channel="Email"),
    seen(events, NOON - HOUR, "Display"),
    events.order("visitor:a"),
]
AN_OLD_VIEW: Path = lambda events: [  # noqa: E731
    seen(events, NOON - 2 * DAY, "Display"),
    events.order("visitor:a"),
]
TWO_CAMPAIGNS: Path = lambda events: [  # noqa: E731
    *(
        events.touch("visitor:a", at=NOON - days * DAY, channel="Email", campaign=campaign)
        for days, campaign in ((4, "spring"), (3, "summer"), (2, "summer"))
    ),
    events.touch("visitor:a", channel="Display"),
    events.order("visitor:a"),
]
FOUR = visits((21, "Display"), (14, "Email"), (7, "Affiliate"), (0, "Paid Search"))


@pytest.mark.parametrize(
    ("path", "settings", "model", "expected"),
    [
        pytest.param(visits((40, "Display"), (1, "Email")), {}, "first_touch", {"Email": WHOLE}, id="30 days"),
        pytest.param(
            visits((40, "Display"), (1, "Email")),
            {"lookback_days": 60},
            "first_touch",
            {"Display": WHOLE},
            id="60 days",
        ),
        pytest.param(
            visits((40, "Display"), (1, "Email")),
            {"models": {"first_touch": {"lookback_days": 365}}},
            "first_touch",
            {"Display": WHOLE},
            id="lookback of one model",
        ),
        pytest.param(
            visits((40, "Display"), (1, "Email")),
            {"models": {"first_touch": {"lookback_days": 365}}},
            "linear",
            {"Email": WHOLE},
            id="lookback of another model",
        ),
        pytest.param(
            FOUR,
            {},
            "position_based",
            {"Display": 400_000, "Email": 100_000, "Affiliate": 100_000, "Paid Search": 400_000},
            id="40/20/40",
        ),
        pytest.param(
            FOUR,
            {"position_weights": [20, 20, 60]},
            "position_based",
            {"Display": 200_000, "Email": 100_000, "Affiliate": 100_000, "Paid Search": 600_000},
            id="J-shaped",
        ),
        pytest.param(
            FOUR,
            {"position_weights": [60, 20, 20]},
            "position_based",
            {"Display": 600_000, "Email": 100_000, "Affiliate": 100_000, "Paid Search": 200_000},
            id="inverse J",
        ),
        pytest.param(
            visits((14, "Display"), (7, "Email"), (0, "Paid Search")),
            {},
            "time_decay",
            {"Display": 142_857, "Email": 285_714, "Paid Search": 571_429},
            id="half life of 7 days",
        ),
        pytest.param(
            visits((2, "Display"), (1, "Email"), (0, "Paid Search")),
            {"half_life_hours": 24},
            "time_decay",
            {"Display": 142_857, "Email": 285_714, "Paid Search": 571_429},
            id="half life of a day",
        ),
        pytest.param(visits((2, "Display"), (1, "Email")), {}, "last_non_direct", {"Email": WHOLE}, id="not direct"),
        pytest.param(
            visits((2, "Display"), (1, "Email")),
            {"direct_channels": ["Direct", "Email"]},
            "last_non_direct",
            {"Display": WHOLE},
            id="treated like direct",
        ),
        pytest.param(
            visits((2, "Email"), (1, "Direct")),
            {"direct_channels": []},
            "last_non_direct",
            {"Direct": WHOLE},
            id="none passed over, not even direct",
        ),
        pytest.param(
            visits((3, "Referral"), (2, "Direct"), (1, "Email")),
            {"direct_channels": ["Email"]},
            "last_non_direct",
            {"Direct": WHOLE},
            id="another passed over, and direct not",
        ),
        pytest.param(
            ONE_SESSION,
            {"direct_channels": ["Direct", "Email"]},
            "linear",
            {"Display": 500_000, "Email": 500_000},
            id="treated like direct by one model alone",
        ),
        pytest.param(
            visits((3, "Email"), (2, "Email"), (1, "Display")),
            {},
            "linear",
            {"Email": 666_667, "Display": 333_333},
            id="repeats count",
        ),
        pytest.param(
            visits((3, "Email"), (2, "Email"), (1, "Display")),
            {"collapse_repeats": True},
            "linear",
            {"Email": 500_000, "Display": 500_000},
            id="repeats collapsed",
        ),
        pytest.param(
            TWO_CAMPAIGNS,
            {"collapse_repeats": True},
            "linear",
            {"Email": 666_667, "Display": 333_333},
            id="another campaign repeats nothing",
        ),
        pytest.param(TWO_ORDERS, {}, "linear", {"Display": 500_000, "Email": 500_000}, id="paths continue"),
        pytest.param(
            TWO_ORDERS, {"path_after_conversion": {"reset": ["purchase"]}}, "linear", {"Email": WHOLE}, id="path reset"
        ),
        pytest.param(
            TWO_ORDERS,
            {"path_after_conversion": {"reset": ["signup"]}},
            "linear",
            {"Display": 500_000, "Email": 500_000},
            id="another name resets no path",
        ),
        pytest.param(A_VIEW_AND_A_CLICK, {}, "linear", {"Email": WHOLE}, id="views ignored"),
        pytest.param(
            A_VIEW_AND_A_CLICK,
            {"impression_policy": "full"},
            "linear",
            {"Email": 500_000, "Display": 500_000},
            id="views count",
        ),
        pytest.param(
            A_VIEW_AND_A_CLICK,
            {"impression_policy": "only_without_click"},
            "linear",
            {"Email": WHOLE},
            id="views beside a click",
        ),
        pytest.param(AN_OLD_VIEW, {"impression_policy": "full"}, "linear", {"": WHOLE}, id="a view too old"),
        pytest.param(
            AN_OLD_VIEW,
            {"impression_policy": "only_without_click", "impression_window_days": 3},
            "linear",
            {"Display": WHOLE},
            id="a view of 2 days",
        ),
        pytest.param(
            FOUR,
            {"touch_cap": 2, "touch_cap_first": 1},
            "linear",
            {"Display": 500_000, "Paid Search": 500_000},
            id="cap",
        ),
        pytest.param(
            FOUR,
            {"lookback_days": 8},
            "linear",
            {"Affiliate": 500_000, "Paid Search": 500_000},
            id="since ever",
        ),
    ],
)
async def test_a_setting_decides_the_credit(
    redis_url: str,
    clickhouse_url: str,
    workspace: str,
    path: Path,
    settings: dict[str, Any],
    model: str,
    expected: dict[str, int],
) -> None:
    events = Events(workspace)
    async with running_attribution(redis_url, clickhouse_url, workspace, attribution=[settings]) as attribution:
        await attribution.handle(*path(events))
        revised = await attribution.published(events.conversion_id())
    assert revised is not None
    assert credit(revised.state, model) == expected
    for other in MODELS:
        assert sum(credit(revised.state, other.value).values()) == WHOLE


async def test_settings_are_chosen_by_conversion_time_and_named(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    """Two orders of one person around the moment from which a shorter window holds, and an event that revises both."""
    events = Events(workspace)
    history = [{"lookback_days": 30}, {"lookback_days": 2, "effective_from": "2026-09-21T14:13:20Z"}]  # NOON
    async with running_attribution(redis_url, clickhouse_url, workspace, attribution=history) as attribution:
        await attribution.handle(
            events.order("visitor:a", at=NOON - 1, order_id="before"), events.order("visitor:a", order_id="after")
        )
        await attribution.handle(events.touch("visitor:a", at=NOON - 5 * DAY, channel="Email"))
        first = await attribution.published(events.conversion_id("before"))
        second = await attribution.published(events.conversion_id("after"))
        versions = [settings.version for settings in attribution.workspace.attribution]
    assert first is not None
    assert second is not None
    assert [first.state.settings_version, second.state.settings_version] == versions
    assert credit(first.state, "linear") == {"Email": WHOLE}
    assert credit(second.state, "linear") == {"": WHOLE}


@pytest.mark.parametrize(
    ("name", "model", "settings"),
    [
        pytest.param("first_touch", "first_touch", {}, id="first touch"),
        pytest.param("linear", "linear", {}, id="linear"),
        pytest.param("j_shaped", "position_based", {"position_weights": [20, 20, 60]}, id="J-shaped"),
        pytest.param("time_decay_halflife_7d", "time_decay", {}, id="time decay of 7 days"),
    ],
)
async def test_adobes_worked_example_is_published_with_adobes_numbers(
    redis_url: str, clickhouse_url: str, workspace: str, name: str, model: str, settings: dict[str, Any]
) -> None:
    example = json.loads(gzip.decompress(VECTORS.read_bytes()))["adobe_worked_example"]
    events = Events(workspace)
    history = [{"touch_grain": "event", **settings}]
    async with running_attribution(redis_url, clickhouse_url, workspace, attribution=history) as attribution:
        await attribution.handle(
            *(
                events.touch("visitor:a", at=NOON - days * DAY - len(example["touches"]) + place, channel=channel)
                for place, (channel, days) in enumerate(example["touches"])
            ),
            events.order("visitor:a", micros=round(example["revenue"] * 1_000_000)),
        )
        revised = await attribution.published(events.conversion_id())
    assert revised is not None
    place = [applied.name for applied in revised.state.models].index(model)
    values = {touch.source.channel: touch.credits[place].value_micros / 1e6 for touch in revised.state.touches}
    found = {channel: value for channel, value in values.items() if value}
    assert found == pytest.approx(example["expected"][name], abs=0.0051)
