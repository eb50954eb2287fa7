"""UUIDv7 by the letter of RFC 9562, never twice and never back."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from tributary.event.v1.event_pb2 import Event
from tributary_client import new_event_id
from tributary_client.event_ids import EventIds, with_id

# RFC 9562, appendix A.6: Unix time 1645557742000 ms.
RFC_MILLISECONDS = 0x017F22E279B0


class Hands:
    """A clock moved by hand."""

    def __init__(self, *milliseconds: int) -> None:
        self.times = list(milliseconds)

    def __call__(self) -> int:
        return (self.times.pop(0) if len(self.times) > 1 else self.times[0]) * 1_000_000


def test_an_id_has_the_time_version_and_variant_of_the_rfcs_example() -> None:
    made = uuid.UUID(EventIds(Hands(RFC_MILLISECONDS)).new())
    assert str(made).startswith("017f22e2-79b0-7")
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_the_random_bits_are_those_of_chance() -> None:
    made = EventIds(Hands(RFC_MILLISECONDS), lambda count: b"\xff" * count).new()
    assert made == "017f22e2-79b0-77ff-bfff-ffffffffffff"


def test_ids_grow_within_a_millisecond_and_when_the_clock_goes_back() -> None:
    ids = EventIds(Hands(1_000, 1_000, 1_000, 900, 900, 1_001))
    made = [ids.new() for _ in range(6)]
    assert made == sorted(made)
    assert len(set(made)) == 6


def test_more_ids_than_a_millisecond_can_count_borrow_from_the_next() -> None:
    ids = EventIds(Hands(1_000))
    made = [ids.new() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == 10_000


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_event_id(), range(20_000)))
    assert len(set(made)) == 20_000


def test_an_event_keeps_its_id_and_one_without_is_copied() -> None:
    named, nameless = Event(event_id="a"), Event()
    assert with_id(named) is named
    assert uuid.UUID(with_id(nameless).event_id).version == 7
    assert nameless.event_id == ""
