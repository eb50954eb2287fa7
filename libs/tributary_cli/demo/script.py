"""Turns the world into what is sent: every event with the verdict it must get, in two acts.

The first act is the day as it comes: events roughly in time order, with duplicates (some at the same moment over
another connection), bots, malformed events, refunds that overtake their orders. The second act comes after every
conversion was credited: refunds, late touchpoints, conflicts, late duplicates.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from tributary.event.v1.adjustment_pb2 import ADJUSTMENT_REASON_REFUND
from tributary.event.v1.consent_pb2 import CONSENT_STATE_GRANTED
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND, OBSERVER_BROWSER
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import TOUCHPOINT_KIND_VISIT
from tributary_cli.demo.channels import CHANNELS, SHOP
from tributary_cli.demo.world import Person, Purchase, Visit, World, consents, make_world

PERSONAL_DATA_MARK: Final = "mail.demo.example"
"""In every plain e-mail address that is sent, and so nowhere in what is stored."""

_BROWSER: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
_BOT: Final = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


class Expected(Enum):
    """The verdict an event must get, by name in the totals."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Sending:
    """An event to be sent, with what must become of it."""

    event: Event
    expected: Expected
    same_moment: bool = False
    """Whether it goes out together with the event before it, over another connection."""


@dataclass(slots=True)
class Script:
    """What is sent, in order, and what must be known of it afterwards."""

    world: World
    first_act: list[Sending] = field(default_factory=list)
    second_act: list[Sending] = field(default_factory=list)

    @property
    def sendings(self) -> list[Sending]:
        """Both acts."""
        return [*self.first_act, *self.second_act]

    def verdicts(self) -> dict[str, int]:
        """Returns how many events must get each verdict."""
        counted = Counter(sending.expected.value for sending in self.sendings)
        return {expected.value: counted[expected.value] for expected in Expected}

    def missing(self) -> list[str]:
        """Returns what a world this small has none of, in words for people."""
        verdicts = self.verdicts()
        people = self.world.people
        purchases = [purchase for person in people for purchase in person.purchases]
        there = {
            "duplicates": verdicts["duplicate"],
            "conflicts": verdicts["conflict"],
            "malformed events": verdicts["rejected"],
            "bots": verdicts["quarantined"],
            "conversions": len(purchases),
            "orders seen by browser and backend": sum(one.observed_by_backend_too for one in purchases),
            "refunds": sum(one.refund_micros > 0 for one in purchases),
            "late touchpoints": sum(visit.late for person in people for visit in person.visits),
        }
        return [name for name, count in there.items() if not count]

    def stored_event_ids(self) -> set[str]:
        """Returns the ids of the events that must be found again, each once: new ones, observations, quarantined."""
        return {
            sending.event.event_id
            for sending in self.sendings
            if sending.expected in (Expected.ACCEPTED, Expected.QUARANTINED) or _is_further_observation(sending)
        }


def make_script(seed: int, events: int, now: datetime) -> Script:
    """Makes exactly `events` events.

    Args:
        seed: The same seed makes the same world, but for the present.
        events: At least 1; of few not every kind is made (`Script.missing`).
        now: The present.
    """
    rng = random.Random(seed)  # noqa: S311 - a demo's world must be repeatable, not secret
    bots, malformed, conflicts = round(events * 0.05), round(events * 0.01), round(events * 0.01)
    world = make_world(rng, round(events * 0.79), events - bots - malformed - conflicts, now)
    script = Script(world)
    day: list[tuple[datetime, Sending]] = []
    for person in world.people:
        for visit in person.visits:
            sending = Sending(_visit(person, visit), Expected.ACCEPTED)
            if visit.late:
                script.second_act.append(sending)
            else:
                day.append((visit.time, sending))
        day.extend(_links(person, now))
        for purchase in person.purchases:
            day.extend(_purchase(person, purchase))
            if purchase.refund_overtakes:
                day.append((purchase.time - timedelta(hours=4), _refund(purchase)))
            elif purchase.refund_micros:
                script.second_act.append(_refund(purchase))
    good = [sending for _, sending in day]
    day.extend(_bot(rng, world, index, now) for index in range(bots))
    day.extend(_malformed(rng, index, now) for index in range(malformed))
    script.first_act = _in_order_of_arrival(rng, day)
    script.second_act.extend(_conflict(sending) for sending in _conflictable(rng, good, conflicts))
    _duplicate(rng, script, good, events)
    return script


