"""Small random worlds, and what must be left of each: written from the words of the rules.

A world is what a few people do in one workspace, in leads and subscriptions that they share; of some, one is erased in
the end, and the others go on. Facts know nothing of arrival; `messages` puts them into an order, with repeats, as
backends would send them. The answers share no code with the services: people, windows and shares come from the oracles
of these tests.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support import oracle
from tests.support.life_facts import DAY, MINUTE, NOW_MICROS, Fact, Place, edges_between, entry_of, message_of
from tests.support.life_families import Own, Standing, standings
from tests.support.life_making import Maker
from tests.support.life_orders import worths
from tests.support.people import oracle as people_of
from tests.support.shop import EURO
from tributary.event.v1.event_pb2 import Event
from tributary_domain.identity import IdentityLimits
from tributary_domain.journey import JourneyTouch, TouchKind
from tributary_domain.settings import AttributionModel, AttributionSettings, ImpressionPolicy, TouchGrain
from tributary_domain.ties import telling
from tributary_domain.windows import CreditableConversion

Credit = Mapping[str, tuple[float, float]]
"""Touch, by the hash of its event -> (credit, value), micros; "" is nobody's."""


@dataclass(frozen=True)
class Answer:
    """What must be left of a conversion."""

    value_micros: int
    is_counted: bool
    is_retracted: bool
    credit: Mapping[str, Credit]
    """Per model."""


@dataclass(frozen=True)
class Erasure:
    """Somebody who is erased when all is told."""

    customer: str
    """Identifier, as in facts."""
    removes: bool


@dataclass
class World:
    """What happened in one workspace."""

    seed: int
    settings: AttributionSettings
    facts: list[Fact] = field(default_factory=list)
    erasure: Erasure | None = None
    later: list[Fact] = field(default_factory=list)
    """What the others do after that."""

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
        return [message_of(fact) for fact in sent]

    def answers(self) -> dict[Place, Answer]:
        """Returns what must be left of each conversion when all is told."""
        return _answers(self.facts, self.settings)

    def answers_after(self) -> tuple[dict[Place, Answer], list[Answer]]:
        """Returns what must be left after the erasure and what came later: of the others, and of those without a name.

        What these were worth stays, and who earned it; what others of their families do may supersede them.
        """
        gone = _erased(self.facts, self.erasure)
        if self.erasure is not None and self.erasure.removes:
            left = [kept for one in self.facts if (kept := _without(one, *gone)) is not None]
            return _answers([*left, *self.later], self.settings), []
        before, after = self.answers(), _answers([*self.facts, *self.later], self.settings)
        frozen = [replace(after[place], credit=before[place].credit) for place in sorted(gone[1])]
        return {place: answer for place, answer in after.items() if place not in gone[1]}, frozen


