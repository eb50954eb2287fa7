"""The mix of DESIGN section 12: what the events of a benchmark are.

600-byte events: 90 % touchpoints with page URL, referrer, UTM and one of 2 000 user agents; 8 % conversions with
customer id, hashed e-mail and order id; 2 % others. 10 % are sent again, 5 % carry a raw e-mail address and phone
number. The one rule: the same seed gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

from tributary.event.v1.event_pb2 import Event

USER_AGENTS = 2_000
EVENT_BYTES = 600
DUPLICATES = 0.10
TOUCHPOINTS, CONVERSIONS = 0.90, 0.08
RAW_PERSONAL = 0.05
BOTS = 0.02
"""Share of the user agents that are a bot's."""

_VECTORS = Path(__file__).parents[1] / "vectors" / "user_agents.json"
_REFERRERS = (
    "https://www.google.com/",
    "https://www.google.de/",
    "https://www.bing.com/search?q=shoes",
    "https://l.facebook.com/",
    "https://www.instagram.com/",
    "https://t.co/AbCdEf",
    "https://blog.example.org/posts/best-shoes",
    "https://news.example.net/a/1",
    "https://shop.example/",
    "",
)
_SOURCES = (
    ("google", "cpc"),
    ("facebook", "paid_social"),
    ("newsletter", "email"),
    ("bing", "cpc"),
    ("partner", "referral"),
)
_VERSION = re.compile(r"(Chrome|Version|Firefox|OPR|Edg)/(\d+)")


def user_agents(rng: random.Random) -> list[str]:
    """Returns the 2 000 user agents: those of the vectors, and further versions of them."""
    listed = json.loads(_VECTORS.read_text())
    humans = sorted({case["ua"] for case in listed["humans"] if case["v"] == "000000"})
    bots = sorted({case["ua"] for case in listed["bots"]})
    found = dict.fromkeys(rng.sample(bots, int(USER_AGENTS * BOTS)))
    found |= dict.fromkeys(humans)
    while len(found) < USER_AGENTS:
        version = f"{rng.randrange(90, 150)}.0.{rng.randrange(9999)}"
        found[_VERSION.sub(rf"\1/{version}", rng.choice(humans))] = None
    return list(found)[:USER_AGENTS]


def events(seed: str, now_micros: int) -> Iterator[Event]:
    """Yields events without end, a tenth of them twice.

    Args:
        seed: Events of two seeds never share an id.
        now_micros: Events happened in the hour before.
    """
    rng = random.Random(seed)
    agents = user_agents(random.Random("agents"))
    sent: list[Event] = []
    number = 0
    while True:
        if sent and rng.random() < DUPLICATES:
            yield rng.choice(sent)
            continue
        event = _event(rng, agents, f"{seed}-{number}", now_micros)
        number += 1
        if len(sent) < 4_096:
            sent.append(event)
        else:
            sent[rng.randrange(len(sent))] = event
        yield event


def burst(seed: str, now_micros: int, conversions: int) -> Iterator[Event]:
    """Yields orders of one customer from one address: more than the limits on bursts let pass."""
    rng = random.Random(seed)
    for number in range(conversions):
        event = Event(event_id=f"{seed}-{number}")
        event.event_time.FromMicroseconds(now_micros - rng.randrange(60_000_000))
        event.conversion.name, event.conversion.order_id = "purchase", f"o-{seed}-{number}"
        event.conversion.value.currency_code, event.conversion.value.amount_micros = "EUR", 10_000_000
        event.identifiers.customer_id = f"fraud-{seed}"
        event.context.client_ip, event.context.observed_by = "203.0.113.9", 1
        event.context.user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        yield event


def _event(rng: random.Random, agents: list[str], name: str, now_micros: int) -> Event:
    event = Event(event_id=f"{name}-{uuid.UUID(int=rng.getrandbits(128))}")
    event.event_time.FromMicroseconds(now_micros - rng.randrange(3_600_000_000))
    chosen = rng.random()
    person = rng.randrange(200_000)
    if chosen < TOUCHPOINTS:
        _touchpoint(event, rng, agents, person)
    elif chosen < TOUCHPOINTS + CONVERSIONS:
        event.conversion.name = "purchase"
        event.conversion.order_id = f"o-{name}"
        event.conversion.value.currency_code = "EUR"
        event.conversion.value.amount_micros = rng.randrange(1, 50_000) * 10_000
        event.identifiers.customer_id = f"c-{person}"
        event.identifiers.email_sha256 = hashlib.sha256(f"p{person}@example.com".encode()).hexdigest()
        for item in range(3):
            event.conversion.items.add(item_id=f"sku-{rng.randrange(9_999)}", name=f"Shoe {item}", quantity=1)
    else:
        event.identify.SetInParent()
        event.identifiers.customer_id = f"c-{person}"
        event.identifiers.visitor_id = f"v-{person}"
    if rng.random() < RAW_PERSONAL:
        event.identifiers.email = f"p{person}@example.com"
        event.identifiers.phone = f"+49171{person:07}"
    missing = EVENT_BYTES - event.ByteSize() - 12
    if missing > 0:
        filling = ("the quick brown fox jumps over the lazy dog " * 20)[:missing]
        if event.HasField("touchpoint"):
            event.touchpoint.title, filling = filling[:256], filling[256:]
        if filling:
            event.properties["note"] = filling
    return event


def _touchpoint(event: Event, rng: random.Random, agents: list[str], person: int) -> None:
    event.touchpoint.kind = 1
    event.identifiers.visitor_id = f"v-{person}"
    context = event.context
    context.user_agent = rng.choice(agents)
    context.client_ip = f"203.0.{rng.randrange(256)}.{rng.randrange(256)}"
    context.referrer_url = rng.choice(_REFERRERS)
    source, medium = rng.choice(_SOURCES)
    page = (
        f"https://shop.example/collections/autumn-{rng.randrange(300)}/products/shoe-{rng.randrange(9_999)}"
        f"?utm_source={source}&utm_medium={medium}&utm_campaign=spring%20{rng.randrange(20)}"
    )
    if medium == "cpc":
        page += f"&gclid=Cj0KCQ{rng.getrandbits(160):040x}"
    context.page_url = page