def _visit(person: Person, visit: Visit) -> Event:
    event = _event(visit.event_id, visit.time)
    event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
    event.identifiers.visitor_id = person.devices[visit.device]
    _in_browser(event, person.address)
    CHANNELS[visit.channel](event, f"{person.number:06d}{visit.event_id[-2:]}")
    return event


def _links(person: Person, now: datetime) -> Iterator[tuple[datetime, Sending]]:
    """Log-ins, one on each of two devices."""
    for device in person.devices if person.links else ():
        time = now - timedelta(days=1, seconds=person.number % 80_000)
        event = _event(f"i-{device}", time)
        event.identify.SetInParent()
        event.identifiers.visitor_id = device
        event.identifiers.customer_id = person.customer_id
        yield time, Sending(event, Expected.ACCEPTED)


def _purchase(person: Person, purchase: Purchase) -> Iterator[tuple[datetime, Sending]]:
    first = _observation(person, purchase, purchase.event_id, purchase.time, by_backend=purchase.logged_in)
    if purchase.observed_by_backend_too:
        first = _observation(person, purchase, purchase.event_id, purchase.time, by_backend=False)
        first.conversion.value.amount_micros = purchase.value_micros * 119 // 100  # the browser sees the gross value
        later = purchase.time + timedelta(seconds=2)
        second = _observation(person, purchase, f"{purchase.event_id}-backend", later, by_backend=True)
        second.identifiers.ClearField("visitor_id")
        yield later, Sending(second, Expected.DUPLICATE)
    yield purchase.time, Sending(first, Expected.ACCEPTED)


def _refund(purchase: Purchase) -> Sending:
    event = _event(f"r-{purchase.event_id}", purchase.time + timedelta(minutes=30))
    refund = event.adjustment
    refund.conversion_name, refund.order_id = purchase.name, purchase.order_id
    refund.adjustment_id = f"credit-note-{purchase.order_id}"
    refund.reason = ADJUSTMENT_REASON_REFUND
    refund.amount.currency_code, refund.amount.amount_micros = purchase.currency, purchase.refund_micros
    return Sending(event, Expected.ACCEPTED)


def _observation(person: Person, purchase: Purchase, event_id: str, time: datetime, *, by_backend: bool) -> Event:
    event = _event(event_id, time)
    event.conversion.name = purchase.name
    event.conversion.order_id = purchase.order_id
    if purchase.order_id:
        event.conversion.value.currency_code = purchase.currency
        event.conversion.value.amount_micros = purchase.value_micros
    event.identifiers.visitor_id = person.devices[purchase.device]
    if purchase.logged_in and consents(person):
        event.consent.ad_user_data = CONSENT_STATE_GRANTED
    if by_backend:
        event.identifiers.customer_id = person.customer_id
        event.identifiers.email = person.email
        event.context.observed_by = OBSERVER_BACKEND
    else:
        _in_browser(event, person.address)
        event.context.page_url = f"{SHOP}/thank-you"
    return event


def _bot(rng: random.Random, world: World, index: int, now: datetime) -> tuple[datetime, Sending]:
    """A crawler, now and then with the cookie of a real person, whom it must earn nothing."""
    person = rng.choice(world.people)
    time = now - timedelta(hours=1 + 300 * rng.random())
    event = _event(f"x-{index:06d}", time)
    event.touchpoint.kind = TOUCHPOINT_KIND_VISIT
    event.identifiers.visitor_id = person.devices[0] if rng.random() < 0.5 else f"crawler-{index}"
    _in_browser(event, "203.0.113.7")
    event.context.user_agent = _BOT
    CHANNELS[rng.choice(list(CHANNELS))](event, f"x{index:06d}")
    return time, Sending(event, Expected.QUARANTINED)


