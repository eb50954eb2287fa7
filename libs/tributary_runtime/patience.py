"""How long the caller of the call being handled still waits: what is asked of others on the way may take that long.

The one rule: a little less than that, so that it is in our words that the caller hears of a part that did not answer.
"""

from collections.abc import Callable
from contextvars import ContextVar

_LEFT_SHARE = 0.05
_LEFT_SECONDS = 1.0
"""What is left for the way back: a share of it, and no more than this."""

_remaining: ContextVar[Callable[[], float | None]] = ContextVar("remaining")


def heed(remaining: Callable[[], float | None]) -> None:
    """Notes who is waiting, for the rest of the call.

    Args:
        remaining: Tells how many seconds the caller still waits; None: the caller did not say.
    """
    _remaining.set(remaining)


def patience_seconds() -> float | None:
    """Returns how long something that the call needs may take; None: nobody said."""
    remaining = _remaining.get(None)
    seconds = None if remaining is None else remaining()
    return None if seconds is None else seconds - min(_LEFT_SECONDS, _LEFT_SHARE * seconds)
