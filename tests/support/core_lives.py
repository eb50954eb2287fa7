"""The worlds of `lives` through the pure core alone, and what that gets wrong: without stores, thousands a minute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.support import oracle, people
from tests.support.life_facts import Fact, Place, edges_between, entry_of
from tests.support.lives import Answer, Credit, World
from tributary_domain.attribution import Attribution, attribute
from tributary_domain.conversion import ConversionFacts, ConversionStatus, conversion_facts, in_lead, in_order
from tributary_domain.conversion_parts import Adjustment, Observation
from tributary_domain.counting import CountableConversion, Counting, count, leading_click
from tributary_domain.event_order import OrderKey
from tributary_domain.families import Member, Membership, lead_names, order_name, whole
from tributary_domain.identity import IdentityLimits
from tributary_domain.inheritance import inherit
from tributary_domain.journey import NO_CONSENT, JourneyTouch, TouchKind, in_event_order
from tributary_domain.lead_stages import ROOT, LeadStage, StagedConversion, staged
from tributary_domain.renewals import Cycle, CycleKind, RenewalCredit, inherits_from
from tributary_domain.sessions import session_ids
from tributary_domain.settings import MODELS
from tributary_domain.shared_adjustments import FirstCycle, shared_out
from tributary_domain.split_orders import Told, split_order
from tributary_domain.ties import telling
from tributary_domain.windows import CreditableConversion


@dataclass(frozen=True)
class _Known:
    """A conversion in the core's words."""

    facts: ConversionFacts
    """With what is told of the same order without its cycle."""
    person: frozenset[str]
    first: Fact

    @property
    def key(self) -> OrderKey:
        assert self.facts.anchor is not None
        return self.facts.anchor.order_key

    @property
    def is_good(self) -> bool:
        return self.facts.status is ConversionStatus.COUNTED


def differences(world: World) -> Iterator[str]:
    """Says where the core and the words of the rules differ, with the seed that makes the world again."""
    good = [fact for fact in world.facts if fact.is_released or not fact.is_bot]
    made = people.batch(edges_between(good), IdentityLimits())
    person_of = {token: frozenset(person.tokens) for person in made for token in person.tokens}
    known = _conversions(good, person_of)
    journeys = _journeys(good, person_of)
    expected = world.answers()
    if known.keys() != expected.keys():
        yield f"seed {world.seed}: conversions {sorted(known)} instead of {sorted(expected)}"
    for place, found in _answers(world, known, journeys).items():
        if found != expected[place]:
            yield from _apart(world, place, found, expected[place])
    for person, entries in journeys.items():
        yield from _miscounted(world, [one for one in known.items() if one[1].person == person], entries)


def _conversions(good: Sequence[Fact], person_of: Mapping[str, frozenset[str]]) -> dict[Place, _Known]:
    parts: dict[Place, tuple[list[Fact], list[Observation], list[Adjustment]]] = defaultdict(lambda: ([], [], []))
    for fact in good:
        facts, observations, adjustments = parts[fact.conversion]
        if fact.adjustment is not None:
            adjustments.append(
                Adjustment(
                    event_time_micros=fact.micros,
                    event_id=fact.event_id,
                    kind=fact.adjustment,
                    adjustment_id=fact.adjustment_id,
                    amount_micros=fact.amount,
                )
            )
        elif fact.order_id:
            facts.append(fact)
            observations.append(
                Observation(
                    event_time_micros=fact.micros,
                    event_id=fact.event_id,
                    source_rank=fact.rank,
                    amount_micros=fact.value,
                    currency_code="EUR",
                )
            )
    known = {}
    for place, (facts, observations, adjustments) in parts.items():
        if observations:
            home = min((telling(fact.home)[0], *fact.key, fact.home) for fact in facts)[3]
            person = person_of.get(home, frozenset({home}))
            first = min(facts, key=lambda fact: fact.key)
            known[place] = _Known(conversion_facts(observations, adjustments), person, first)
    for plain, cycles in _cycles(known).items():
        _, plainly, lent = parts.get(plain, ([], [], []))
        split = split_order(None, [_told(place, known[place]) for place in cycles])
        assert split is not None
        adjusted = [_place(name) for name in split.adjusted_ids]
        own = [FirstCycle("|".join(place), *parts[place][1:]) for place in adjusted]
        shares = shared_out(lent, own) if len(own) > 1 else {own[0].conversion_id: lent}
        for place, cycle in zip(adjusted, own, strict=True):
            changes = [*cycle.adjustments, *shares[cycle.conversion_id]]
            told = conversion_facts(cycle.observations, changes, told_plainly=plainly if len(own) == 1 else ())
            known[place] = replace(known[place], facts=told)
    return known


