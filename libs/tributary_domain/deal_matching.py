"""A CRM's deals and our conversions, held against each other: "50 conversions, 45 closed deals", and which.

The one rule: a ladder, each step on what the steps before it left over: order id; lead id; the same contact with about
the same amount on about the same day. A match is of one deal and one conversion, the best of those that a step links,
and names its step; only where one is worth what several of the others are together is it of more. A deal that names a
conversion name or a store is of no other. Deals that we made ourselves are no evidence, and are not given to this.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, product
from typing import Final

from tributary_domain.compared_deals import (
    DAY_MICROS,
    CountedConversion,
    Deal,
    DealClass,
    DealMatch,
    MatchLimits,
    day_of,
)
from tributary_domain.pairing import best_pairs

_WON: Final = "WON"
_NUMBERS: Final = ("order_id", "lead_id")
_MOST_OF_A_NUMBER: Final = 10_000
"""Pairs of a deal and a conversion with the same number. What more share is a placeholder, and says nothing."""
_MOST_NEAR: Final = 100
"""Conversions that are looked at for one deal at once, where only contact, amount and day say which it is."""


def match_deals(
    conversions: Iterable[CountedConversion], deals: Iterable[Deal], now_micros: int, limits: MatchLimits
) -> list[DealMatch]:
    """Returns what became of every deal and every conversion that a CRM should know, each once.

    Args:
        conversions: Some, and all that the deals may be.
        deals: Some, and all that the conversions may be; lost ones are left out of account.
        now_micros: Decides what is not due yet.
        limits: How far apart they may be.

    Returns:
        The same in any order of what is given: matches in the order of the ladder, then what is on one side only.
    """
    matching = _Matching(conversions, deals, limits)
    for step in _NUMBERS:
        matching.by_number(step)
    matching.by_contact()
    matching.take_stages_along()
    found = list(matching.found)
    rivals = _Rivals(found, matching.placeholders)
    for conversion in matching.conversions.values():
        if conversion.is_expected:
            is_young = now_micros - conversion.time_micros < limits.due_days * DAY_MICROS
            outcome = DealClass.NOT_YET_DUE if is_young else DealClass.MISSING_IN_CRM
            found.append(DealMatch(outcome, "", (conversion,), (), rivals.of_conversion(conversion)))
    for deal in matching.deals.values():
        outcome = DealClass.MISSING_HERE if deal.status == _WON else DealClass.NOT_YET_DUE
        found.append(DealMatch(outcome, "", (), (deal,), rivals.of_deal(deal)))
    return found


class _Matching:
    """Deals and conversions that are in no match yet, and the matches."""

    def __init__(self, conversions: Iterable[CountedConversion], deals: Iterable[Deal], limits: MatchLimits) -> None:
        self._limits = limits
        self.found: list[DealMatch] = []
        self.placeholders = {(step, "") for step in _NUMBERS}
        """Numbers that say nothing."""
        self.conversions = dict(enumerate(sorted(conversions, key=lambda one: (one.time_micros, one.conversion_id))))
        self.deals = dict(enumerate(sorted((deal for deal in deals if deal.status != "LOST"), key=lambda one: one[:2])))

    def by_number(self, step: str) -> None:
        """Matches what has the same number: first amounts that agree, then sums that do, then what has no better."""
        groups: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for place, conversion in self.conversions.items():
            groups[getattr(conversion, step)][0].append(place)
        for place, deal in self.deals.items():
            groups[getattr(deal, step)][1].append(place)
        for number, (ours, theirs) in groups.items():
            if len(ours) * len(theirs) > _MOST_OF_A_NUMBER:
                self.placeholders.add((step, number))
            if (step, number) in self.placeholders or not ours or not theirs:
                continue
            linked = {
                (deal, one): self._distance(self.deals[deal], self.conversions[one])
                for deal in theirs
                for one in ours
                if _may_be(self.deals[deal], self.conversions[one])
            }
            won = {pair: distance for pair, distance in linked.items() if self.deals[pair[0]].status == _WON}
            self._pair(step, {pair: distance for pair, distance in won.items() if self._agree(*pair)})
            self._sum_up(step, won)
            self._pair(step, won)
            self._pair(step, linked)

    def by_contact(self) -> None:
        """Matches what contact, amount and day say is one: an open deal has what no deal that is won may be."""
        won = {place for place, deal in self.deals.items() if deal.status == _WON}
        self._by_contact(won)
        self._by_contact(self.deals.keys() - won)

    def _by_contact(self, deals: Collection[int]) -> None:
        limits = self._limits
        days: dict[tuple[str, int], list[int]] = defaultdict(list)
        for place, conversion in self.conversions.items():
            for token in set(conversion.tokens) if conversion.is_expected else ():
                days[token, day_of(conversion.time_micros, limits.zone)].append(place)
        around = sorted(range(-limits.days, limits.days + 1), key=abs)
        before = -1
        while before != len(self.found):  # again for those whose nearest were all taken
            before = len(self.found)
            days = {key: [one for one in some if one in self.conversions] for key, some in days.items()}
            asked: Counter[str] = Counter()
            near = dict[tuple[int, int], tuple[int, ...]]()
            for place, deal in self.deals.items():
                if place not in deals or not deal.contact_token or deal.close_day < 0 or deal.amount_micros is None:
                    continue
                own_days = [days.get((deal.contact_token, deal.close_day + day), []) for day in around]
                some = (
                    (place, one)
                    for own in own_days
                    for one in _from(own, asked[deal.contact_token])  # else all would look at the same of very many
                    if _may_be(deal, self.conversions[one]) and self._agree(place, one)
                )
                near |= {pair: self._distance(deal, self.conversions[pair[1]]) for pair in islice(some, _MOST_NEAR)}
                asked[deal.contact_token] += 1
            self._pair("contact_amount_date", near)

    def take_stages_along(self) -> None:
        """Adds to each match the stages of its lead that another took the place of: a deal is the lead as a whole."""
        leads: dict[str, list[int]] = defaultdict(list)
        for place, conversion in self.conversions.items():
            if conversion.lead_id and not conversion.value_micros:
                leads[conversion.lead_id].append(place)
        for number, match in enumerate(self.found):
            for lead in dict.fromkeys(one.lead_id for one in match.conversions):
                stages = [self.conversions.pop(place) for place in leads.pop(lead, ())]
                self.found[number] = match = match._replace(conversions=(*match.conversions, *stages))

    def _agree(self, deal: int, conversion: int) -> bool:
        return _is_amount_near((self.conversions[conversion],), (self.deals[deal],), self._limits)

    def _distance(self, deal: Deal, conversion: CountedConversion) -> tuple[int, ...]:
        """Says how far apart two are that are linked; less is better."""
        day = day_of(conversion.time_micros, self._limits.zone)
        return (
            -bool(deal.conversion_name) - bool(deal.store),
            not conversion.is_expected,
            not conversion.value_micros,
            abs(day - deal.close_day) if deal.close_day >= 0 else 0,
            abs(conversion.value_micros - (deal.amount_micros or 0)),
        )

    def _pair(self, step: str, linked: Mapping[tuple[int, int], tuple[int, ...]]) -> None:
        """Matches of what is left as much as can be, one deal to one conversion."""
        left = (
            (distance, *pair)
            for pair, distance in linked.items()
            if pair[0] in self.deals and pair[1] in self.conversions
        )
        for deal, conversion in best_pairs(left):
            self._link(step, [conversion], [deal])

    def _sum_up(self, step: str, linked: Iterable[tuple[int, int]]) -> None:
        """Matches one with all that are linked with it, where it is worth what these are together."""
        by_deal: dict[int, list[int]] = defaultdict(list)
        by_conversion: dict[int, list[int]] = defaultdict(list)
        for deal, conversion in linked:
            by_deal[deal].append(conversion)
            by_conversion[conversion].append(deal)
        for deal, conversions in by_deal.items():
            ours = [one for one in conversions if one in self.conversions]
            if deal in self.deals and len(ours) > 1:
                self._link_sum(step, ours, [deal])
        for conversion, deals in by_conversion.items():
            theirs = [one for one in deals if one in self.deals]
            if conversion in self.conversions and len(theirs) > 1:
                self._link_sum(step, [conversion], theirs)

    def _link_sum(self, step: str, ours: Sequence[int], theirs: Sequence[int]) -> None:
        sides = [self.conversions[one] for one in ours], [self.deals[one] for one in theirs]
        has_amounts = all(deal.amount_micros is not None for deal in sides[1])
        if has_amounts and _is_amount_near(*sides, self._limits):
            self._link(step, ours, theirs)

    def _link(self, step: str, ours: Sequence[int], theirs: Sequence[int]) -> None:
        conversions = tuple(self.conversions.pop(one) for one in ours)
        deals = tuple(self.deals.pop(one) for one in theirs)
        if len(conversions) > 1 or len(deals) > 1:
            outcome = DealClass.SPLIT_OR_MERGED
        elif deals[0].status != _WON:
            outcome = DealClass.NOT_YET_DUE
        elif _is_amount_near(conversions, deals, self._limits):
            outcome = DealClass.MATCHED
        else:
            outcome = DealClass.AMOUNT_DIFFERS
        self.found.append(DealMatch(outcome, step, conversions, deals))


class _Rivals:
    """What is in a match, by number: it has the place that a number gives to others too."""

    def __init__(self, found: Iterable[DealMatch], placeholders: Collection[tuple[str, str]]) -> None:
        self._placeholders = placeholders
        self._by_conversion: dict[tuple[str, str], list[tuple[CountedConversion, Deal]]] = defaultdict(list)
        self._by_deal: dict[tuple[str, str], list[tuple[CountedConversion, Deal]]] = defaultdict(list)
        for match, step in product(found, _NUMBERS):
            for pair in product(match.conversions, match.deals):
                self._by_conversion[step, getattr(pair[0], step)].append(pair)
                self._by_deal[step, getattr(pair[1], step)].append(pair)

    def of_deal(self, deal: Deal) -> str:
        """Returns the deal that is the conversion which this one names."""
        return next(
            (
                other.name
                for step in _NUMBERS
                if (step, number := getattr(deal, step)) not in self._placeholders
                for conversion, other in self._by_conversion.get((step, number), ())
                if _may_be(deal, conversion)
            ),
            "",
        )

    def of_conversion(self, conversion: CountedConversion) -> str:
        """Returns the conversion that the deal is which names this one."""
        return next(
            (
                other.conversion_id
                for step in _NUMBERS
                if (step, number := getattr(conversion, step)) not in self._placeholders
                for other, deal in self._by_deal.get((step, number), ())
                if _may_be(deal, conversion)
            ),
            "",
        )


def _from(places: Sequence[int], number: int) -> Iterator[int]:
    """Yields all places, from one of them on and around."""
    start = number % len(places) if places else 0
    return chain(islice(places, start, None), islice(places, start))


def _may_be(deal: Deal, conversion: CountedConversion) -> bool:
    """Tells whether what a deal says of name and store allows that it is a conversion."""
    return deal.conversion_name in ("", conversion.name) and deal.store in ("", conversion.store)


def _is_amount_near(conversions: Sequence[CountedConversion], deals: Sequence[Deal], limits: MatchLimits) -> bool:
    """Tells whether amounts agree, those of several together; a deal without an amount contradicts nothing."""
    amounts = [deal.amount_micros for deal in deals if deal.amount_micros is not None]
    if not amounts:
        return True
    value = sum(one.value_micros for one in conversions)
    allowed = abs(value) * limits.tolerance_percent
    currencies = {one.currency for one in conversions} | {deal.currency for deal in deals}
    return len(currencies) == 1 and 100 * abs(value - sum(amounts)) <= allowed
