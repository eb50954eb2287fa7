"""Which claims a confirmed loss of the log may have taken, and until when that matters.

The one rule: a claim that was lost matters as long as it would have lived. Until then what has no claim may still be
known, and is looked up in ClickHouse; afterwards nothing that is sent can meet it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from tributary_storage.redis.sweeper import CLAIM_LIFE_SECONDS, ORDER_LIFE_SECONDS

_MICROS: Final = 1_000_000


class Lacking(Enum):
    """What claims cannot be relied on to know."""

    NOTHING = auto()
    ORDERS = auto()
    """Orders and adjustments; event ids of before the loss would be past their life."""
    ALL = auto()


def ids_until(loss_micros: int) -> int:
    """Returns until when event ids of before a loss would have been claimed, microseconds since 1970."""
    return loss_micros + CLAIM_LIFE_SECONDS * _MICROS


def orders_until(loss_micros: int) -> int:
    """Returns until when orders and adjustments of before a loss would have been claimed."""
    return loss_micros + ORDER_LIFE_SECONDS * _MICROS


def lacking(loss_micros: int, now_micros: int) -> Lacking:
    """Returns what claims may lack now.

    Args:
        loss_micros: When the last confirmed loss of the log was; 0: there was none.
        now_micros: Microseconds since 1970.
    """
    if not loss_micros or now_micros > orders_until(loss_micros):
        return Lacking.NOTHING
    return Lacking.ORDERS if now_micros > ids_until(loss_micros) else Lacking.ALL
