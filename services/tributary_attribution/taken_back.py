"""Whether a conversion stands in nobody's way any more where its name does not count every one. Pure.

The one rule: a lead, and an order that was told twice, stand and fall as a whole. What counts for another of them takes
its place as well as that one would; once the lead is lost, or the order taken back by whatever name, all of it is gone.
"""

from __future__ import annotations

from tributary_attribution.affected import Affected
from tributary_attribution.counting import counts_every, is_retracted, may_move_rivals
from tributary_attribution.one_order import NO_ORDER
from tributary_domain.journey import TouchKind
from tributary_domain.lead_stages import StageStanding


def is_taken_back(one: Affected) -> bool:
    """Tells whether a conversion was taken back: itself, with its lead, or as its order was told by somebody else.

    Args:
        one: With its parts, and what its family is to it.
    """
    if one.kin.standing is StageStanding.RETRACTED or one.kin.order.is_taken_back:
        return True
    return is_retracted(one.kin.order.with_adjustments(one.parts))


def moves_rivals(one: Affected) -> bool:
    """Tells whether what arrived may have changed which others of its name count, whatever their places in time.

    What arrived of its lead, or of its order as somebody else told it, may: that takes it back, or not any more.

    Args:
        one: With its parts and journey, and what its family is to it.
    """
    return may_move_rivals(one.journey, one.parts, one.arrived) or has_kin_arrived(one)


def has_kin_arrived(one: Affected) -> bool:
    """Tells whether anything arrived of a conversion's lead, or of its order as somebody else told it.

    Args:
        one: With its parts and journey, and what its family is to it.
    """
    if one.kin.standing is None and one.kin.order is NO_ORDER:
        return False
    entries = () if one.journey is None else one.journey.entries
    touches = {entry.event_hash for entry in entries if entry.kind != TouchKind.CONVERSION}
    return not one.arrived.issubset(touches.union(part.event_hash for part in one.parts))


def frees_forgotten(one: Affected) -> bool:
    """Tells whether one was taken back in whose place another may count that its person's journey has forgotten."""
    if counts_every(one.workspace, one.parts):
        return False
    is_held = one.journey is not None and one.conversion_id in one.journey.conversions
    return not is_held and moves_rivals(one) and is_taken_back(one)
