"""Which parts of a cluster were emptied is told from those that were compared, never from what was begun."""

from __future__ import annotations

import pytest

from tributary_storage.redis import keys
from tributary_storage.redis.cluster_slots import SLOTS, slot_of
from tributary_storage.redis.passed_notes import PARTS, Noted, part_keys

BEGUN = b"begun"


@pytest.mark.parametrize(
    ("notes", "loss_micros", "emptied"),
    [
        pytest.param([None, None, None], 0, [], id="nothing was ever compared"),
        pytest.param([BEGUN, None, BEGUN], 0, [], id="who noted it first was stopped before all had a note"),
        pytest.param([b"0", BEGUN, b"0"], 0, [], id="or before all were said to be compared"),
        pytest.param([b"0", None, b"0"], 0, ["slots 256-511"], id="one was emptied"),
        pytest.param([None, b"0", None], 0, ["slots 0-255", "slots 512-767"], id="two were, which are no neighbours"),
        pytest.param([None, None, b"0"], 0, ["slots 0-511"], id="two were, which are"),
        pytest.param([BEGUN, None, b"0"], 0, ["slots 256-511"], id="all had a note before one said so"),
        pytest.param([b"0", None, b"0"], 7, [], id="a loss was confirmed since"),
        pytest.param([b"0", None, b"7"], 7, ["slots 256-511"], id="one was confirmed before it was there"),
    ],
)
def test_a_part_without_a_note_was_emptied_where_another_was_compared(
    notes: list[bytes | None], loss_micros: int, emptied: list[str]
) -> None:
    assert Noted(len(notes), dict(enumerate(notes))).emptied(loss_micros) == emptied


@pytest.mark.parametrize(
    ("notes", "is_whole"),
    [
        pytest.param({0: b"7", 1: b"7"}, True, id="all were compared since"),
        pytest.param({0: b"7", 1: b"0"}, False, id="one was before"),
        pytest.param({0: b"7", 1: BEGUN}, False, id="one was not"),
        pytest.param({0: b"7"}, False, id="one does not answer"),
    ],
)
def test_all_is_compared_once_every_part_says_so_since_the_last_loss(
    notes: dict[int, bytes | None], is_whole: bool
) -> None:
    assert Noted(2, notes).is_whole(7) is is_whole


def test_every_part_of_the_slots_has_its_note() -> None:
    assert [slot_of(key) * PARTS // SLOTS for key in part_keys("state")] == [*range(PARTS)]
    assert not {*part_keys("state")} & {*part_keys("jobs")}
    assert keys.part_passed(0, "state") != keys.passed("state")
