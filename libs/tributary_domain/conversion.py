"""A conversion: what its observations and adjustments say together, whatever order they arrived in.

Shops report one order several times on purpose, refunds come from several systems, and any of them may be first. The
state is a pure function of the *set* of parts: they are ordered by event order, and one that comes twice counts once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation, Standing
from tributary_domain.lead_stages import StageStanding
from tributary_domain.value_bases import NO_PARTS, AdjustedValue, ValueBasis


class ConversionStatus(StrEnum):
    """Whether a conversion counts in totals, and why not."""

    COUNTED = "counted"
    RETRACTED = "retracted"
    QUARANTINED = "quarantined"
    """All observations wait for a release: its value is pending."""
    UNCOUNTED = "uncounted"
    """Only internal or test traffic."""
    REPEATED_BY_PERSON = "repeated_by_person"
    """Its name counts once per person, and another counts; likewise the next two. `counting` decides, never the parts.
    """
    REPEATED_IN_SESSION = "repeated_in_session"
    REPEATED_FOR_CLICK = "repeated_for_click"
    SUPERSEDED = "superseded"
    """A later stage of its lead counts: `lead_stages` decides, never the parts."""
    MERGED = "merged"
    """The same order counts as the first cycle of a subscription: `split_orders` decides, never the parts."""
    SEVERED = "severed"
    """The same order counts as what is left of it, its person was erased: `severed_orders` decides, never the parts."""
    UNOBSERVED = "unobserved"
    """So far only adjustments are known: they wait for their conversion."""


class ConversionFinding(StrEnum):
    """What is odd about a conversion and should be looked at."""

    OVER_REFUNDED = "over_refunded"
    """More was subtracted than it was worth, or it was restated below zero; its value is 0."""
    CURRENCY_MISMATCH = "currency_mismatch"
    """An adjustment in another currency was left out."""
    VALUE_CONFLICT = "value_conflict"
    """Equally ranked sources state different values; the earliest counts."""
    ADJUSTMENT_CONFLICT = "adjustment_conflict"
    """Two systems report one adjustment with different amounts; the earliest counts."""
    ADJUSTED_WITHOUT_VALUE = "adjusted_without_value"
    """An amount was subtracted or given back, and no source states a value."""
    INCOMPLETE_JOURNEY = "incomplete_journey"
    """When it was credited first, not all of its window was kept any more."""
    PARTS_MISSING = "parts_missing"
    """Its name's value basis takes off parts that were not sent: its value is credited as sent."""
    PARTS_CONTRADICTORY = "parts_contradictory"
    """Tax and shipping are more than the value itself, which is credited as 0."""


class DefaultValue(NamedTuple):
    """What a conversion is worth whose sources state no value."""

    amount_micros: int
    currency_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionFacts:
    """What all parts known so far say together."""

    status: ConversionStatus
    anchor: Observation | None
    """The earliest observation in event order: conversion time, and the place in the journey. None: UNOBSERVED."""
    valued_by: Observation | None
    """The observation whose value and currency count. None: no source states a value, so the default counts."""
    currency_code: str
    """Empty where no value is known."""
    original_amount_micros: int | None
    """What `valued_by` states, else the default. None: neither is there."""
    amount_micros: int | None
    """The credited value now: 0 where retracted. None: no value is known."""
    observations: tuple[Observation, ...]
    """Those that make the state, in event order."""
    adjustments: tuple[Adjustment, ...]
    """Those that count, each once, in event order; the absorbed ones too."""
    changes_micros: tuple[int, ...]
    """By how much each adjustment changed the credited value, signed: if that is all of it, they add up to it with
    `original_amount_micros`."""
    identifiers: tuple[str, ...]
    """United over observations, sorted; likewise the next two."""
    click_ids: tuple[str, ...]
    browser_ids: tuple[str, ...]
    session: int
    """Of the earliest observation that has one; 0 = none."""
    findings: tuple[ConversionFinding, ...]
    """Each once, sorted."""
    is_retracted: bool = False
    """Whether a retraction stands, whatever its status: what is not counted anyway can be taken back too."""
    basis: ValueBasis = ValueBasis.AS_SENT
    """Which part of the value is credited."""
    full_amount_micros: int | None = None
    """The value now as sent, whatever the basis."""
    missing_parts: tuple[str, ...] = ()
    """What the basis takes off and was not sent of the value in force, by the names of `ValueParts`."""

    @property
    def is_counted(self) -> bool:
        """Whether totals contain it."""
        return self.status is ConversionStatus.COUNTED

    @property
    def is_default_valued(self) -> bool:
        """Whether the default stands for a value that no source states."""
        return self.valued_by is None and self.original_amount_micros is not None

    @property
    def conversion_time_micros(self) -> int:
        """Event time of the earliest observation; 0 while unobserved."""
        return self.anchor.event_time_micros if self.anchor else 0

    @property
    def counted_amount_micros(self) -> int:
        """What totals contain of it."""
        return self.amount_micros or 0 if self.is_counted else 0


