"""Leads: stages that are conversions of their own, share one journey, and of which only the latest is worth anything.

The one rule: event order decides which stage is the latest, so that a CRM that reports late or twice changes nothing.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tributary_domain.event_order import OrderKey

LOST: Final = frozenset({"lost"})
"""Stages that retract, unless a later one reopens the lead."""
ROOT: Final = ""
"""The stage of a lead's first conversion, where that is no stage itself: whatever came, it was before all others."""


class StageStanding(StrEnum):
    """What a stage's value counts for."""

    LATEST = "latest"
    """It is the lead's value now."""
    SUPERSEDED = "superseded"
    """A later stage took its place: the stage stands, its value is not counted."""
    RETRACTED = "retracted"
    """The lead is lost: no stage is worth anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadStage:
    """A stage that a lead reached."""

    conversion_id: str
    stage: str
    """`ROOT`: it is the lead's first conversion, and no stage."""
    event_time_micros: int
    event_hash: int
    amount_micros: int | None = None
    """What the stage is worth; None: not stated."""
    is_good: bool = True
    """Neither retracted by itself nor a test: else it is no stage."""

    @property
    def order_key(self) -> OrderKey:
        """Its place in event order."""
        return self.event_time_micros, self.event_hash


@dataclass(frozen=True, slots=True)
class StagedConversion:
    """A stage as a conversion."""

    conversion_id: str
    standing: StageStanding
    root_id: str
    """The conversion whose place in event order, journey and window all stages share: the earliest of them."""
    counted_amount_micros: int
    """What totals contain of it."""


def staged(stages: Iterable[LeadStage], lost: Collection[str] = LOST) -> list[StagedConversion]:
    """Says what each stage of one lead counts for.

    Args:
        stages: All of one lead, its root too, in any order, with any repeats.
        lost: Names of stages that retract.

    Returns:
        One per good stage, in event order; at most one of them counts for anything.
    """
    good = sorted((stage for stage in stages if stage.is_good), key=_latest_last, reverse=True)
    ordered = sorted({stage.conversion_id: stage for stage in good}.values(), key=_latest_last)
    if not ordered:
        return []
    latest = max(ordered, key=lambda stage: (stage.stage != ROOT, _latest_last(stage)))
    is_lost = latest.stage in lost
    found = []
    for stage in ordered:
        if is_lost:
            standing = StageStanding.RETRACTED
        else:
            standing = StageStanding.LATEST if stage is latest else StageStanding.SUPERSEDED
        amount = (stage.amount_micros or 0) if standing is StageStanding.LATEST else 0
        found.append(StagedConversion(stage.conversion_id, standing, ordered[0].conversion_id, amount))
    return found


def _latest_last(stage: LeadStage) -> tuple[OrderKey, str]:
    return stage.order_key, stage.conversion_id
