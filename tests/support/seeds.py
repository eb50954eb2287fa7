"""Which random worlds a run of the tests makes: others every day, and the same again by `WORLDS_SEED`.

The one rule: a run says its first seed, passed or failed, so that whoever reads of a world can make it again.
"""

from __future__ import annotations

import os
from datetime import date
from typing import Final

from tributary_runtime.clock import SystemClock

WORLDS: Final = 300
"""How many of them the installation lives through that is killed part by part."""

_NAME: Final = "WORLDS_SEED"


def choose_seed() -> None:
    """Decides on the first seed, for this process and those it starts: what the environment says, else the day."""
    days = (SystemClock().now().date() - date(1970, 1, 1)).days
    os.environ.setdefault(_NAME, str(days * WORLDS))


def seeds() -> range:
    """Returns the seeds of this run's worlds."""
    first = int(os.environ[_NAME])
    return range(first, first + WORLDS)


def seeds_told() -> str:
    """Returns what a run says of its seeds."""
    own = seeds()
    return f"random worlds: seeds {own.start} to {own.stop - 1}; {_NAME}={own.start} makes them again"
