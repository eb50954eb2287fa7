"""What reconciliation reads of families, and what it says of them: observations, conversions, what is left, heirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Related(NamedTuple):
    """What an observation says of its family."""

    conversion_id: str
    name: str
    store: str
    order_id: str
    """As sent; empty: none."""
    lead_id: str
    root_order_id: str
    stage: str
    subscription_id: str
    kind: int
    """As on the wire; 0: it is no cycle."""
    rank: int
    time_micros: int
    event_hash: int
    is_internal: bool
    cycle: str = ""


class Staged(NamedTuple):
    """What the parts of a conversion say together."""

    conversion_id: str
    slice: int
    person: int
    time_micros: int
    event_hash: int
    session: int
    counted: bool
    is_internal: bool
    """Whether nobody observed it for good."""
    original_micros: int
    accept_time: int
    tokens: Sequence[str]


class StandIn(NamedTuple):
    """What a family goes on knowing of a conversion whose person was erased."""

    conversion_id: str
    role: int
    """1: a stage, 2: what a lead began with, 3 and 4: a cycle, 5: an order told without its cycle."""
    families: Sequence[str]
    """Ids."""
    stage: str
    kind: int
    """As of `Related`."""
    time_micros: int
    decides: bool
    """Whether it is counted or credited with the others."""
    rank: int = 2
    """Of who said what it is worth; a backend's."""
    event_hash: int = 0


class Heir(NamedTuple):
    """What a family is to one of its conversions."""

    conversion_id: str
    origin: Staged | None
    """Whose credit it has; None: its own path's."""
    is_superseded: bool
    is_lost: bool
    accept_time: int
    """Of the newest event that says anything about the family."""
    family: tuple[str, ...]
    """Ids of all of it."""
    frozen_at: str = ""
    """The conversion whose credit it has where that is frozen, itself perhaps; empty: it is computed."""
    is_void: bool = False
    """Whether what counts in its place, the same order told with its cycle, was taken back."""
    takes_place: bool = False
    """Whether it counts for the others of its lead, or for its order as it was told without the cycle."""