def _good(facts: Iterable[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.is_released or not fact.is_bot]


def _person_of(good: Sequence[Fact]) -> dict[str, frozenset[str]]:
    return {token: person for person in people_of(edges_between(good), IdentityLimits()) for token in person}


def _home(observed: Iterable[Fact]) -> str:
    """Returns the identifier that a conversion belongs to."""
    return min((telling(fact.home)[0], *fact.key, fact.home) for fact in observed if fact.tokens)[3]


def _by_place(good: Iterable[Fact]) -> dict[Place, list[Fact]]:
    """Returns what observed each conversion, in event order."""
    found: dict[Place, list[Fact]] = {}
    for fact in sorted(good, key=lambda fact: fact.key):
        if fact.is_observation:
            found.setdefault(fact.conversion, []).append(fact)
    return found


def _answers(facts: Iterable[Fact], settings: AttributionSettings) -> dict[Place, Answer]:
    good = _good(facts)
    person_of = _person_of(good)
    by_place = _by_place(good)
    adjusting: dict[Place, list[Fact]] = {}
    for fact in good:
        if fact.adjustment:
            adjusting.setdefault(fact.conversion, []).append(fact)
    owns = {place: Own(by_place[place], *worth) for place, worth in worths(by_place, adjusting).items()}
    journeys: dict[frozenset[str], list[JourneyTouch]] = {}
    family = standings(owns)
    found = {}
    for place, own in owns.items():
        standing = family.get(place, Standing(place))
        origin = owns[standing.origin]
        home = _home(origin.observed)
        person = person_of.get(home, frozenset({home}))
        if person not in journeys:
            journeys[person] = _journey([fact for fact in good if fact.tokens and fact.home in person])
        is_retracted = own.is_retracted or standing.is_lost
        worth = 0 if standing.is_lost else own.value
        credit = {} if is_retracted else _credit(origin.key, worth, journeys[person], settings)
        found[place] = Answer(worth, standing.is_counted and not is_retracted, is_retracted, credit)
    return found


def _journey(theirs: Sequence[Fact]) -> list[JourneyTouch]:
    decided = sorted((fact.micros, fact.decided) for fact in theirs if fact.decided)
    return [entry_of(fact, decided) for fact in theirs if not fact.is_internal and (fact.touch or fact.is_observation)]


def _credit(
    key: tuple[int, int], worth: int, journey: list[JourneyTouch], settings: AttributionSettings
) -> dict[str, Credit]:
    conversion = CreditableConversion(event_time_micros=key[0], event_hash=key[1], amount_micros=worth)
    credit: dict[str, Credit] = {}
    for model, window in oracle.windows(journey, conversion, settings).items():
        if not window:
            credit[model] = {"": (1_000_000, worth)}
            continue
        shares = oracle.shares(model, window, settings)
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
    return credit


def a_world(seed: int) -> World:
    """Returns a world: the same for the same seed."""
    rng = random.Random(seed)
    world = World(seed, _settings(rng))
    make = Maker(rng, world.facts)
    people = []
    for number in range(rng.choice([1, 2, 2])):
        customer, devices = f"customer:c{number}", [f"visitor:v{rng.randrange(4)}" for _ in range(2)]
        people.append((customer, f"email:c{number}@mail.example", devices))
        make.live(*people[-1])
    for _ in range(rng.randrange(3)):
        make.bot()
    if rng.random() < 0.35:
        make.lead(people)
    if rng.random() < 0.3:
        make.subscription(people)
    return world


def an_erasure(world: World, removes: bool) -> World | None:
    """Returns the same world, out of which one of two people is erased in the end; None if there are not two."""
    good = _good(world.facts)
    person_of, alone = _person_of(good), frozenset[str]()
    one, other = (person_of.get(f"customer:c{number}", alone) for number in range(2))
    families = {fact.order_id for fact in good if fact.cycle}
    if not one or not other or one == other or not families:
        return None
    rng = random.Random(world.seed)
    erased = World(world.seed, world.settings, world.facts, Erasure("customer:c0", removes))
    gone = _erased(world.facts, erased.erasure)[1]
    if any((fact.conversion in gone) != (fact.told_without in gone) for fact in good if fact.told_without):
        return None  # the credit of both is frozen then: that is looked at elsewhere
    make = Maker(rng, erased.later)
    living = {"tokens": ("customer:c1",)}
    for days in (1, 9):
        make.add(micros=NOW_MICROS - days * DAY, touch=int(TouchKind.VISIT), source="social", **living)
    told = (fact for fact in good if fact.cycle and fact.is_observation)
    for fact in {fact.subscription or fact.order_id: fact for fact in told}.values():
        if fact.recurrence:
            own = fact.subscription
            called = {"order_id": own, "cycle": "late", "recurrence": "RENEWAL", "subscription": own}
        else:
            names = {"lead_id": fact.lead_id, "root_order_id": fact.root_order_id}
            called = {"order_id": fact.order_id, "cycle": "stage:paid", "stage": "paid", **names}
        make.add(micros=NOW_MICROS - rng.choice([MINUTE, 5 * DAY]), value=70 * EURO, **living, **called)
    return erased


def _erased(facts: Iterable[Fact], erasure: Erasure | None) -> tuple[frozenset[str], set[Place]]:
    """Returns the identifiers of who is erased, and their conversions."""
    good = _good(facts)
    if erasure is None:
        return frozenset(), set()
    person = _person_of(good).get(erasure.customer, frozenset({erasure.customer}))
    return person, {place for place, observed in _by_place(good).items() if _home(observed) in person}


def _without(fact: Fact, person: frozenset[str], conversions: set[Place]) -> Fact | None:
    """Returns what is left of a fact: of what the person saw of others' conversions, that it was seen."""
    if fact.conversion in conversions:
        return None
    if fact.tokens and fact.home in person:
        return replace(fact, tokens=()) if fact.is_observation and not fact.is_bot else None
    return fact


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
