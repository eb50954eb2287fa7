"""What an adapter must be able to do whose objects are of many conversions: look at them before they are written.

The one rule: what is newer there stays. An older conversion that is delivered later is known there all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tributary_delivery.destinations.adapter import Answer, Request, Verdict


@runtime_checkable
class Looking(Protocol):
    """An adapter that looks before it writes. Pure: runs as often as need be."""

    def look(self, events: Sequence[bytes]) -> Request | None:
        """Asks what the objects hold that events change; None: it need not know."""
        ...

    def seen(self, events: Sequence[bytes], answer: Answer) -> Sequence[bytes | None] | Verdict:
        """Returns what is to be written of each event, None: nothing, newer is there; or why nobody can tell."""
        ...
