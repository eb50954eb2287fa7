"""What is held leaves before a destination would take it no more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.batches import a_batch_destination
from tests.support.delivery import a_destination
from tributary_delivery.holding import held_seconds

DAY = 86_400


@pytest.mark.parametrize(
    ("kind", "own", "age", "held"),
    [
        pytest.param("meta", {}, 0.01, 6, id="meta: as declared"),
        pytest.param("meta", {}, 2, 4.75, id="meta: six hours before 7 days, though it takes sales in stores of 62"),
        pytest.param("meta", {"action_source": "physical_store"}, 2, 6, id="meta: of stores alone"),
        pytest.param("meta", {"most_age_days": 5, "hold_seconds": 4 * DAY}, 2, 2.75, id="meta: as the file says"),
        pytest.param("tiktok", {}, 2, 4.75, id="tiktok"),
        pytest.param("tiktok", {}, 6.9, 0, id="tiktok: at once"),
        pytest.param("tiktok", {}, 60, 0, id="tiktok: too old already, which is said at once"),
        pytest.param("reddit", {}, 2, 4.75, id="reddit"),
        pytest.param("snap", {}, 35, 1.75, id="snap"),
        pytest.param("linkedin", {}, 2, 6, id="linkedin: 90 days"),
        pytest.param("linkedin", {}, 86, 3.75, id="linkedin: of three months ago"),
    ],
)
def test_what_is_held_leaves_six_hours_before_it_is_too_old(
    kind: str, own: dict[str, Any], age: float, held: float
) -> None:
    settings = a_batch_destination(kind, **{"hold_seconds": 6 * DAY, **own})
    assert held_seconds(settings.hold_seconds, age * DAY, settings.leaves_within_seconds) == held * DAY


def test_a_webhook_takes_what_is_as_old_as_it_is() -> None:
    assert held_seconds(6 * DAY, 300 * DAY, a_destination().leaves_within_seconds) == 6 * DAY