def in_lead(facts: ConversionFacts, standing: StageStanding | None) -> ConversionFacts:
    """Returns what a conversion is as a stage of its lead.

    Args:
        facts: What its own parts say.
        standing: Among the stages; None: it is of no lead.
    """
    if facts.status is not ConversionStatus.COUNTED:
        return facts
    if standing is StageStanding.SUPERSEDED:
        return replace(facts, status=ConversionStatus.SUPERSEDED)
    if standing is StageStanding.RETRACTED:
        return replace(
            facts,
            status=ConversionStatus.RETRACTED,
            is_retracted=True,
            amount_micros=None if facts.amount_micros is None else 0,
            full_amount_micros=None if facts.full_amount_micros is None else 0,
        )
    return facts


def in_order(facts: ConversionFacts, *, is_merged: bool) -> ConversionFacts:
    """Returns what a conversion is beside the same order as it was told as a first cycle.

    Args:
        facts: What its own parts, and its lead, say.
        is_merged: Whether that counts in its place.
    """
    if is_merged and facts.status is ConversionStatus.COUNTED:
        return replace(facts, status=ConversionStatus.MERGED)
    return facts


def told_again(facts: ConversionFacts, *, is_severed: bool) -> ConversionFacts:
    """Returns what a conversion is whose order may count already, as that of somebody who was erased.

    Args:
        facts: What its own parts, its lead and its order say.
        is_severed: Whether that is so.
    """
    if is_severed and facts.status is ConversionStatus.COUNTED:
        return replace(facts, status=ConversionStatus.SEVERED)
    return facts


def conversion_facts(
    observations: Iterable[Observation],
    adjustments: Iterable[Adjustment] = (),
    default: DefaultValue | None = None,
    basis: ValueBasis = ValueBasis.AS_SENT,
    told_plainly: Iterable[Observation] = (),
) -> ConversionFacts:
    """Says what the parts of one conversion mean together.

    Args:
        observations: In any order, with any repeats.
        adjustments: In any order, with any repeats; may come before their conversion, in time too.
        default: What it is worth where no source states a value. None: such a conversion has no value, which is not 0.
        basis: Which part of a stated value is credited; a default is credited whole.
        told_plainly: Observations of the same order as a conversion of its own, without the cycle: what they say it is
            worth counts as if they were of this one; no more does.

    Returns:
        The state; the same for the same set of parts.
    """
    status, seen = _seen(observations)
    findings: set[ConversionFinding] = set()
    others = (part for part in told_plainly if part.standing is Standing.GOOD) if seen else ()
    valued_by = _valued_by(sorted([*seen, *others], key=lambda part: (part.order_key, part.event_id)), findings)
    original, currency = (None, "") if default is None or not seen else default
    if valued_by:
        original, currency = valued_by.amount_micros, valued_by.currency_code
    applied = each_once(adjustments, findings)
    if not currency:
        currency = next((a.currency_code for a in reversed(applied) if a.kind is AdjustmentKind.RESTATEMENT), "")
    if currency:
        same = [adjustment for adjustment in applied if adjustment.currency_code in ("", currency)]
        if len(same) < len(applied):
            findings.add(ConversionFinding.CURRENCY_MISMATCH)
        applied = same
    value = AdjustedValue(
        basis if valued_by else ValueBasis.AS_SENT, original, valued_by.parts if valued_by else NO_PARTS
    )
    changes, is_retracted = _adjust(value, basis, applied, findings)
    full = None if value.left_micros is None else 0 if is_retracted else max(0, value.left_micros)
    if status is ConversionStatus.COUNTED and is_retracted:
        status = ConversionStatus.RETRACTED
    return ConversionFacts(
        status=status,
        anchor=seen[0] if seen else None,
        valued_by=valued_by,
        currency_code=currency,
        original_amount_micros=original,
        amount_micros=None if full is None else 0 if is_retracted else value.credited_micros,
        observations=tuple(seen),
        adjustments=tuple(applied),
        changes_micros=changes,
        identifiers=tuple(sorted({token for part in seen for token in part.identifiers})),
        click_ids=tuple(sorted({click_id for part in seen for click_id in part.click_ids})),
        browser_ids=tuple(sorted({browser_id for part in seen for browser_id in part.browser_ids})),
        session=next((part.session for part in seen if part.session), 0),
        findings=tuple(sorted(findings)),
        is_retracted=is_retracted,
        basis=basis,
        full_amount_micros=full,
        missing_parts=value.stated.missing,
    )


