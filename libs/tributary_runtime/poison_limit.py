"""When not the events are wrong but we are: how many dead letters are believable before a worker stops."""

from dataclasses import dataclass

from tributary_runtime.errors import TributaryError


class TooManyPoisonedError(TributaryError):
    """So many events fail that the fault must be ours; somebody must look before more is put aside."""

    default_reason = "TOO_MANY_POISONED"


@dataclass(frozen=True, slots=True)
class PoisonLimit:
    """How many dead letters are believable: at most `share` of the last `window` events."""

    window: int = 200
    share: float = 0.5

    @property
    def most(self) -> int:
        """Dead letters among the last `window` events at which the worker still goes on."""
        return int(self.window * self.share)
