"""The demo's script has as many events as are asked for, of however small a world."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from google.protobuf.message import Message

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import VERDICT_DUPLICATE, EventVerdict, Verdict
from tributary_cli.demo.script import Expected, Sending, make_script
from tributary_cli.demo.traffic import Tally
from tributary_domain.placeholders import is_placeholder
from tributary_domain.velocity import Limits

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def texts_of(message: Message) -> Iterator[tuple[str, str]]:
    """Returns every text that a message has, with the name of its field."""
    for field, value in message.ListFields():
        if isinstance(value, str):
            yield field.name, value
        elif isinstance(value, Message):
            yield from texts_of(value)


@pytest.mark.parametrize("events", [1, 2, 3, 5, 9, 10, 11, 30, 60, 199, 200, 1000])
def test_a_script_has_exactly_as_many_events_as_are_asked_for(events: int) -> None:
    scripts = [make_script(seed, events, NOW) for seed in range(5)]
    assert [len(script.sendings) for script in scripts] == [events] * 5
    assert [sum(script.verdicts().values()) for script in scripts] == [events] * 5


def test_a_small_world_says_what_it_has_none_of() -> None:
    missing = make_script(1, 1, NOW).missing()
    assert {"bots", "conflicts", "malformed events", "late touchpoints"} <= set(missing)
    assert make_script(1, 2000, NOW).missing() == []


def test_every_text_of_a_script_names_something_to_the_door() -> None:
    nothing = {
        (seed, name, text)
        for seed in range(200)
        for sending in make_script(seed, 40, NOW).sendings
        for name, text in texts_of(sending.event)
        if is_placeholder(text)
    }
    assert nothing == set()


def test_nobody_in_the_world_buys_so_often_that_it_looks_like_fraud() -> None:
    limit = Limits().identifier  # the strictest; nobody shares an address
    moments: dict[tuple[str, str], list[int]] = defaultdict(list)
    for sending in make_script(1, 20_000, NOW).sendings:
        event = sending.event
        if sending.expected is Expected.ACCEPTED and event.WhichOneof("kind") == "conversion":
            for sender in (event.context.client_ip, event.identifiers.visitor_id, event.identifiers.customer_id):
                moments[(event.conversion.name, sender)].append(event.event_time.seconds)
    times_of = {who: times for (_, who), times in moments.items() if who}
    assert len(times_of) > 1_000
    for who, times in times_of.items():
        for start in times:
            window = [time for time in times if 0 <= time - start < limit.window_millis / 1000]
            assert len(window) <= limit.at_most, who


@pytest.mark.parametrize(("first", "is_surprise"), [("QUARANTINED", False), ("ACCEPTED", True)])
def test_a_bot_s_event_that_is_answered_again_is_what_it_was_at_first(first: str, is_surprise: bool) -> None:
    tally = Tally()
    verdict = EventVerdict(verdict=VERDICT_DUPLICATE, first_verdict=Verdict.Value(f"VERDICT_{first}"))
    tally.take(Sending(Event(event_id="bot"), Expected.QUARANTINED), verdict)
    assert bool(tally.surprises) is is_surprise