def _seen(observations: Iterable[Observation]) -> tuple[ConversionStatus, list[Observation]]:
    """Returns the observations that make the state: the good ones, else those that wait, else the uncounted."""
    by_id: dict[str, Observation] = {}
    for part in observations:
        known = by_id.get(part.event_id)
        if known is None or (
            part != known and repr(part) < repr(known)
        ):  # any one rule, so that arrival decides nothing
            by_id[part.event_id] = part
    ordered = sorted(by_id.values(), key=lambda part: (part.order_key, part.event_id))
    for standing, status in (
        (Standing.GOOD, ConversionStatus.COUNTED),
        (Standing.QUARANTINED, ConversionStatus.QUARANTINED),
        (Standing.UNCOUNTED, ConversionStatus.UNCOUNTED),
    ):
        seen = [part for part in ordered if part.standing is standing]
        if seen:
            return status, seen
    return ConversionStatus.UNOBSERVED, []


def _valued_by(seen: Iterable[Observation], findings: set[ConversionFinding]) -> Observation | None:
    """Returns the highest ranked observation that states a value, the earliest of these."""
    stating = [part for part in seen if part.amount_micros is not None]
    if not stating:
        return None
    best = max(stating, key=lambda part: part.source_rank)  # the first of equals, and they are in event order
    said = (best.amount_micros, best.currency_code)
    if any(
        (part.amount_micros, part.currency_code) != said for part in stating if part.source_rank == best.source_rank
    ):
        findings.add(ConversionFinding.VALUE_CONFLICT)
    return best


def each_once(adjustments: Iterable[Adjustment], findings: set[ConversionFinding] | None = None) -> list[Adjustment]:
    """Returns the adjustments that count in event order, one per identity: the earliest report of it.

    Args:
        adjustments: In any order, with any repeats.
        findings: Takes what is odd about them.
    """
    first: dict[tuple[str, str], Adjustment] = {}
    ordered = sorted(set(adjustments), key=lambda part: (part.order_key, part.event_id, repr(part)))
    for part in ordered:
        if part.standing is Standing.GOOD:
            known = first.setdefault(part.identity, part)
            is_same = (known.amount_micros, known.currency_code) == (part.amount_micros, part.currency_code)
            if findings is not None and not is_same:
                findings.add(ConversionFinding.ADJUSTMENT_CONFLICT)
    return list(first.values())


def _adjust(
    value: AdjustedValue, basis: ValueBasis, applied: Iterable[Adjustment], findings: set[ConversionFinding]
) -> tuple[tuple[int, ...], bool]:
    """Adjusts a value; returns the change that each adjustment made, and whether a retraction stands."""
    is_retracted = False
    now, changes = value.credited_micros, []
    for part in applied:
        if part.kind is AdjustmentKind.RESTATEMENT:
            value.state(part.amount_micros, part.parts, basis)
            is_retracted = False
        elif part.kind is AdjustmentKind.RETRACTION:
            is_retracted = True
        elif value.stated_micros is None:
            findings.add(ConversionFinding.ADJUSTED_WITHOUT_VALUE)
        elif part.kind is AdjustmentKind.REVERSAL:
            value.give_back(part.amount_micros, part.parts)
        else:
            value.take(part.amount_micros, part.parts)
        before, now = now, 0 if is_retracted else value.credited_micros
        changes.append(now - before)
    if value.left_micros is not None and value.left_micros < 0 and not is_retracted:
        findings.add(ConversionFinding.OVER_REFUNDED)
    if value.stated.missing:
        findings.add(ConversionFinding.PARTS_MISSING)
    if value.stated.is_contradictory:
        findings.add(ConversionFinding.PARTS_CONTRADICTORY)
    return tuple(changes), is_retracted
