"""What ends `tributary up`."""

from __future__ import annotations

import signal

import pytest

from tributary_cli.up import _signals_end_it, _StopAsked

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_first_signal_ends_it_and_further_ones_do_not_disturb_the_end(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in NUMBERS]
    steps = []
    try:
        with _signals_end_it():
            try:
                signal.raise_signal(number)
                steps.append("went on")
            finally:
                for further in NUMBERS:
                    signal.raise_signal(further)
                steps.append("ended in order")
    except _StopAsked:
        steps.append("was told")
    assert steps == ["ended in order", "was told"]
    assert [signal.getsignal(one) for one in NUMBERS] == before
