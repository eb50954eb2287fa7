"""What people do, as admitted events: who comes, from where, how often, and who buys. The same seed, the same world."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.attribution import DAY, NOON, Admitted, Events, leaving

CHANNELS = ("Paid Search", "Email", "Direct", "Display", "Organic Search", "Referral", "Affiliates", "Paid Social")
_HOUR = DAY // 24


@dataclass(frozen=True, slots=True)
class Mix:
    """What one person does."""

    name: str
    touches: Sequence[int] = (10,)
    """How many touches: of the first person, of the second, and so on, again and again."""
    converting: int = 60
    """How many per cent of the people buy."""
    orders: int = 1
    """How often, each after all of their touches."""
    leaving: int = 100
    """How many per cent of the touches carry what a browser shows: match keys and a browser id, every third a click id.
    """


def a_world(rng: random.Random, first: int, people: int, mix: Mix) -> list[Admitted]:
    """Returns what people do in ten days, in the order of time; a tenth of those who buy once refund it."""
    make = Events("w")
    events: list[tuple[int, Admitted]] = []
    for person in range(first, first + people):
        start = NOON - 20 * DAY + rng.randrange(10 * DAY)
        visitor = f"visitor:{person:022d}"
        for number in range(mix.touches[person % len(mix.touches)]):
            at = start + rng.randrange(9 * DAY)
            channel, campaign = rng.choice(CHANNELS), f"campaign {rng.randrange(200)}"
            event_id = f"touch-{person}-{number}"
            is_leaving = rng.randrange(100) < mix.leaving
            clicks = {"gclid": event_id} if is_leaving and number % 3 == 0 else {}
            touch = make.touch(visitor, at=at, channel=channel, campaign=campaign, event_id=event_id, clicks=clicks)
            events.append((at, leaving(touch, rng.randbytes(190), fbp=f"fb.1.{person}") if is_leaving else touch))
        if rng.randrange(100) >= mix.converting:
            continue
        tokens = f"customer:{person:022d}", f"email:{person:022d}", visitor
        for number in range(mix.orders):
            at, order_id = start + 9 * DAY + number * _HOUR, f"o-{person}-{number}"
            order = make.order(*tokens, at=at, order_id=order_id, event_id=f"order-{person}-{number}")
            events.append((at, order))
        if mix.orders == 1 and rng.randrange(10) == 0:
            refund = make.refund(10_000_000, at=at + DAY, order_id=order_id, event_id=f"refund-{person}")
            events.append((at + DAY, refund))
    events.sort(key=lambda timed: timed[0])
    return [event for _, event in events]