def _cycles(known: Mapping[Place, _Known]) -> dict[Place, list[Place]]:
    """Returns the first cycles that orders were told as, by what the order is without them."""
    found: dict[Place, list[Place]] = {}
    for place, one in known.items():
        if one.first.told_without is not None:
            found.setdefault(one.first.told_without, []).append(place)
    return found


def _journeys(
    good: Sequence[Fact], person_of: Mapping[str, frozenset[str]]
) -> dict[frozenset[str], list[JourneyTouch]]:
    theirs: dict[frozenset[str], list[Fact]] = defaultdict(list)
    for fact in good:
        if fact.tokens:
            theirs[person_of.get(fact.home, frozenset({fact.home}))].append(fact)
    journeys = {}
    for person, facts in theirs.items():
        decided = sorted((fact.micros, fact.decided) for fact in facts if fact.decided)
        kept = [fact for fact in facts if not fact.is_internal and (fact.touch or fact.is_observation)]
        journeys[person] = in_event_order([entry_of(fact, decided) for fact in kept])
    return journeys


def _answers(
    world: World, known: Mapping[Place, _Known], journeys: Mapping[frozenset[str], list[JourneyTouch]]
) -> dict[Place, Answer]:
    leads, orders = _leads(known), _orders(known)
    found = {}
    for place, one in known.items():
        standing = leads.get("|".join(place))
        is_merged = place in orders and not place[1]
        facts = in_order(in_lead(one.facts, None if standing is None else standing.standing), is_merged=is_merged)
        origin = None
        above = _origin(place, known, leads, orders)
        while above is not None:
            origin, above = known[above], _origin(above, known, leads, orders)
        amount = facts.amount_micros or 0
        conversion, credit = _credited(world, origin or one, journeys)
        entries = journeys.get((origin or one).person, [])
        if origin is not None:
            _, credit = inherit(conversion, credit, amount, entries, world.settings)
        elif amount != conversion.amount_micros:
            _, credit = _credited(world, one, journeys, amount)
        shares = {} if facts.is_retracted else _shares(credit)
        found[place] = Answer(amount, facts.status is ConversionStatus.COUNTED, facts.is_retracted, shares)
    return found


def _origin(
    place: Place, known: Mapping[Place, _Known], leads: Mapping[str, StagedConversion], orders: Mapping[Place, Place]
) -> Place | None:
    """Returns whose credit a conversion has; None: its own."""
    standing, one = leads.get("|".join(place)), known[place]
    found: Place | None = None
    if standing is not None:
        found = _place(standing.root_id)
    elif place in orders:
        found = orders[place]
    elif one.is_good and one.first.recurrence:
        found = _first_payment(place, known)
    return None if found == place else found


def _orders(known: Mapping[Place, _Known]) -> dict[Place, Place]:
    """Returns whose credit they have of orders that are told with and without the cycle."""
    found: dict[Place, Place] = {}
    for plain, cycles in _cycles(known).items():
        if plain in known:
            ways = [_told(name, known[name]) for name in (plain, *cycles)]
            split = split_order(ways[0], ways[1:])
            assert split is not None
            found |= dict.fromkeys((plain, *cycles), _place(split.credited_id))
    return found


def _told(place: Place, one: _Known) -> Told:
    rank = min(part.source_rank for part in one.facts.observations)
    return Told("|".join(place), one.key, rank, is_retracted=one.facts.is_retracted)


def _credited(
    world: World,
    one: _Known,
    journeys: Mapping[frozenset[str], list[JourneyTouch]],
    amount: int | None = None,
) -> tuple[CreditableConversion, Attribution]:
    worth = (one.facts.amount_micros or 0) if amount is None else amount
    conversion = CreditableConversion(event_time_micros=one.key[0], event_hash=one.key[1], amount_micros=worth)
    return conversion, attribute(journeys.get(one.person, []), conversion, world.settings)


def _shares(credit: Attribution) -> dict[str, Credit]:
    shares: dict[str, Credit] = {}
    for at, model in enumerate(MODELS):
        if credit.unattributed[at] is not None:
            shares[model.value] = {"": (1_000_000, credit.amount_micros)}
            continue
        parts = zip(credit.touches, credit.credits[at], credit.amounts[at], strict=True)
        shares[model.value] = {f"x1:{touch[1]:016x}": (share, value) for touch, share, value in parts}
    return shares


def _leads(known: Mapping[Place, _Known]) -> dict[str, StagedConversion]:
    """Returns what each conversion of a lead counts for, by its place as one text."""
    members: dict[str, list[Member]] = defaultdict(list)
    for place, one in known.items():
        names = lead_names(one.first.lead_id, "", one.first.root_order_id) if one.first.stage else ()
        for name in names:
            members[name].append(Member("|".join(place), Membership.STAGE, names))
    for place in known:
        if not place[1] and (name := order_name("", place[0])) in members:
            members[name].append(Member("|".join(place), Membership.ROOT, (name,)))
    found = {}
    for names in whole(members).values():
        ids = {member.conversion_id for own in names for member in members[own]}
        stages = [_stage(conversion_id, known[_place(conversion_id)]) for conversion_id in ids]
        if any(stage.is_good and stage.stage != ROOT for stage in stages):
            found |= {one.conversion_id: one for one in staged(stages)}
    return found


