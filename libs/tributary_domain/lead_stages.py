"""Leads: stages that are conversions of their own, share one journey, and of which only the latest is worth anything.

The one rule: event order decides which stage is the latest, so that a CRM that reports late or twice changes nothing.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tributary_domain.event_order import OrderKey
from tributary_domain.windows import CreditableConversion

LOST: Final = frozenset({"lost"})
"""Stages that retract, unless a later one reopens the lead."""


class StageStanding(StrEnum):
    """What a stage's value counts for."""

    LATEST = "latest"
    """It is the lead's value now."""
    SUPERSEDED = "superseded"
    """A later stage took its place: the stage stands, its value is 0."""
    RETRACTED = "retracted"
    """The lead is lost: no stage is worth anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadStage:
    """A stage that a lead reached."""

    conversion_id: str
    stage: str
    event_time_micros: int
    event_hash: int
    amount_micros: int | None = None
    """What the stage is worth; None: not stated."""

    @property
    def order_key(self) -> OrderKey:
        """Its place in event order."""
        return self.event_time_micros, self.event_hash


@dataclass(frozen=True, slots=True)
class StagedConversion:
    """A stage as a conversion."""

    conversion_id: str
    standing: StageStanding
    anchor: OrderKey
    """The root's place in event order: all stages share its journey and window."""
    counted_amount_micros: int
    """What totals contain of it."""


def staged(
    stages: Iterable[LeadStage], root: OrderKey | None = None, lost: Collection[str] = LOST
) -> list[StagedConversion]:
    """Says what each stage of one lead counts for.

    Args:
        stages: All of one lead, in any order, with any repeats.
        root: The place in event order of the lead's first conversion where that is no stage (`root_order_id`). None:
            the earliest stage is the root.
        lost: Names of stages that retract.

    Returns:
        One per stage, in event order; at most one of them counts for anything.
    """
    ordered = sorted(
        {stage.conversion_id: stage for stage in sorted(stages, key=_latest_last, reverse=True)}.values(),
        key=_latest_last,
    )
    if not ordered:
        return []
    anchor = ordered[0].order_key if root is None else min(root, ordered[0].order_key)
    latest = ordered[-1]
    is_lost = latest.stage in lost
    found = []
    for stage in ordered:
        if is_lost:
            standing = StageStanding.RETRACTED
        else:
            standing = StageStanding.LATEST if stage is latest else StageStanding.SUPERSEDED
        amount = (stage.amount_micros or 0) if standing is StageStanding.LATEST else 0
        found.append(StagedConversion(stage.conversion_id, standing, anchor, amount))
    return found


def _latest_last(stage: LeadStage) -> tuple[OrderKey, str]:
    return stage.order_key, stage.conversion_id


def at_root(root: CreditableConversion, stage: StagedConversion) -> CreditableConversion:
    """Returns a stage as `attribute` takes it: on the root's journey, worth what it counts for."""
    return replace(root, amount_micros=stage.counted_amount_micros)
