"""When to try again: full-jitter exponential backoff, and when to stop trying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Chance(Protocol):
    """Where jitter comes from; `random.Random` will do."""

    def uniform(self, a: float, b: float, /) -> float:
        """Returns a number between the two."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait between attempts.

    Full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015): each pause is uniform between nothing and a bound
    that doubles, so that what failed together does not come back together.
    """

    first_seconds: float = 2.0
    """Bound of the pause after the first attempt."""
    most_seconds: float = 3600.0
    """Bound of every pause."""

    def delay_seconds(self, attempt: int, chance: Chance) -> float:
        """Returns the pause after attempt number `attempt`, from 1.

        >>> class Most:
        ...     def uniform(self, a, b, /): return b
        >>> [Backoff().delay_seconds(attempt, Most()) for attempt in (1, 2, 3, 40)]
        [2.0, 4.0, 8.0, 3600.0]
        """
        bound = min(self.most_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 40))
        return chance.uniform(0.0, bound)


def is_over(start_seconds: float, due_seconds: float, horizon_seconds: float) -> bool:
    """Tells whether an attempt at `due_seconds` would be past the horizon of what is tried since `start_seconds`."""
    return due_seconds - start_seconds > horizon_seconds
