"""A journey lies in small fields and values, and is read as it was written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tributary_domain.journey import NO_TOUCH, QUARANTINED, JourneyTouch, TouchKind
from tributary_storage.redis.journey_layout import (
    CONSENTED,
    INTERNAL,
    event_field,
    pack_conversion,
    pack_sighting,
    pack_touch,
    unpack_journey,
)

numbers = st.integers(min_value=0, max_value=2**64 - 1)
times = st.integers(min_value=0, max_value=2**53 - 1)


@given(
    st.builds(
        JourneyTouch,
        event_time_micros=times,
        event_hash=numbers,
        kind=st.integers(min_value=1, max_value=6),
        descriptor=numbers,
        flags=st.integers(min_value=0, max_value=15),
        click=numbers,
        interaction=numbers,
        session=numbers,
        click_time_micros=times,
    ),
    st.sampled_from([0, INTERNAL, CONSENTED, INTERNAL | CONSENTED]),
)
def test_a_touch_is_read_as_it_was_written(touch: JourneyTouch, stored_flags: int) -> None:
    value = pack_touch(touch, stored_flags)
    journey = unpack_journey("p1:x", [{event_field(touch.event_hash): value}])
    assert journey.entries == (touch,)
    assert bool(journey.internal) == bool(stored_flags & INTERNAL)
    assert bool(journey.consented) == bool(stored_flags & CONSENTED)
    assert len(value) <= 64


@given(times, numbers, numbers, st.binary(min_size=16, max_size=16), numbers)
def test_an_observation_is_read_as_it_was_written(
    time: int, name: int, session: int, digest: bytes, own_click: int
) -> None:
    touch = JourneyTouch(time, 7, TouchKind.CONVERSION, name, session=session)
    value = pack_conversion(touch, f"c1:{digest.hex()}", own_click=own_click)
    journey = unpack_journey("p1:x", [{event_field(7): value}])
    assert journey.entries == (touch._replace(flags=NO_TOUCH),)
    observed = {f"c1:{digest.hex()}": (time,)} if any(digest) else {}  # all zeros: an erased person's
    assert journey.conversions == observed
    assert journey.own_clicks == ({7: own_click} if own_click and any(digest) else {})
    assert len(value) <= 64


@given(st.binary(min_size=16, max_size=16))
def test_an_observation_of_an_erased_order_is_told_from_others_and_names_none(order: bytes) -> None:
    touch = JourneyTouch(1, 7, TouchKind.CONVERSION, 40)
    value = pack_conversion(touch, f"s1:{order.hex()}")
    journey = unpack_journey("p1:x", [{event_field(7): value}])
    number = int.from_bytes(order[:8])
    assert journey.orders == journey.erased == ({7: number} if number else {})
    assert not journey.conversions
    assert not journey.own_clicks
    assert len(value) <= 64


def test_what_was_released_is_there_once_wherever_it_waited() -> None:
    """It waited with each identifier that it names, and is with one of them since."""
    waiting, good, other = (JourneyTouch(1, 7, flags=flags) for flags in (QUARANTINED, 0, QUARANTINED))
    other = other._replace(event_hash=8)
    held = [
        {event_field(7): pack_touch(good)},
        {event_field(7): pack_touch(waiting), event_field(8): pack_touch(other)},
    ]
    assert set(unpack_journey("p1:x", held).entries) == {good, other}


@given(st.tuples(times, numbers, st.integers(0, 255)), st.tuples(times, numbers, st.integers(0, 255)))
def test_sightings_compare_as_events_are_ordered(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assert (pack_sighting(*one) < pack_sighting(*other)) == (one < other)


def test_a_plain_touch_takes_less_than_thirty_bytes() -> None:
    assert len(pack_touch(JourneyTouch(1_790_000_000_000_000, 1, TouchKind.VISIT, 2**63))) <= 18
