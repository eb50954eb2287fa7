"""What a process has when it begins to serve is never collected again."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tributary_runtime.heap import OF_A_BATCH, settle_heap


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_is_there_is_frozen_and_collections_are_rare() -> None:
    settle_heap()
    assert gc.get_freeze_count() > 1_000
    assert gc.get_threshold()[0] == 20_000


def test_what_a_batch_holds_on_to_is_not_looked_through_meanwhile() -> None:
    settle_heap(OF_A_BATCH)
    before = gc.get_stats()[0]["collections"]
    batch = [[number] for number in range(OF_A_BATCH // 2)]
    assert len(batch) == OF_A_BATCH // 2
    assert gc.get_stats()[0]["collections"] == before


def test_what_comes_later_is_still_collected() -> None:
    settle_heap()
    circle: list[object] = []
    circle.append(circle)
    del circle
    assert gc.collect() >= 1