def _malformed(rng: random.Random, index: int, now: datetime) -> tuple[datetime, Sending]:
    """An event that can never be right, each time for another reason."""
    time = now - timedelta(hours=1 + 300 * rng.random())
    event = _event(f"m-{index:06d}", time)
    event.conversion.name = "purchase"
    event.conversion.order_id = f"never-{index}"
    event.conversion.value.currency_code, event.conversion.value.amount_micros = "EUR", 1_000_000
    event.identifiers.customer_id = f"m-{index}"
    _BREAKAGES[index % len(_BREAKAGES)](event)
    return time, Sending(event, Expected.REJECTED)


def _break_currency(event: Event) -> None:
    event.conversion.value.currency_code = "XXZ"


def _break_sign(event: Event) -> None:
    event.conversion.value.amount_micros = -1


def _break_age(event: Event) -> None:
    event.event_time.FromDatetime(event.event_time.ToDatetime() - timedelta(days=4_000))


_BREAKAGES: Final[tuple[Callable[[Event], None], ...]] = (
    _break_currency,
    _break_sign,
    _break_age,
    lambda event: event.ClearField("identifiers"),
    lambda event: event.ClearField("conversion"),
    lambda event: event.ClearField("event_time"),
)


def _conflictable(rng: random.Random, good: list[Sending], count: int) -> list[Sending]:
    candidates = [sending for sending in good if sending.event.WhichOneof("kind") in ("touchpoint", "conversion")]
    return rng.sample(candidates, min(count, len(candidates)))


def _conflict(sending: Sending) -> Sending:
    """The same id with another content."""
    event = Event()
    event.CopyFrom(sending.event)
    if event.WhichOneof("kind") == "conversion":
        event.conversion.value.currency_code = event.conversion.value.currency_code or "EUR"
        event.conversion.value.amount_micros += 1_000_000
    else:
        event.touchpoint.utm.source = "somebody-else"
    return Sending(event, Expected.CONFLICT)


def _duplicate(rng: random.Random, script: Script, good: list[Sending], events: int) -> None:
    """Fills up to `events` with events that were or will be sent anyway, half of them at the same moment."""
    missing = events - len(script.sendings)
    chosen = [rng.choice(good) for _ in range(max(0, missing))]
    same_moment = {id(sending) for sending in chosen[: len(chosen) // 2]}
    extra = Counter(id(sending) for sending in chosen[: len(chosen) // 2])
    act: list[Sending] = []
    for sending in script.first_act:
        act.append(sending)
        if id(sending) in same_moment:
            act.extend([Sending(sending.event, Expected.DUPLICATE, same_moment=True)] * extra[id(sending)])
    script.first_act = act
    script.second_act.extend(Sending(sending.event, Expected.DUPLICATE) for sending in chosen[len(chosen) // 2 :])
    rng.shuffle(script.second_act)


def _in_order_of_arrival(rng: random.Random, day: list[tuple[datetime, Sending]]) -> list[Sending]:
    """Roughly in time order: networks and queues shuffle what is up to two hours apart."""
    arrivals = [(time + timedelta(seconds=7_200 * rng.random()), sending) for time, sending in day]
    return [sending for _, sending in sorted(arrivals, key=lambda arrival: arrival[0])]


def _is_further_observation(sending: Sending) -> bool:
    return sending.event.event_id.endswith("-backend")


def _event(event_id: str, time: datetime) -> Event:
    event = Event(event_id=event_id)
    event.event_time.FromDatetime(time)
    return event


def _in_browser(event: Event, address: str) -> None:
    event.context.observed_by = OBSERVER_BROWSER
    event.context.user_agent = _BROWSER
    event.context.client_ip = address
    event.context.language = "de-DE"
