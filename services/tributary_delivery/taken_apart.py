"""What is found out of a request that a destination refused as a whole, while it is sent again in parts.

The one rule: what is wrong with one conversion holds up that one. The rest waits only if the destination does not work,
asks for fewer calls, or takes nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tributary_delivery.admission import is_answered
from tributary_delivery.attempt import CONFIG_PAUSE_SECONDS, Attempt
from tributary_delivery.destinations.destination import CONFIG, PERMANENT, RETRY, THROTTLED, Outcome

_ALL_WRONG: Final = 20
"""When so many conversions of one request were refused, none was taken, and none is that stands elsewhere in it, it is
not they that are wrong."""


@dataclass(slots=True)
class Found:
    """What the parts of one request came to so far."""

    taken: int = 0
    refused: int = 0
    why_not: Outcome | None = None
    """Why no other part is sent now; None: it may be."""
    _refusal: Outcome | None = None
    """What was refused last alone."""
    _enough: int = _ALL_WRONG
    """When so many were refused, and none was taken, something is to be done."""
    _has_looked: bool = False

    def note(self, outcomes: Sequence[Outcome], *, is_alone: bool) -> None:
        """Takes note of what the destination said of the conversions of a part, and whether that was one alone.

        What it wants again later of one conversion is no reason not to send the others now.
        """
        is_working = any(one.is_ok for one in outcomes)
        for outcome in outcomes:
            if _holds_up_others(outcome, is_working=is_working):
                self.why_not = replace(outcome, is_untaken=True, is_unsent=False)
            self.taken += outcome.is_ok
            if is_alone and outcome.outcome == PERMANENT:
                self.refused += 1
                self._refusal = outcome

    def look_elsewhere(self, parts: list[list[Attempt]]) -> list[list[Attempt]]:
        """Returns the parts that wait, the next one last: usually as they are.

        After many refusals in a row one conversion of each part is sent alone before all else: what is wrong may stand
        side by side. If those are refused as well, the destination refuses everything. What is left is then due after
        what others plan meanwhile, so that a form of event that it never takes does not keep theirs waiting.
        """
        if self.why_not is not None or self.taken or self.refused < self._enough or self._refusal is None:
            return parts
        if parts and not self._has_looked:
            self._has_looked, self._enough = True, self.refused + len(parts)
            return [rest for part in parts if (rest := part[:-1])] + [part[-1:] for part in parts]
        last = self._refusal
        why = f"It refuses whatever it is sent; {self.refused} conversions of one request by now. {last.message}"
        self.why_not = Outcome(CONFIG, last.status_code, why, CONFIG_PAUSE_SECONDS, is_untaken=True)
        return parts


def _holds_up_others(outcome: Outcome, *, is_working: bool) -> bool:
    """Tells whether what was said of one conversion is true of all that wait.

    Args:
        outcome: Of the one.
        is_working: Whether another one of the same request was taken.
    """
    if outcome.outcome == CONFIG:
        return not is_working
    return outcome.outcome == THROTTLED or (outcome.outcome == RETRY and not is_answered(outcome))
