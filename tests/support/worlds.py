"""Worlds with everything that is awkward in a journey, for whoever holds one path against another."""

from __future__ import annotations

import random

from tests.support.attribution import DAY, NOON, Admitted, Events
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary.event.v1.event_pb2 import TRAFFIC_TEST
from tributary_storage.clickhouse.names import timestamp

_MINUTE = 60_000_000
_CHANNELS = ("Paid Search", "Email", "Direct", "Direct", "Display", "Organic Search")
_KINDS = (1, 1, 1, 1, 1, 2, 3, 4, 5, 6)


def a_world(workspace: str, rng: random.Random, people: int) -> list[Admitted]:
    """Returns what some people do, in no order: visits in and out of sessions, logins, orders, refunds, odd events."""
    make = Events(workspace)
    events: list[Admitted] = []
    for person in range(people):
        events += _journey(make, rng, person)
    rng.shuffle(events)
    return events


def people_who_share(workspace: str, seed: int) -> list[Admitted]:
    """Returns what three customers do on devices they share: mails, orders seen twice, late logins."""
    rng = random.Random(seed)
    make = Events(workspace)
    customers, emails = [f"customer:{n}" for n in range(3)], [f"email:{n}" for n in range(3)]
    visitors = [f"visitor:{n}" for n in range(5)]
    world: list[Admitted] = []
    for number in range(30):
        at = NOON - rng.randrange(40 * DAY)
        tokens = [rng.choice(visitors)]
        if rng.random() < 0.3:
            tokens.insert(0, rng.choice(emails))
        if rng.random() < 0.3:
            tokens.insert(0, rng.choice(customers))
        channel = rng.choice(("Email", "Display", "Direct", "Paid Search"))
        world.append(make.touch(*tokens, at=at, channel=channel, event_id=f"touch-{number}"))
    for number in range(4):
        at = NOON - rng.randrange(10 * DAY)
        order_id = f"o-{number}"
        world.append(make.order(rng.choice(visitors), order_id=order_id, at=at, rank=1, event_id=f"browser-{number}"))
        backend = [rng.choice(customers), *rng.sample(emails, rng.randrange(2))]
        world.append(make.order(*backend, order_id=order_id, at=at + _MINUTE, letter="M", event_id=f"backend-{number}"))
    return world


def _journey(make: Events, rng: random.Random, person: int) -> list[Admitted]:
    visitor, customer = f"visitor:{person:022d}", f"customer:{person:022d}"
    names = ["", "", f"s-{person}-1", f"s-{person}-2"] if rng.random() < 0.4 else [""]
    events: list[Admitted] = []
    at = NOON - rng.randrange(1, 40) * DAY
    for number in range(rng.randrange(1, 14)):
        at += rng.choice([1_000_000, 5 * _MINUTE, 29 * _MINUTE, 30 * _MINUTE, 30 * _MINUTE + 1, DAY, 3 * DAY])
        events.append(_touch(make, rng, (visitor,), at, f"t-{person}-{number}", rng.choice(names)))
    for order in range(rng.choice([0, 1, 1, 2])):
        at += rng.choice([1_000_000, 10 * _MINUTE, DAY])
        order_id = f"o-{person}-{order}"
        micros = rng.choice([90_000_000, 1, 0, 33_333_333, None])
        own = {"session_id": rng.choice(names)}
        events.append(make.order(customer, visitor, at=at, order_id=order_id, micros=micros, event_id=order_id, **own))
        if rng.random() < 0.3:
            seen = make.order(
                visitor, at=at - 500_000, order_id=order_id, micros=95_000_000, event_id=f"{order_id}-b", rank=1
            )
            events.append(("M", seen[1]))
        if rng.random() < 0.3:
            events.append(make.refund(10_000_000, at=at + DAY, order_id=order_id, event_id=f"{order_id}-r"))
        if rng.random() < 0.1:
            letter, retraction = make.retraction(at=at + 2 * DAY, order_id=order_id)
            retraction.event.event_id = f"{order_id}-x"
            events.append((letter, retraction))
        if rng.random() < 0.5:
            late = at + rng.choice([0, 1_000_000, 2_000_000, 2_000_001])
            events.append(_touch(make, rng, (visitor,), late, f"l-{order_id}", rng.choice(names)))
    return events


def _touch(make: Events, rng: random.Random, tokens: tuple[str, ...], at: int, event_id: str, session: str) -> Admitted:
    channel = rng.choice(_CHANNELS)
    clicks = (
        {rng.choice(["gclid", "fbclid", "gbraid"]): f"c{rng.randrange(3)}-{tokens[0]}"} if rng.random() < 0.3 else {}
    )
    letter, event = make.touch(
        *tokens, at=at, channel=channel, event_id=event_id, clicks=clicks, campaign=rng.choice(["", "spring"])
    )
    touchpoint = event.event.touchpoint
    touchpoint.kind = rng.choice(_KINDS)
    event.event.session_id = session
    if clicks and rng.random() < 0.5:
        event.channel_evidence.click_ids[0].click_time.CopyFrom(timestamp(at - rng.choice([0, DAY, DAY + 1, 9 * DAY])))
    if rng.random() < 0.2:
        touchpoint.interaction_id = f"i{rng.randrange(2)}-{tokens[0]}"
    if rng.random() < 0.1:
        touchpoint.ad.destination, touchpoint.ad.campaign_name = "google", f"n{rng.randrange(2)}"
    if rng.random() < 0.1:
        event.channel_evidence.continues_session = True
    if rng.random() < 0.07:
        event.event.consent.analytics_storage = CONSENT_STATE_DENIED
    if rng.random() < 0.05:
        event.event.traffic = TRAFFIC_TEST
    return ("Q" if rng.random() < 0.05 else letter), event