def _stage(conversion_id: str, one: _Known) -> LeadStage:
    return LeadStage(
        conversion_id=conversion_id,
        stage=one.first.stage,
        event_time_micros=one.key[0],
        event_hash=one.key[1],
        amount_micros=one.facts.amount_micros,
        is_good=one.is_good,
    )


def _first_payment(place: Place, known: Mapping[Place, _Known]) -> Place | None:
    cycles = {
        other: Cycle(
            conversion_id="|".join(other),
            event_time_micros=one.key[0],
            event_hash=one.key[1],
            kind=CycleKind[one.first.recurrence],
            amount_micros=one.facts.original_amount_micros or 0,
            is_good=one.is_good,
        )
        for other, one in known.items()
        if one.first.recurrence and one.first.subscription == known[place].first.subscription
    }
    origin = inherits_from(cycles[place], cycles.values(), RenewalCredit.FIRST_PAYMENT)
    return None if origin is None else _place(origin.conversion_id)


def _place(conversion_id: str) -> Place:
    order_id, _, cycle = conversion_id.partition("|")
    return order_id, cycle


def _apart(world: World, place: Place, found: Answer, expected: Answer) -> Iterator[str]:
    where = f"seed {world.seed}, {place}"
    one = found.value_micros, found.is_counted, found.is_retracted
    other = expected.value_micros, expected.is_counted, expected.is_retracted
    if one != other:
        yield f"{where}: {one} instead of {other}"
    for model, credit in expected.credit.items():
        own = found.credit.get(model, {})
        if not agree(own, credit, expected.value_micros if model == "time_decay" else None):
            yield f"{where}, {model}: {own} instead of {credit}"


def agree(found: Credit, expected: Credit, worth: int | None) -> bool:
    """Compares credit; by fixed point against floating point (`worth`) one unit of rounding and 5e-8 apart."""
    found, expected = ({name: one for name, one in credit.items() if any(one)} for credit in (found, expected))
    if worth is None:
        return found == expected
    return found.keys() <= expected.keys() and all(
        abs(found.get(name, (0, 0))[0] - credit) <= 1 + 0.05
        and abs(found.get(name, (0, 0))[1] - value) <= 2 + worth * 5e-8
        for name, (credit, value) in expected.items()
    )


def _miscounted(world: World, own: Sequence[tuple[Place, _Known]], entries: Sequence[JourneyTouch]) -> Iterator[str]:
    """Says which conversions of a person would count otherwise than in words, if their name did not count every one."""
    timeout = world.settings.session_timeout_seconds * 1_000_000
    active = [entry for entry in entries if not entry.flags & NO_CONSENT]
    in_core = dict(zip([entry[:2] for entry in active], session_ids(active, timeout), strict=True))
    in_words = dict(zip([entry[:2] for entry in active], oracle.sessions_of(active, timeout), strict=True))
    conversions = [
        CountableConversion(
            conversion_id="|".join(place),
            event_time_micros=one.key[0],
            event_hash=one.key[1],
            session=in_core.get(one.key, 0),
            click=leading_click(entries, one.key),
            is_good=one.is_good,
        )
        for place, one in own
    ]
    for rule in Counting:
        taken: set[object] = set()
        expected = []
        for place, one in sorted(own, key=lambda item: item[1].key):
            session, click = in_words.get(one.key, 0), _click(active, one.key)
            alone = object()
            may_be_once = {
                Counting.EVERY: alone,
                Counting.ONCE_PER_PERSON: "person",
                Counting.ONCE_PER_SESSION: session or alone,
                Counting.ONCE_PER_CLICK: click or session or alone,
            }[rule]
            if one.is_good:
                expected.append(("|".join(place), may_be_once not in taken))
                taken.add(may_be_once)
        found = [(decision.conversion_id, decision.is_counted) for decision in count(conversions, rule)]
        if found != expected:
            yield f"seed {world.seed}, {rule.value}: {found} instead of {expected}"


def _click(active: Sequence[JourneyTouch], key: OrderKey) -> tuple[str, int] | None:
    """Returns the newest click before a conversion."""
    clicks = [
        ("click", entry.click or entry.event_hash)
        for entry in active
        if entry[:2] <= key and entry.kind not in oracle.ONLY_SEEN and (entry.click or entry.kind == TouchKind.CLICK)
    ]
    return clicks[-1] if clicks else None
