"""A destination that fails is left alone, and asked again with one call."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tributary_delivery.circuit import FAILURES_UNTIL_OPEN, LONGEST_PAUSE_SECONDS, Circuit
from tributary_runtime.clock import SystemClock


@dataclass
class HandClock(SystemClock):
    seconds: float = 1000.0

    def monotonic_seconds(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def circuit(clock: HandClock) -> Circuit:
    return Circuit(clock)


def fail(circuit: Circuit, clock: HandClock, times: int = 1) -> None:
    for _ in range(times):
        circuit.record(clock.seconds, is_ok=False)


def test_a_few_failures_change_nothing(circuit: Circuit, clock: HandClock) -> None:
    fail(circuit, clock, FAILURES_UNTIL_OPEN - 1)
    assert not circuit.is_open
    assert circuit.room(16, 0) == 16


def test_a_success_between_failures_begins_the_count_anew(circuit: Circuit, clock: HandClock) -> None:
    fail(circuit, clock, FAILURES_UNTIL_OPEN - 1)
    circuit.record(clock.seconds, is_ok=True)
    fail(circuit, clock, FAILURES_UNTIL_OPEN - 1)
    assert not circuit.is_open


def test_an_open_circuit_lets_one_call_through_after_its_pause(circuit: Circuit, clock: HandClock) -> None:
    fail(circuit, clock, FAILURES_UNTIL_OPEN)
    assert (circuit.room(16, 0), circuit.wait_seconds) == (0, 1.0)
    clock.seconds += 1.0
    assert circuit.room(16, 0) == 1
    assert circuit.room(16, 1) == 0, "one at a time"
    assert circuit.room(0, 0) == 0


def test_calls_under_way_when_it_opened_do_not_make_the_pause_longer(circuit: Circuit, clock: HandClock) -> None:
    fail(circuit, clock, FAILURES_UNTIL_OPEN + 11)
    assert circuit.wait_seconds == 1.0


def test_failed_trials_double_the_pause_up_to_a_minute(circuit: Circuit, clock: HandClock) -> None:
    fail(circuit, clock, FAILURES_UNTIL_OPEN)
    pauses = []
    for _ in range(8):
        pauses.append(circuit.wait_seconds)
        clock.seconds += circuit.wait_seconds
        fail(circuit, clock)
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]


def test_a_success_closes_it_at_once(circuit: Circuit, clock: HandClock) -> None:
    fail(circuit, clock, FAILURES_UNTIL_OPEN)
    circuit.record(clock.seconds, is_ok=True)
    assert circuit.room(16, 3) == 16
