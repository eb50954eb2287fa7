"""Small random worlds for a running installation, and what must be left of each: written from the words of the rules.

A world is what a few people do in one workspace: visits on shared devices, log-ins, orders seen twice, refunds told
twice, bots. Facts know nothing of arrival; `messages` puts them into an order, with repeats, as backends would send
them. The answers share no code with the services: people, windows and shares come from the oracles of these tests.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

from tests.support import oracle
from tests.support.people import oracle as people_of
from tests.support.shop import BOT, BROWSER, EURO, NOW
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary.event.v1.consent_pb2 import ConsentState
from tributary.event.v1.context_pb2 import OBSERVER_BACKEND, OBSERVER_BROWSER
from tributary.event.v1.event_pb2 import TRAFFIC_INTERNAL, Event
from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation, SourceRank
from tributary_domain.event_order import event_hash
from tributary_domain.identity import IdentityLimits
from tributary_domain.journey import DIRECT, NO_CONSENT, NO_TOUCH, JourneyTouch, TouchKind
from tributary_domain.settings import AttributionModel, AttributionSettings, ImpressionPolicy, TouchGrain
from tributary_domain.ties import Tie, edges_of, telling
from tributary_domain.windows import CreditableConversion

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
DAY: Final = 86_400 * SECOND
_NOW: Final = int(NOW.timestamp()) * SECOND
_SITE: Final = "https://shop.example/"
_PAGES: Final = {
    "google": f"{_SITE}?utm_source=google&utm_medium=cpc&utm_campaign=spring",
    "mail": f"{_SITE}?utm_source=newsletter&utm_medium=email",
    "social": f"{_SITE}?utm_source=facebook&utm_medium=paid_social",
    "partner": f"{_SITE}?utm_source=blog&utm_medium=affiliate",
    "direct": _SITE,
    "paid": "",  # only a click id tells
    "returned": f"{_SITE}thanks",  # from where one pays
}
_SOURCES: Final = list(_PAGES)
_SEEN: Final = (TouchKind.IMPRESSION, TouchKind.ENGAGED_VIEW, TouchKind.OPEN)
_OF_SOURCE: Final = {"direct": set(TouchKind) - {*_SEEN}, "returned": {TouchKind.VISIT}}
_GAPS: Final = (SECOND, 5 * MINUTE, 30 * MINUTE - 1, 30 * MINUTE, 60 * MINUTE, 3 * 60 * MINUTE, DAY, 4 * DAY)


Credit = Mapping[str, tuple[float, float]]
"""Touch, by the hash of its event -> (credit, value), micros; "" is nobody's."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One event: who, when, and one of a touch, an order, an adjustment, a log-in."""

    event_id: str
    micros: int
    tokens: tuple[str, ...] = ()
    is_bot: bool = False
    is_released: bool = False
    """Whether an operator says in the end that it was no bot."""
    is_internal: bool = False
    touch: int = 0
    """A `TouchKind`."""
    source: str = ""
    click: str = ""
    interaction: str = ""
    session: str = ""
    order_id: str = ""
    value: int = 0
    rank: SourceRank = SourceRank.BACKEND
    adjustment: AdjustmentKind | None = None
    adjustment_id: str = ""
    amount: int | None = None
    decided: str = ""
    """What the person said about consent: GRANTED, DENIED."""

    @property
    def key(self) -> tuple[int, int]:
        """Its place in event order."""
        return self.micros, event_hash(self.event_id)

    @property
    def is_observation(self) -> bool:
        return bool(self.order_id) and self.adjustment is None

    @property
    def home(self) -> str:
        """The identifier it belongs to."""
        return min(self.tokens, key=telling)


@dataclass(frozen=True)
class Answer:
    """What must be left of an order."""

    value_micros: int
    is_retracted: bool
    credit: Mapping[str, Credit]
    """Per model."""


