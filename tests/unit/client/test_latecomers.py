"""A call is late only beside others that left after it and were answered."""

from __future__ import annotations

from tributary_client.latecomers import Latecomers


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(time: Time, *calls: str) -> Latecomers:
    latecomers = Latecomers(time)
    for call in calls:
        latecomers.begin(call)
    return latecomers


def answer(latecomers: Latecomers, *calls: str) -> None:
    for call in calls:
        assert not latecomers.end(call, is_answered=True)[0]


def test_what_three_later_calls_have_overtaken_is_late_once_it_has_had_its_time() -> None:
    time = Time()
    latecomers = watched(time, "hangs", "b", "c", "d")
    answer(latecomers, "b", "c", "d")
    assert latecomers.late() == []
    time.now = 1.1
    assert latecomers.late() == ["hangs"]
    assert latecomers.end("hangs", is_answered=False, is_hung=True) == (True, 1.1, None)


def test_where_nobody_is_answered_nobody_is_late() -> None:
    time = Time()
    latecomers = watched(time, "a", "b", "c", "d", "e")
    time.now = 100.0
    for call in "bcde":
        assert not latecomers.end(call, is_answered=False)[0]
    assert latecomers.late() == []


def test_earlier_calls_that_are_answered_overtake_nobody() -> None:
    time = Time()
    latecomers = watched(time, "a", "b", "c", "d")
    time.now = 100.0
    answer(latecomers, "a", "b", "c")
    assert latecomers.late() == []


def test_where_all_take_long_one_may_take_longer() -> None:
    time = Time()
    latecomers = watched(time, "hangs", "b", "c", "d")
    time.now = 2.0
    answer(latecomers, "b", "c", "d")
    time.now = 7.9
    assert latecomers.late() == []
    time.now = 8.1
    assert latecomers.late() == ["hangs"]


def test_where_nobody_is_answered_for_long_all_are_silent() -> None:
    time = Time()
    latecomers = watched(time, "a", "b")
    time.now = 1.9
    assert latecomers.silent(2.0) == []
    time.now = 2.0
    assert latecomers.silent(2.0) == ["a", "b"]
    latecomers.end("b", is_answered=False)  # refused: somebody is there
    assert latecomers.silent(2.0) == []
    time.now = 4.0
    assert latecomers.silent(2.0) == ["a"]
    assert latecomers.end("a", is_answered=False, is_hung=True) == (False, 4.0, 2.0)
    assert latecomers.silent(0.0) == []


def test_while_one_may_take_long_nobody_is_silent() -> None:
    time = Time()
    latecomers = watched(time, "a")
    latecomers.begin("backfill", is_slow=True)
    time.now = 100.0
    assert latecomers.silent(2.0) == []
    latecomers.end("backfill", is_answered=False, is_hung=True)
    assert latecomers.silent(2.0) == ["a"]
