"""What the command line of reconciliation as a process may say.

What is wrong is refused before anything is opened, with the status of a run that was not brought to its end: the one
that `argparse` exits with says that a promise is broken.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date
from typing import Final, NoReturn

from tributary_attribution.runs import FAILED, MAX_SLICES, UNFINISHED
from tributary_domain.findings import RECONCILIATION_GRACE_SECONDS

_MAX_DAYS: Final = 18_250
"""Fifty years: no event is older."""
_MAX_RUNS: Final = 100_000
_MAX_GRACE_SECONDS: Final = 1e9


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(UNFINISHED, f"{self.prog}: error: {message}\n")


def read_options(arguments: Sequence[str] | None = None, *, description: str | None = None) -> argparse.Namespace:
    """Reads the command line; exits with `UNFINISHED`, and a sentence, where it cannot be done as it says.

    Args:
        arguments: After the name of the module; None: those of the process.
        description: For `--help`.
    """
    parser = _Parser(prog="tributary_attribution.reconcile", description=description)
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--workspace", help="of this workspace")
    whose.add_argument("--all", action="store_true", help="of every workspace, one after the other")
    parser.add_argument("--since", type=_day, help="first day, in the zone of the books")
    parser.add_argument("--until", type=_day, help="first day after; default: tomorrow")
    parser.add_argument(
        "--days", type=_whole(1, _MAX_DAYS), default=2, help="how many days, where --since is not given"
    )
    parser.add_argument(
        "--with-changes",
        action="store_true",
        help="also what was accepted in these days may have changed, whenever that was",
    )
    parser.add_argument(
        "--past-days",
        type=_whole(0, _MAX_DAYS),
        default=0,
        help="compare in turns, run by run, so many days before these; 0: none",
    )
    parser.add_argument(
        "--past-runs", type=_whole(1, _MAX_RUNS), default=100, help="in how many runs all of these are compared once"
    )
    parser.add_argument("--repair", action="store_true", help="repair what differs, as revisions")
    parser.add_argument("--resume", default="", metavar="ID", help="bring a run that was stopped to its end")
    parser.add_argument("--slices", type=_whole(1, MAX_SLICES), default=8, help="in how many parts people are compared")
    parser.add_argument(
        "--grace-seconds", type=_grace, default=RECONCILIATION_GRACE_SECONDS, help="what is younger waits"
    )
    parser.add_argument("--fail-on", choices=sorted(FAILED), default="warning", help="what is no success")
    options = parser.parse_args(arguments)
    if options.all and options.resume:
        parser.error("--resume goes on with the run of one --workspace")
    if options.since is not None and options.until is not None and options.since >= options.until:
        parser.error("--until is the first day after, and so later than --since")
    return options


def _whole(least: int, most: int) -> Callable[[str], int]:
    """Returns what reads a whole number of a range, both ends included."""

    def read(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least} to {most}")
        return number

    read.__name__ = "whole number"  # how argparse calls what is none
    return read


def _grace(text: str) -> float:
    seconds = float(text)
    if not -_MAX_GRACE_SECONDS <= seconds <= _MAX_GRACE_SECONDS:  # nor is what is no number
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds up to {_MAX_GRACE_SECONDS:.0f}")
    return seconds


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write 2026-11-01") from error
    if not 1970 <= day.year <= 9998:
        raise argparse.ArgumentTypeError(f"no events are of {text}")
    return day
