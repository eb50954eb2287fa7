"""What a conversion is to the same order as somebody else told it: with the cycle of a subscription, or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tributary.attribution.v1.conversion_pb2 import SameOrder
from tributary_storage.codec.conversion_matches import match_of
from tributary_storage.codec.conversion_parts import ConversionPart


@dataclass(frozen=True, slots=True)
class OneOrder:
    """What the others are to one of them."""

    merged_into: SameOrder | None = None
    """Of one that was told without a cycle: which counts in its place; None: it counts itself."""
    merged_from: SameOrder | None = None
    """Of one that was told with a cycle: in whose place it counts; None: nobody told it without."""
    is_taken_back: bool = False
    """Of one that was told without a cycle: whether what counts in its place was taken back."""
    adjustments: tuple[ConversionPart, ...] = ()
    """Of one that was told with a cycle: what changed the other, and changes it, too; of several each its part."""
    changes: tuple[ConversionPart, ...] = ()
    """Likewise: all that changes their order."""
    observations: tuple[ConversionPart, ...] = ()
    """Likewise: what was observed of the other, where it has its credit: its person is recognised by that, too."""
    valued: tuple[ConversionPart, ...] = ()
    """Likewise, where it is the only one: what was observed of the other, whoever's credit it has: of it the value
    counts, too."""
    is_credited: bool = False
    """Whether it has the credit of another of them."""
    told_otherwise: tuple[str, ...] = ()
    """Ids of those that are the same order: with the cycle, or without."""
    plain_families: tuple[str, ...] = ()
    """Ids of the families in which it is what was told without a cycle."""
    living: tuple[str, ...] = ()
    """Ids of all ways in which the order was told, but for those whose people were erased."""
    frozen: tuple[str, ...] = ()
    """Ids of what stands in for these."""

    @property
    def takes_place_of(self) -> tuple[str, ...]:
        """For which others it counts."""
        return () if self.merged_from is None else self.told_otherwise

    @property
    def told(self) -> frozenset[object]:
        """What of it another of them may change."""
        parts = [part.event_hash for part in (*self.observations, *self.valued)]
        shares = ((part.event_hash, part.event.adjustment.amount.amount_micros) for part in self.adjustments)
        others = ((self.merged_into, "into"), (self.merged_from, "from"))
        told = ((one.SerializeToString(deterministic=True), way) for one, way in others if one is not None)
        return frozenset((*told, *parts, *shares))

    def with_adjustments(self, parts: list[ConversionPart]) -> list[ConversionPart]:
        """Returns the parts of a conversion with what changes it through the other, in event order."""
        if not self.adjustments:
            return parts
        own = {part.event_hash for part in parts}  # of whoever was erased they are its own
        others = (part for part in self.adjustments if part.event_hash not in own)
        return sorted([*parts, *others], key=lambda part: (part.event_time_micros, part.event_hash))


NO_ORDER: Final = OneOrder()


def adjustments_of(plain: Sequence[ConversionPart]) -> tuple[ConversionPart, ...]:
    """Returns what changes an order, however it is told: whoever cancels it need not know of the cycle."""
    return tuple(part for part in plain if not part.is_observation)


def same_order(conversion_id: str, observations: Sequence[ConversionPart]) -> SameOrder:
    """Returns by what the other conversion is known.

    Args:
        conversion_id: Its id.
        observations: By which destinations recognise it.
    """
    match = match_of(observations)
    return SameOrder(
        conversion_id=conversion_id, pixel_event_id=match.pixel_event_id, pixel_event_ids=match.pixel_event_ids
    )
