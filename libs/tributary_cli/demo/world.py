"""The world of the demo: people, their visits and what they bought, made from a seed.

No event and no system yet, only what happened.

Visits of one person are at least 31 minutes apart, so that each is a session and a touch of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from tributary_cli.demo.channels import CHANNELS, WEIGHTS

LOOKBACK: Final = timedelta(days=30)
"""The demo workspace's lookback window."""

_DAYS_BACK: Final = 20
_SESSION_APART: Final = timedelta(minutes=31)


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit through a channel. `late` ones are sent after the person's conversions were credited."""

    event_id: str
    time: datetime
    channel: str
    device: int
    late: bool = False


@dataclass(frozen=True, slots=True)
class Purchase:
    """A conversion. One without an order id is known by its event id."""

    event_id: str
    time: datetime
    name: str
    order_id: str
    value_micros: int
    currency: str
    device: int
    logged_in: bool
    observed_by_backend_too: bool = False
    refund_micros: int = 0
    refund_overtakes: bool = False
    """Whether the refund is sent before the order is."""

    @property
    def sendings(self) -> int:
        """How many events tell of it."""
        return 1 + self.observed_by_backend_too + (self.refund_micros > 0)


@dataclass(slots=True)
class Person:
    """Somebody with one or two devices, who may log in."""

    number: int
    devices: list[str]
    customer_id: str
    email: str
    visits: list[Visit] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where the person is seen from, of the network that RFC 2544 keeps for measuring."""
        return f"198.{18 + (self.number >> 16) % 2}.{self.number >> 8 & 255}.{self.number & 255}"

    @property
    def links(self) -> int:
        """How many log-ins link the person's devices: one on each, if there are two."""
        return len(self.devices) if len(self.devices) > 1 else 0

    @property
    def sendings(self) -> int:
        """How many events tell all this."""
        return len(self.visits) + self.links + sum(purchase.sendings for purchase in self.purchases)

    def shorten(self, most: int) -> None:
        """Makes less happen, until at most `most` events tell it: a purchase stays longest."""
        if self.sendings > most:
            self.devices = self.devices[:1]
            self.visits = [replace(visit, device=0) for visit in self.visits]
            self.purchases = [
                replace(purchase, device=0, observed_by_backend_too=False, refund_micros=0, refund_overtakes=False)
                for purchase in self.purchases
            ]
        self.purchases = self.purchases[:most]
        self.visits = self.visits[: most - len(self.purchases)]


def consents(person: Person) -> bool:
    """Tells whether a person lets the shop send data about them to ad destinations: most who log in do."""
    return person.number % 8 != 3


@dataclass(frozen=True, slots=True)
class World:
    """Everything that happened."""

    people: list[Person]

    @property
    def events(self) -> int:
        """How many visits and conversions there are, and what else must be sent to make them known."""
        return sum(len(person.visits) + len(person.purchases) + (len(person.devices) > 1) for person in self.people)


def make_world(rng: random.Random, events: int, most: int, now: datetime) -> World:
    """Makes people until about `events` visits and conversions have happened, all within the last 20 days.

    Args:
        rng: The only chance there is.
        events: How many visits and conversions to make, at least.
        most: How many events may tell of them, at least 1: of the last person less happens, if need be.
        now: The present; nothing happens after it.
    """
    people: list[Person] = []
    made = told = 0
    while made < events and told < most:
        person = _make_person(rng, len(people) + 1, now)  # from 1: an order number of zeros alone is none to the door
        if told + person.sendings > most:
            person.shorten(most - told)
        people.append(person)
        made += len(person.visits) + len(person.purchases) + person.links
        told += person.sendings
    return World(people)


def _make_person(rng: random.Random, number: int, now: datetime) -> Person:
    two_devices = rng.random() < 0.08
    person = Person(
        number=number,
        devices=[f"v-{number:06d}-{index}" for index in range(1 + two_devices)],
        customer_id=f"c-{number:06d}",
        email=f"Person.{number}@mail.demo.example",
    )
    # A conversion without any touchpoint is common: an order by phone, a cookie that was refused.
    visits = 0 if rng.random() < 0.04 else min(1 + int(rng.expovariate(1 / 7)), 30)
    time = now - timedelta(days=_DAYS_BACK * rng.random(), minutes=90)
    for index in range(visits):
        channel = rng.choices(list(CHANNELS), WEIGHTS)[0]
        person.visits.append(Visit(f"t-{number:06d}-{index}", time, channel, rng.randrange(len(person.devices))))
        time += _SESSION_APART + timedelta(seconds=rng.expovariate(1 / 40_000))
        if time > now - timedelta(minutes=35):
            break
    if not visits or rng.random() < 0.55:
        _buy(rng, person, now)
    return person


def _buy(rng: random.Random, person: Person, now: datetime) -> None:
    """Adds one or two conversions, and makes some of the visits before them late."""
    last = person.visits[-1].time if person.visits else now - timedelta(days=rng.random() * _DAYS_BACK, hours=1)
    for index in range(1 + (rng.random() < 0.15)):
        time = last + timedelta(minutes=3 + 20 * index, microseconds=rng.randrange(1_000_000))
        is_order = rng.random() < 0.75
        value = rng.randrange(500, 40_000) * 10_000 + rng.randrange(10_000) if is_order else 0
        both = is_order and rng.random() < 0.3
        # Now and then more is refunded than was paid.
        refund = rng.randrange(1, value + value // 20) if is_order and rng.random() < 0.38 else 0
        person.purchases.append(
            Purchase(
                event_id=f"b-{person.number:06d}-{index}",
                time=time,
                name="purchase" if is_order else "signup",
                order_id=f"{person.number:06d}{index}" if is_order else "",
                value_micros=value,
                currency="EUR",
                device=rng.randrange(len(person.devices)),
                logged_in=both or rng.random() < 0.5,
                observed_by_backend_too=both,
                refund_micros=refund,
                refund_overtakes=refund > 0 and rng.random() < 0.1,
            )
        )
    person.visits = [
        visit if rng.random() > 0.085 else Visit(visit.event_id, visit.time, visit.channel, visit.device, late=True)
        for visit in person.visits
    ]
