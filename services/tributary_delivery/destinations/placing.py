"""What an adapter must be able to do whose destination takes conversions of one click and one second for one.

The one rule: which seconds will do is said before a conversion is sent first, and of what does not change; which one it
has is claimed then, and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised


@dataclass(frozen=True, slots=True)
class Places:
    """The seconds that a conversion may have of its click, since 1970."""

    click_id: str
    best: int
    step: int
    """How far the next one is, before or after."""
    earliest: int
    latest: int


@runtime_checkable
class Placing(Protocol):
    """An adapter that says which. Pure: runs as often as need be."""

    def places(self, revised: ConversionRevised) -> Places | None:
        """Returns the seconds that will do; None: it has no click, and needs none."""
        ...