@dataclass
class World:
    """What happened in one workspace."""

    seed: int
    settings: AttributionSettings
    facts: list[Fact] = field(default_factory=list)

    @property
    def declared(self) -> dict[str, Any]:
        """What `workspaces.yaml` says of it."""
        own = self.settings
        attribution = {
            "lookback_days": own.lookback_days,
            "half_life_hours": own.half_life_hours,
            "position_weights": list(own.position_weights),
            "touch_grain": own.touch_grain.value,
            "session_timeout_minutes": own.session_timeout_seconds // 60,
            "impression_policy": own.impression_policy.value,
            "models": {model.value: {"lookback_days": days} for model, days in own.model_lookback_days},
        }
        return {"own_domains": ["shop.example"], "attribution": [attribution]}

    def messages(self, rng: random.Random) -> list[Event]:
        """Returns the facts as they are sent: shuffled, one in six of them twice."""
        sent = [*self.facts, *rng.sample(self.facts, len(self.facts) // 6)]
        rng.shuffle(sent)
        return [_message(fact) for fact in sent]

    def answers(self) -> dict[str, Answer]:
        """Returns what must be left of each order."""
        good = [fact for fact in self.facts if fact.is_released or not fact.is_bot]
        people = people_of(_edges(good), IdentityLimits())
        person_of = {token: person for person in people for token in person}
        orders: dict[str, list[Fact]] = {}
        for fact in sorted(good, key=lambda fact: fact.key):
            if fact.is_observation:
                orders.setdefault(fact.order_id, []).append(fact)
        found = {}
        for order_id, observed in orders.items():
            home = min((telling(fact.home)[0], *fact.key, fact.home) for fact in observed)[3]
            person = person_of.get(home, frozenset({home}))
            theirs = [fact for fact in good if fact.tokens and fact.home in person]
            decided = sorted((fact.micros, fact.decided) for fact in theirs if fact.decided)
            journey = [
                _entry(fact, decided) for fact in theirs if not fact.is_internal and (fact.touch or fact.is_observation)
            ]
            adjusted = [fact for fact in good if fact.adjustment and fact.order_id == order_id]
            found[order_id] = self._answer(observed, adjusted, journey)
        return found

    def _answer(self, observed: Sequence[Fact], adjusted: Sequence[Fact], journey: list[JourneyTouch]) -> Answer:
        value, is_retracted = oracle.value_after(
            [
                Observation(
                    event_time_micros=fact.micros,
                    event_id=fact.event_id,
                    source_rank=fact.rank,
                    amount_micros=fact.value,
                )
                for fact in observed
            ],
            [
                Adjustment(
                    event_time_micros=fact.micros,
                    event_id=fact.event_id,
                    kind=fact.adjustment,
                    adjustment_id=fact.adjustment_id,
                    amount_micros=fact.amount,
                )
                for fact in adjusted
                if fact.adjustment
            ],
        )
        worth = value or 0
        time, hashed = observed[0].key
        conversion = CreditableConversion(event_time_micros=time, event_hash=hashed, amount_micros=worth)
        windows = oracle.windows(journey, conversion, self.settings)
        credit: dict[str, dict[str, tuple[float, float]]] = {}
        for model, window in windows.items():
            if not window:
                credit[model] = {"": (1_000_000, worth)}
                continue
            shares = oracle.shares(model, window, self.settings)
            touches = [f"x1:{touch.event[1]:016x}" for touch in window]
            if model == "time_decay":
                credit[model] = {
                    name: (float(1_000_000 * share), float(worth * share))
                    for name, share in zip(touches, shares, strict=True)
                }
            else:
                parts = oracle.largest_remainder(1_000_000, shares)
                values = oracle.largest_remainder(worth, shares)
                credit[model] = dict(zip(touches, zip(parts, values, strict=True), strict=True))
        return Answer(worth, is_retracted, credit)


def a_world(seed: int) -> World:
    """Returns a world: the same for the same seed."""
    rng = random.Random(seed)
    world = World(seed, _settings(rng))
    make = _Maker(rng, world.facts)
    customers = [f"customer:c{number}" for number in range(rng.choice([1, 2, 2]))]
    for customer in customers:
        make.live(customer, f"email:{customer[9:]}@mail.example", [f"visitor:v{rng.randrange(4)}" for _ in range(2)])
    for _ in range(rng.randrange(3)):
        make.bot()
    return world


def _settings(rng: random.Random) -> AttributionSettings:
    return AttributionSettings(
        lookback_days=rng.choice([3, 14, 30]),
        half_life_hours=rng.choice([24, 168]),
        position_weights=rng.choice([(40, 20, 40), (1, 1, 1), (70, 0, 30), (0, 100, 1)]),
        touch_grain=rng.choice(list(TouchGrain)),
        session_timeout_seconds=60 * rng.choice([30, 30, 90]),
        impression_policy=rng.choice(list(ImpressionPolicy)),
        impression_cap=50,
        view_window_seconds=86_400,
        model_lookback_days=rng.choice([(), ((AttributionModel.FIRST_TOUCH, 60),)]),
    )


class _Maker:
    """Makes the facts of a world."""

    def __init__(self, rng: random.Random, facts: list[Fact]) -> None:
        self._rng = rng
        self._facts = facts

    def _add(self, **fact: Any) -> Fact:
        made = Fact(event_id=f"e-{self._rng.randrange(10**9):09d}-{len(self._facts)}", **fact)
        self._facts.append(made)
        return made

    def live(self, customer: str, email: str, devices: Sequence[str]) -> None:
        """Somebody comes by, logs in now and then, buys, sends back."""
        rng = self._rng
        at = _NOW - rng.randrange(8, 26) * DAY + rng.randrange(DAY)
        for _ in range(rng.randrange(2, 7)):
            at = min(at + rng.choice(_GAPS), _NOW - 2 * MINUTE)
            self._touch(at, rng.choice(devices), customer, email)
        for device in devices:
            if rng.random() < 0.6:
                self._add(micros=_NOW - rng.randrange(5 * MINUTE, 20 * DAY), tokens=(customer, device))
        if rng.random() < 0.3:
            self._add(micros=_NOW - rng.randrange(5 * MINUTE, 20 * DAY), tokens=(email, rng.choice(devices)))
        if rng.random() < 0.2:
            for said in ("DENIED", "GRANTED")[: rng.choice([1, 2, 2])]:
                when = at - rng.randrange(3 * DAY) if said == "DENIED" else at + rng.randrange(DAY)
                self._add(micros=min(when, _NOW), tokens=(rng.choice([customer, *devices]),), decided=said)
        for _ in range(rng.choice([1, 1, 2])):
            bought = min(at + rng.choice(_GAPS), _NOW - MINUTE)
            self._order(bought, customer, email, rng.choice(devices))
            at = bought

    def bot(self) -> None:
        """A crawler comes by on somebody's device, and may even buy."""
        rng = self._rng
        device, at = f"visitor:v{rng.randrange(4)}", _NOW - rng.randrange(MINUTE, 20 * DAY)
        bot = {"tokens": (device,), "is_bot": True, "is_released": rng.random() < 0.3}
        self._add(micros=at, touch=int(TouchKind.VISIT), source="google", **bot)
        if rng.random() < 0.5:
            order = {"order_id": f"b-{len(self._facts)}", "value": 9 * EURO, "rank": SourceRank.FRONT}
            self._add(micros=at + 1, **order, **bot)

    def _touch(self, at: int, device: str, customer: str, email: str) -> None:
        rng = self._rng
        kind = rng.choice([TouchKind.VISIT] * 5 + [TouchKind.CLICK, TouchKind.COUPON, *_SEEN])
        source = rng.choice([name for name in _SOURCES if kind in _OF_SOURCE.get(name, TouchKind)])
        is_internal = rng.random() < 0.05
        tokens = [device]
        if not is_internal and rng.random() < 0.15:
            tokens.append(rng.choice([customer, email]))
        self._add(
            micros=at,
            tokens=tuple(tokens),
            is_internal=is_internal,
            touch=int(kind),
            source=source,
            click=f"{customer}-{rng.randrange(2)}" if source == "paid" else "",
            interaction=f"i-{customer}-{rng.randrange(2)}" if rng.random() < 0.15 else "",
            session=f"s-{customer}-{rng.randrange(2)}" if rng.random() < 0.2 else "",
        )

    def _order(self, at: int, customer: str, email: str, device: str) -> None:
        rng = self._rng
        order_id, value = f"o-{len(self._facts)}", rng.choice([90 * EURO, 33_333_333, 1, 10 * EURO])
        backend = (customer, email) if rng.random() < 0.3 else (customer,)
        self._add(micros=at, tokens=backend, order_id=order_id, value=value)
        if rng.random() < 0.5:
            gross = {"value": value + EURO, "rank": SourceRank.FRONT}
            self._add(micros=at + rng.choice([-SECOND, SECOND]), tokens=(device,), order_id=order_id, **gross)
        if rng.random() < 0.4:
            late = at + rng.choice([0, SECOND, 2 * SECOND, 2 * SECOND + 1])
            self._touch(min(late, _NOW), device, customer, email)
        kinds = [AdjustmentKind.REFUND] * 3 + [AdjustmentKind.RESTATEMENT, AdjustmentKind.RETRACTION]
        for number in range(rng.choice([0, 0, 1, 1, 2])):
            kind = rng.choice(kinds)
            amount = None if kind is AdjustmentKind.RETRACTION else rng.choice([value // 3, value, 5 * EURO])
            told = {
                "micros": min(at + (number + 1) * rng.choice([MINUTE, DAY]), _NOW),
                "order_id": order_id,
                "adjustment": kind,
                "adjustment_id": f"{order_id}-{number}",
                "amount": amount,
            }
            for _ in range(rng.choice([1, 1, 2])):  # by the bank and by the shop: one
                self._add(**told)


def _entry(fact: Fact, decided: Sequence[tuple[int, str]]) -> JourneyTouch:
    kind = fact.touch or int(TouchKind.CONVERSION)
    flags = DIRECT if fact.source == "direct" else NO_TOUCH if fact.source == "returned" else 0
    if [said for at, said in decided if at <= fact.micros][-1:] == ["DENIED"]:
        flags |= NO_CONSENT
    return JourneyTouch(
        *fact.key,
        kind,
        _SOURCES.index(fact.source) + 1 if fact.source else 0,
        flags,
        click=event_hash(fact.click) if fact.click else 0,
        interaction=event_hash(fact.interaction) if fact.interaction else 0,
        session=event_hash(fact.session) if fact.session else 0,
    )


def _edges(good: Iterable[Fact]) -> list[Tie]:
    """Returns who was seen with whom: in one event, or by two who observed one order, when the later of them did."""
    edges: list[Tie] = []
    orders: dict[str, dict[str, tuple[int, int]]] = {}
    for fact in sorted(good, key=lambda fact: fact.key):
        edges += edges_of(fact.tokens, *fact.key)
        if fact.is_observation:
            for token in fact.tokens:
                orders.setdefault(fact.order_id, {}).setdefault(token, fact.key)
    for first in orders.values():
        for one, other in combinations(sorted(first), 2):
            if not one.startswith("customer:") or not other.startswith("customer:"):
                edges += edges_of([one, other], *max(first[one], first[other]))
    return edges


def _message(fact: Fact) -> Event:
    event = Event(event_id=fact.event_id, session_id=fact.session)
    event.event_time.FromMicroseconds(fact.micros)
    for token in fact.tokens:
        kind, _, value = token.partition(":")
        setattr(event.identifiers, {"email": "email"}.get(kind, f"{kind}_id"), value)
    if fact.touch:
        event.touchpoint.kind = fact.touch  # type: ignore[assignment]
        event.touchpoint.interaction_id = fact.interaction
        event.context.page_url = _PAGES[fact.source] or f"{_SITE}?gclid={fact.click}"
        if fact.source == "returned":
            event.context.referrer_url = "https://checkout.stripe.com/"
    elif fact.adjustment:
        told = event.adjustment
        told.conversion_name, told.order_id, told.adjustment_id = "purchase", fact.order_id, fact.adjustment_id
        told.reason = AdjustmentReason.Value(f"ADJUSTMENT_REASON_{fact.adjustment.name}")
        if fact.amount is not None:
            told.amount.currency_code, told.amount.amount_micros = "EUR", fact.amount
        return event
    elif fact.order_id:
        event.conversion.name, event.conversion.order_id = "purchase", fact.order_id
        event.conversion.value.currency_code, event.conversion.value.amount_micros = "EUR", fact.value
    elif fact.decided:
        event.consent_change.SetInParent()
        event.consent.analytics_storage = ConsentState.Value(f"CONSENT_STATE_{fact.decided}")
        event.consent.consent_time.FromMicroseconds(fact.micros)
        return event
    else:
        event.identify.SetInParent()
        return event
    is_backend = bool(fact.order_id) and fact.rank is SourceRank.BACKEND
    event.context.observed_by = OBSERVER_BACKEND if is_backend else OBSERVER_BROWSER
    if not is_backend:
        event.context.user_agent = BOT if fact.is_bot else BROWSER
    if fact.is_internal:
        event.traffic = TRAFFIC_INTERNAL
    return event
