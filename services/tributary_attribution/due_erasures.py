"""Which erasures are gone on with now: whose time has come, and that no bug of ours ended a moment ago.

The one rule: what does not answer now may answer at the next look; a bug ends a run at the same place each time, after
all that it costs, so such an erasure waits longer and longer, and holds no other up. Not kept: of who is to be erased
nothing is written beside his erasure's steps, which other processes do at once, and a restart may bring the mend.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from traceback import extract_tb
from typing import Final

import structlog

from tributary_domain.erasures import Erasure
from tributary_runtime.clock import Clock
from tributary_runtime.errors import OverloadedError, RevisionMovedError, UnavailableError, WorkerDecision

log = structlog.get_logger(__name__)

FIRST_SECONDS: Final = 10.0
MOST_SECONDS: Final = 3_600.0
_FOR_NOW: Final = (UnavailableError, OverloadedError, RevisionMovedError, WorkerDecision)


class DueErasures:
    """Knows them.

    Args:
        clock: Tells when.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: dict[str, tuple[float, float]] = {}
        """Id -> how long it waits, and until when, by the monotonic clock."""

    def among(self, opened: Iterable[Erasure]) -> list[Erasure]:
        """Returns those of all that are not finished whose turn it is."""
        open_now = {one.erasure_id: one for one in opened}
        self._failed = {name: pause for name, pause in self._failed.items() if name in open_now}
        now, moment = self._clock.unix_micros(), self._clock.monotonic_seconds()
        return [
            one
            for name, one in open_now.items()
            if one.due_micros <= now and (name not in self._failed or self._failed[name][1] <= moment)
        ]

    @contextmanager
    def tried(self, erasure: Erasure) -> Iterator[None]:
        """Lets nothing that ends a run of an erasure end whoever goes on with others, and credits everybody."""
        name = erasure.erasure_id
        try:
            yield
        except _FOR_NOW as failure:
            log.warning("erasure_not_finished", erasure=name, reason=str(failure))
        except Exception as failure:  # what it says may name the person: the place where it was raised does not
            seconds = min(MOST_SECONDS, 2 * self._failed[name][0]) if name in self._failed else FIRST_SECONDS
            self._failed[name] = seconds, self._clock.monotonic_seconds() + seconds
            place = extract_tb(failure.__traceback__)[-1]
            at = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
            log.error("erasure_not_finished", erasure=name, kind=type(failure).__name__, at=at, again_seconds=seconds)
        else:
            self._failed.pop(name, None)
