"""What data_driven learns from: how often journeys went from channel to channel, and which channels conversions saw.

The one rule: whole numbers that are only added and subtracted. So a path that is taken back leaves no trace, and counts
kept step by step are those counted at once, exactly.

Kept per workspace and conversion name. A path is the channels of a journey's touches, oldest first; journeys that did
not convert count too, else every channel would look sure to convert. Consecutive repeats of a channel are one step:
staying changes neither the chance to convert nor what a channel's removal costs. A journey without a touch is no path.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Final

START: Final = 0
"""Where every path begins."""
CONVERSION: Final = 1
"""Where a path ends that converted."""
NULL: Final = 2
"""Where a path ends that did not."""

State = str | int
"""A channel, or one of START, CONVERSION, NULL."""


@dataclass(frozen=True, slots=True)
class PathCounts:
    """Counts of paths. None is 0: what is not there was never counted, or taken back."""

    steps: Mapping[tuple[State, State], int] = field(default_factory=dict)
    """(from, to) -> how often."""
    shared: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """(channel, k) -> conversions that saw this channel and k different channels in all."""
    paths: int = 0
    conversions: int = 0

    def plus(self, other: "PathCounts", times: int = 1) -> "PathCounts":
        """Adds other counts; `times=-1` takes them back."""
        return total([(self, 1), (other, times)])

    def possible(self) -> "PathCounts":
        """Returns the counts without those below 0, which count nothing.

        What is kept of paths whose touches are deleted may take off more than is there, once one of these people is
        erased.

        >>> counts_of(["Email"], converted=False, times=-1).possible() == PathCounts()
        True
        """
        return PathCounts(
            {step: count for step, count in self.steps.items() if count > 0},
            {key: count for key, count in self.shared.items() if count > 0},
            max(0, self.paths),
            max(0, self.conversions),
        )

    def fields(self) -> dict[str, int]:
        """Returns the counts under a text each: what a store adds up, field by field."""
        named = {_step_field(*states): count for states, count in self.steps.items()}
        named |= {_shared_field(*key): count for key, count in self.shared.items()}
        named |= {"paths": self.paths, "conversions": self.conversions}
        return {name: count for name, count in named.items() if count}


@lru_cache(maxsize=1 << 14)
def _step_field(one: State, other: State) -> str:
    return json.dumps([one, other])


@lru_cache(maxsize=1 << 14)
def _shared_field(channel: str, size: int) -> str:
    return json.dumps({channel: size})


def counts_of(path: Sequence[str], *, converted: bool, times: int = 1) -> PathCounts:
    """Returns what one path counts.

    Args:
        path: Channels of its touches, oldest first.
        converted: Whether a conversion followed.
        times: How many such paths; -1 takes one back.

    >>> counts_of(["Email", "Email", "Direct"], converted=True).steps
    {(0, 'Email'): 1, ('Email', 'Direct'): 1, ('Direct', 1): 1}
    >>> counts_of([], converted=True).paths
    0
    """
    if not path:
        return PathCounts()
    steps: dict[tuple[State, State], int] = {}
    states: list[State] = [START, *path, CONVERSION if converted else NULL]
    for step in pairwise(states):
        if step[0] != step[1]:
            steps[step] = steps.get(step, 0) + times
    channels = dict.fromkeys(path) if converted else {}
    return PathCounts(
        steps, {(channel, len(channels)): times for channel in channels}, times, times if converted else 0
    )


def without_repeats(path: Sequence[str]) -> list[str]:
    """Returns a path whose consecutive repeats are one step: it counts the same.

    >>> without_repeats(["Email", "Email", "Direct", "Email"])
    ['Email', 'Direct', 'Email']
    """
    return [channel for place, channel in enumerate(path) if not place or path[place - 1] != channel]


def total(counts: Iterable[tuple[PathCounts, int]]) -> PathCounts:
    """Adds counts up, each so many times."""
    steps: dict[tuple[State, State], int] = {}
    shared: dict[tuple[str, int], int] = {}
    paths = conversions = 0
    for one, times in counts:
        for step, count in one.steps.items():
            steps[step] = steps.get(step, 0) + times * count
        for key, count in one.shared.items():
            shared[key] = shared.get(key, 0) + times * count
        paths += times * one.paths
        conversions += times * one.conversions
    return PathCounts(
        {step: count for step, count in steps.items() if count},
        {key: count for key, count in shared.items() if count},
        paths,
        conversions,
    )


def from_fields(fields: Mapping[str, int]) -> PathCounts:
    """Reads what `PathCounts.fields` wrote and a store has added up.

    Raises:
        ValueError: A field is none of ours.
    """
    steps: dict[tuple[State, State], int] = {}
    shared: dict[tuple[str, int], int] = {}
    for name, count in fields.items():
        if not count or name in ("paths", "conversions"):
            continue
        read = json.loads(name)
        if isinstance(read, dict):
            shared |= dict.fromkeys(read.items(), count)
        else:
            one, other = read
            steps[one, other] = count
    return PathCounts(steps, shared, fields.get("paths", 0), fields.get("conversions", 0))
