"""What the doctor says of an export to a warehouse."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tributary_cli.doctor_warehouses import warehouse_check
from tributary_runtime.warehouse_destinations import WarehouseDestination
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationState
from tributary_storage.redis.warehouse_progress import WarehousePlace

NOW = 1_795_687_200_000_000
MINUTE = 60_000_000
WELL = WarehousePlace(through_micros=NOW - MINUTE, look_micros=NOW - MINUTE, batch_id="20261126T100000-a1b2")
UNPAUSED = DestinationState(0, "", 1, NOW)


class Noon:
    """A clock that stands."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(NOW / 1e6, UTC)

    def unix_micros(self) -> int:
        return NOW

    def monotonic_seconds(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("state", "place", "is_ok", "told"),
    [
        pytest.param({}, {"waiting": 3, "oldest_micros": NOW - MINUTE}, True, "3 revisions wait", id="well"),
        pytest.param({"held_reason": "closing"}, {}, False, "paused by an operator", id="held"),
        pytest.param(
            {"paused_until_millis": NOW // 1000 + 1, "pause_reason": "The bucket refuses: Access Denied"},
            {},
            False,
            "The bucket refuses: Access Denied",
            id="refused",
        ),
        pytest.param({}, {"look_micros": NOW - 30 * MINUTE}, False, "nobody exports", id="nobody looks"),
        pytest.param(
            {},
            {"waiting": 3, "oldest_micros": NOW - 90 * MINUTE},
            False,
            "90 minutes late; 3 revisions wait",
            id="late",
        ),
    ],
)
def test_an_export_that_is_held_up_says_why(
    state: dict[str, Any], place: dict[str, Any], is_ok: bool, told: str
) -> None:
    settings = WarehouseDestination.model_validate({"id": "books", "type": "warehouse", "bucket": "shop-books"})
    about = (replace(UNPAUSED, **state), replace(WELL, **place), Noon())
    check = warehouse_check(Lane("shop", "books"), settings, *about)
    assert check.is_ok is is_ok
    assert told in f"{check.said} {check.next_step}"
    assert check.name == "warehouse:shop/books"
