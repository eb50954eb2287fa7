"""A call has a bounded size, whatever a batch holds, and nothing changes its order."""

from __future__ import annotations

import pytest

from tributary_storage.redis.state_scripts import Piece, in_calls


@pytest.mark.parametrize("count", [0, 1, 7, 40_000], ids=str)
def test_every_piece_is_in_one_call_of_its_shard_and_in_order(count: int) -> None:
    pieces = [Piece(number % 3, f"key-{number % 3}-{number}", (number, "value")) for number in range(count)]
    calls, positions = in_calls(pieces, ("life",), first_key=lambda shard: f"log-{shard}")
    done: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for (names, arguments), own in zip(calls, positions, strict=True):
        shard = own[0] % 3
        assert names == [f"log-{shard}", *(pieces[at].name for at in own)]
        assert arguments == ["life", *(one for at in own for one in pieces[at].arguments)]
        assert len(names) + len(arguments) <= 10_000
        done[shard] += own
    assert done == {shard: list(range(shard, count, 3)) for shard in done}
    assert len(calls) <= 3 + 4 * count / 10_000


def test_a_piece_that_is_larger_than_a_call_goes_alone() -> None:
    pieces = [Piece(0, "small", (1,)), Piece(0, "large", tuple(range(20_000))), Piece(0, "small", (2,))]
    assert in_calls(pieces)[1] == [[0], [1], [2]]
