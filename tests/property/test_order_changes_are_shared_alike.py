"""What changes an order of several first cycles, by stream and by batch: the same, and no money appears or is lost."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tributary_domain.conversion import ConversionFinding, conversion_facts, each_once
from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation
from tributary_domain.reconciled_shares import OrderPart, SeveralCycles, Share, shared
from tributary_domain.shared_adjustments import FirstCycle, had_of, shared_out

WORLDS = 3_000
PLAIN = "plain"
KINDS = list(AdjustmentKind)


def adjustment(rng: random.Random, number: int) -> Adjustment:
    kind = rng.choice(KINDS)
    is_total = kind is AdjustmentKind.RESTATEMENT
    has_amount = is_total or (kind is not AdjustmentKind.RETRACTION and rng.random() < 0.9)
    return Adjustment(
        event_time_micros=rng.randrange(6),
        event_id=f"a-{number}",
        kind=kind,
        adjustment_id=rng.choice(("", "r-1", "r-2")),
        amount_micros=rng.choice((-31 if is_total else 0, 0, 1, 7, 30, 70, 100)) if has_amount else None,
        currency_code=rng.choice(("EUR", "EUR", "EUR", "USD")) if has_amount else "",
    )


def a_cycle(rng: random.Random, conversion_id: str) -> FirstCycle:
    value = rng.choice((None, 0, 40, 60))
    currency = "" if value is None else rng.choice(("EUR",) * 9 + ("USD",))
    seen = Observation(event_time_micros=0, event_id=conversion_id, amount_micros=value, currency_code=currency)
    own = [adjustment(rng, number) for number in range(rng.choice((0, 0, 1, 2)))]
    return FirstCycle(conversion_id, [seen], [_named(one, f"{conversion_id}-{one.event_id}") for one in own])


def _named(one: Adjustment, event_id: str) -> Adjustment:
    return Adjustment(
        event_time_micros=one.event_time_micros,
        event_id=event_id,
        kind=one.kind,
        adjustment_id=one.adjustment_id,
        amount_micros=one.amount_micros,
        currency_code=one.currency_code,
    )


def _as_part(conversion_id: str, one: Observation | Adjustment) -> OrderPart:
    is_adjustment = isinstance(one, Adjustment)
    identity = f"a:{one.adjustment_id}" if is_adjustment and one.adjustment_id else f"e:{one.event_id}"
    return OrderPart(
        conversion_id=conversion_id,
        event_id=one.event_id,
        time_micros=one.event_time_micros,
        event_hash=one.event_hash,
        is_observation=not is_adjustment,
        rank=2,
        has_amount=one.amount_micros is not None,
        amount_micros=one.amount_micros or 0,
        currency=one.currency_code,
        kind=one.kind.upper() if is_adjustment else "",
        identity=identity,
    )


def test_stream_and_batch_share_what_changes_an_order_alike() -> None:
    for seed in range(WORLDS):
        rng = random.Random(seed)
        cycles = [a_cycle(rng, f"c-{number}") for number in range(rng.choice((2, 2, 3)))]
        whole = [adjustment(rng, number) for number in range(rng.randrange(5))]
        parts = [_as_part(PLAIN, one) for one in whole]
        parts += [_as_part(cycle.conversion_id, one) for cycle in cycles for one in (*cycle[1], *cycle[2])]
        rng.shuffle(parts)
        found = shared([SeveralCycles([PLAIN], [cycle.conversion_id for cycle in cycles])], parts)
        living = [
            cycle for cycle in cycles if not conversion_facts(cycle.observations, cycle.adjustments).is_retracted
        ] or cycles[:1]
        if len(living) == 1:
            assert found == ({PLAIN: living[0].conversion_id}, []), seed
            continue
        rng.shuffle(whole)
        expected = shared_out([*whole, *whole], living)
        said = {one.event_id: one.amount_micros for one in whole}
        assert sorted(found.shares) == sorted(
            Share(
                name,
                one.event_id,
                one.amount_micros != said[one.event_id],
                one.amount_micros if one.amount_micros is not None else 0,
            )
            for name, own in expected.items()
            for one in own
        ), seed
        _assert_money_adds_up(living, whole, expected, seed)


def _frozen(cycle: FirstCycle, whole: list[Adjustment], share: list[Adjustment]) -> FirstCycle:
    """Returns what stands in for a cycle whose person is erased."""
    [seen] = cycle.observations
    facts = conversion_facts(cycle.observations, [*cycle.adjustments, *share])
    name = f"s1:{cycle.conversion_id}"
    changed = Adjustment(
        event_time_micros=seen.event_time_micros,
        event_id=f"{name}-value",
        kind=AdjustmentKind.RETRACTION if facts.is_retracted else AdjustmentKind.RESTATEMENT,
        amount_micros=None if facts.is_retracted else facts.amount_micros or 0,
        currency_code="" if facts.is_retracted else facts.currency_code,
    )
    is_changed = facts.is_retracted or facts.amount_micros not in (None, facts.original_amount_micros)
    left = replace(seen, event_id=name, event_hash=0)
    had, own = had_of(cycle.adjustments, whole, share), {one.identity for one in cycle.adjustments}
    return FirstCycle(name, [left], [changed] * is_changed, had, own.intersection(one.identity for one in whole))


def _had(cycle: FirstCycle, whole: list[Adjustment]) -> list[OrderPart]:
    """Returns the same as parts."""
    had, parts = dict(cycle.had or {}), []
    for one in each_once(whole):
        part = _as_part(cycle.conversion_id, one)._replace(is_of_order=True)
        if one.identity in cycle.named:
            parts.append(part._replace(is_named=True))
        elif one.identity in had:
            micros = had[one.identity]
            parts.append(part._replace(has_amount=micros is not None, amount_micros=micros or 0))
    return parts


def test_the_others_have_what_was_theirs_once_the_person_of_one_is_erased() -> None:
    for seed in range(WORLDS // 3):
        rng = random.Random(seed)
        cycles = [a_cycle(rng, f"c-{number}") for number in range(rng.choice((2, 2, 3)))]
        cycles = [one for one in cycles if not conversion_facts(one.observations, one.adjustments).is_retracted]
        whole = [adjustment(rng, number) for number in range(rng.randrange(5))]
        if len(cycles) < 2:
            continue
        shares = shared_out(whole, cycles)
        at = rng.randrange(len(cycles))
        gone = cycles[at]
        stand_in = _frozen(gone, whole, shares.pop(gone.conversion_id))
        now = [*cycles[:at], stand_in, *cycles[at + 1 :]]
        parts = [_as_part(PLAIN, one) for one in whole] + _had(stand_in, whole)
        parts += [_as_part(cycle.conversion_id, one) for cycle in now for one in (*cycle[1], *cycle[2])]
        found = shared([SeveralCycles([PLAIN], [cycle.conversion_id for cycle in now])], parts).shares
        left = shared_out(whole, now)
        assert sorted((one.conversion_id, one.event_id, one.amount_micros) for one in found) == sorted(
            (name, one.event_id, one.amount_micros or 0) for name, own in left.items() for one in own
        ), seed
        if gone.observations[0].amount_micros is None and stand_in.adjustments:
            continue  # in which currency its totals were may be known no more
        is_same = len(shares) == 1 or all(one.kind is not AdjustmentKind.RESTATEMENT for one in whole)
        # A total in equal parts may go to one of several others to the last micro, and now to another of them.
        assert _moved(cycles, left, by_cycle=is_same) == _moved(cycles, shares, by_cycle=is_same), seed


def _moved(
    cycles: list[FirstCycle], shares: dict[str, list[Adjustment]], *, by_cycle: bool
) -> dict[tuple[str, str], int | None]:
    """Returns how much of what changes cycles, of each or of all, as far as it changes anything."""
    known = {cycle.conversion_id: conversion_facts(cycle.observations, cycle.adjustments) for cycle in cycles}
    moved: dict[tuple[str, str], int | None] = {}
    for name, own in shares.items():
        for one in conversion_facts(known[name].observations, [*known[name].adjustments, *own]).adjustments:
            if one in own and (one.amount_micros or one.kind is AdjustmentKind.RESTATEMENT):
                key = (name if by_cycle else "", one.event_id)
                moved[key] = (moved.get(key) or 0) + (one.amount_micros or 0)
    return moved


def _assert_money_adds_up(
    cycles: list[FirstCycle], whole: list[Adjustment], expected: dict[str, list[Adjustment]], seed: int
) -> None:
    """Checks that what is taken off the order and given back is that of one conversion, as far as anything is left.

    What is in a currency that no cycle has changes nothing. What names a cycle comes first, so far as it is no total.
    """
    own = {cycle.conversion_id: conversion_facts(cycle.observations, cycle.adjustments) for cycle in cycles}
    known = [one.full_amount_micros is not None for one in own.values()]
    named = [one for facts in own.values() for one in facts.adjustments]
    reports = {one.identity for cycle in cycles for one in cycle.adjustments}
    counted = [one for one in each_once(whole) if one.identity not in reports]
    if any(known):
        counted = [one for one in counted if one.currency_code in ("", "EUR")]
    kinds = {one.kind for one in (*counted, *named)}
    gives_back = AdjustmentKind.REVERSAL in kinds
    odd = {finding for facts in own.values() for finding in facts.findings}
    if not kinds <= {AdjustmentKind.REFUND, AdjustmentKind.CHARGEBACK, AdjustmentKind.REVERSAL}:
        return
    if {facts.currency_code for facts in own.values()} - {"", "EUR"}:
        return
    if gives_back and (not all(known) or ConversionFinding.OVER_REFUNDED in odd):
        return
    if any(one.amount_micros is None for one in counted):
        return
    after = [
        conversion_facts(cycle.observations, [*cycle.adjustments, *expected[cycle.conversion_id]]).full_amount_micros
        for cycle in cycles
    ]
    if gives_back and any(one.amount_micros is None for one in named):
        return
    off = sum((one.amount_micros or 0) * (-1 if one.kind is AdjustmentKind.REVERSAL else 1) for one in counted)
    left = sum(facts.full_amount_micros or 0 for facts in own.values())
    assert sum(one or 0 for one in after) == max(0, left - off), seed


def _refund(at: int, amount: int, currency: str = "EUR", kind: AdjustmentKind = AdjustmentKind.REFUND) -> Adjustment:
    return Adjustment(event_time_micros=at, event_id=f"e-{at}", kind=kind, amount_micros=amount, currency_code=currency)


_TOTAL, _BACK = AdjustmentKind.RESTATEMENT, AdjustmentKind.REVERSAL


@pytest.mark.parametrize(
    ("whole", "of_first", "left"),
    [
        pytest.param([_refund(1, 70), _refund(2, 80, "USD", _TOTAL)], [], [0, 30], id="a total in another currency"),
        pytest.param(
            [_refund(1, 10), _refund(2, 30, "USD", _BACK), _refund(3, 80)], [], [0, 10], id="given back in another"
        ),
        pytest.param([_refund(1, 10, "USD"), _refund(2, 70)], [], [0, 30], id="a refund in another"),
        pytest.param([_refund(1, 70)], [_refund(2, 80, kind=_TOTAL)], [80, 30], id="a new total of one after a refund"),
        pytest.param(
            [_refund(1, 70), _refund(3, 90)],
            [_refund(2, 80, kind=_TOTAL), _refund(4, 10)],
            [0, 10],
            id="a new total of one between refunds, and a refund of that one",
        ),
        pytest.param(
            [_refund(1, 70), _refund(3, 70, kind=_BACK), _refund(4, 20)],
            [_refund(2, 80, kind=_TOTAL)],
            [120, 40],
            id="given back after a new total of one",
        ),
        pytest.param(
            [_refund(2, 50, kind=_TOTAL), _refund(3, 40)],
            [_refund(1, 80, kind=_TOTAL)],
            [0, 10],
            id="a new total of the order after one of one",
        ),
    ],
)
def test_what_is_left_of_each(whole: list[Adjustment], of_first: list[Adjustment], left: list[int]) -> None:
    worth = (("c-0", 60, of_first), ("c-1", 40, []))
    seen = {
        name: Observation(event_time_micros=0, event_id=name, amount_micros=value, currency_code="EUR")
        for name, value, _ in worth
    }
    cycles = [FirstCycle(name, [seen[name]], own) for name, _, own in worth]
    shares = shared_out(whole, cycles)
    facts = [conversion_facts(one.observations, [*one.adjustments, *shares[one.conversion_id]]) for one in cycles]
    assert [one.full_amount_micros for one in facts] == left
    is_foreign = any(one.currency_code == "USD" for one in whole)
    assert (ConversionFinding.CURRENCY_MISMATCH in facts[0].findings) is is_foreign, "it is found to be odd"
    parts = [_as_part(PLAIN, one) for one in whole]
    parts += [_as_part(cycle.conversion_id, one) for cycle in cycles for one in (*cycle[1], *cycle[2])]
    found = shared([SeveralCycles([PLAIN], [cycle.conversion_id for cycle in cycles])], parts).shares
    assert sorted((one.conversion_id, one.event_id, one.amount_micros) for one in found) == sorted(
        (name, one.event_id, one.amount_micros) for name, own in shares.items() for one in own
    )
