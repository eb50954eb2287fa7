"""What the credit must be, computed from the world alone: in fractions, one formula per model, nothing shared.

A different author would write it so from the definitions; it imports nothing of the code it judges.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from tributary_cli.demo.channels import DIRECT
from tributary_cli.demo.world import LOOKBACK, Person, Purchase, Visit, World

HALF_LIFE_SECONDS: Final = 7 * 24 * 3600

MODELS: Final = ("first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay")

UNATTRIBUTED: Final = "unattributed"


@dataclass(frozen=True, slots=True)
class TrueConversion:
    """A conversion as it must end up."""

    key: str
    """The order id, or the event id where there is none."""
    name: str
    value_micros: int
    touches: tuple[str, ...]
    """Channels of the touches in its window, oldest first."""
    shares: dict[str, tuple[Fraction, ...]]
    """Model -> share per touch; none where there is no touch."""
    touched_late: bool
    refunded: bool
    refunded_later: bool
    """Whether the refund certainly came after it was credited."""
    merged: bool


def true_conversions(world: World) -> dict[str, TrueConversion]:
    """Returns every conversion of the world by its key."""
    return {
        conversion.key: conversion
        for person in world.people
        for conversion in (_true_conversion(person, purchase) for purchase in person.purchases)
    }


def channel_totals(conversions: dict[str, TrueConversion]) -> dict[str, dict[str, tuple[Fraction, Fraction]]]:
    """Returns model -> channel -> (credited conversions, credited micros), exactly."""
    totals: dict[str, dict[str, tuple[Fraction, Fraction]]] = {}
    for model in MODELS:
        by_channel: dict[str, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
        for conversion in conversions.values():
            shares = conversion.shares[model] if conversion.touches else (Fraction(1),)
            for channel, share in zip(conversion.touches or (UNATTRIBUTED,), shares, strict=True):
                by_channel[channel][0] += share
                by_channel[channel][1] += share * conversion.value_micros
        totals[model] = {channel: (count, value) for channel, (count, value) in sorted(by_channel.items())}
    return totals


def _true_conversion(person: Person, purchase: Purchase) -> TrueConversion:
    # Every visit counts, on whichever device: log-ins on each device link the two.
    known = sorted(person.visits, key=lambda visit: visit.time)
    touches = [visit for visit in known if purchase.time - LOOKBACK <= visit.time <= purchase.time]
    return TrueConversion(
        key=purchase.order_id or purchase.event_id,
        name=purchase.name,
        value_micros=max(0, purchase.value_micros - purchase.refund_micros),
        touches=tuple(visit.channel for visit in touches),
        shares={model: _shares(model, touches, purchase) for model in MODELS},
        touched_late=any(visit.late for visit in touches),
        refunded=purchase.refund_micros > 0,
        refunded_later=purchase.refund_micros > 0 and not purchase.refund_overtakes,
        merged=purchase.observed_by_backend_too,
    )


def _shares(model: str, touches: list[Visit], purchase: Purchase) -> tuple[Fraction, ...]:
    count = len(touches)
    if not count:
        return ()
    if model == "linear":
        return (Fraction(1, count),) * count
    if model == "time_decay":
        ages = [Fraction((purchase.time - visit.time).total_seconds()) / HALF_LIFE_SECONDS for visit in touches]
        powers = [Fraction(math.exp2(-float(age))) for age in ages]
        return tuple(power / sum(powers) for power in powers)
    if model == "position_based":
        if count <= 2:
            return (Fraction(1, count),) * count
        middle = Fraction(20, 100) / (count - 2)
        return (Fraction(40, 100), *(middle,) * (count - 2), Fraction(40, 100))
    winner = {
        "first_touch": 0,
        "last_touch": count - 1,
        "last_non_direct": max(
            (index for index, visit in enumerate(touches) if visit.channel != DIRECT), default=count - 1
        ),
    }[model]
    return tuple(Fraction(int(index == winner)) for index in range(count))
