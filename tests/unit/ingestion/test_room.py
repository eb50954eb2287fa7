"""Room: all workspaces together have an end, and one more still finds some."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tributary_ingestion.room import Room
from tributary_runtime.errors import OverloadedError


def filled(room: Room, held: ExitStack, *workspaces: str, size: int = 10) -> int:
    """Holds all that workspaces get that ask in turns, and returns how much that is."""
    taken, asking = 0, list(workspaces)
    while asking:
        for workspace in list(asking):
            try:
                held.enter_context(room.hold(workspace, size))
                taken += size
            except OverloadedError:
                asking.remove(workspace)
    return taken


def test_one_workspace_alone_has_half_of_the_room() -> None:
    with ExitStack() as held:
        assert filled(Room(1_000), held, "flood") == 500


def test_many_workspaces_together_leave_room_for_one_more() -> None:
    room = Room(1_000)
    with ExitStack() as held:
        assert filled(room, held, *(f"flood-{number}" for number in range(9))) == 900
        with room.hold("quiet", 100):
            pass


def test_all_workspaces_together_never_hold_more_than_there_is() -> None:
    room = Room(1_000)
    with ExitStack() as held:
        assert filled(room, held, *(f"flood-{number}" for number in range(150))) == 1_000
        with pytest.raises(OverloadedError) as refused, room.hold("quiet", 10):
            raise AssertionError
    assert (refused.value.reason, refused.value.retry_delay_seconds) == ("TOO_MANY_BYTES", 1.0)


def test_what_was_held_is_free_again_also_after_a_failure() -> None:
    room = Room(1_000)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), room.hold("shop", 900):
            raise ValueError("broken")
    with room.hold("shop", 1_000):
        pass
