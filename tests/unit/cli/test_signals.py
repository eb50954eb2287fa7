"""What ends a command that a terminal, a script or `nohup` started."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tributary_cli.demo.command import _ended_as_by_ctrl_c
from tributary_cli.up import _signals_end_it, _StopAsked

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Signals as a terminal leaves them, whatever the tests themselves were started with."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("is_ignored", [False, True])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_demo_ends_by_each_signal_also_where_a_script_lets_ctrl_c_be_ignored(
    number: signal.Signals, is_ignored: bool
) -> None:
    ctrl_c = signal.SIG_IGN if is_ignored else signal.default_int_handler
    signal.signal(signal.SIGINT, ctrl_c)
    with pytest.raises(KeyboardInterrupt), _ended_as_by_ctrl_c():
        signal.raise_signal(number)
    assert signal.getsignal(signal.SIGINT) is ctrl_c


@pytest.mark.parametrize(
    ("signals", "ended"), [(_ended_as_by_ctrl_c, KeyboardInterrupt), (_signals_end_it, _StopAsked)]
)
def test_who_was_started_with_nohup_outlives_the_terminal_and_no_more(
    signals: Callable[[], AbstractContextManager[None]], ended: type[BaseException]
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals():
        signal.raise_signal(signal.SIGHUP)
    with pytest.raises(ended), signals():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


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
