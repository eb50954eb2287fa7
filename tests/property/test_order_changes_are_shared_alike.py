"""What changes an order of several first cycles, by stream and by batch: the same, and no money appears or is lost."""

from __future__ import annotations

import random

from tributary_domain.conversion import conversion_facts
from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation
from tributary_domain.reconciled_shares import OrderPart, SeveralCycles, Share, shared
from tributary_domain.shared_adjustments import FirstCycle, shared_out

WORLDS = 3_000
PLAIN = "plain"
KINDS = list(AdjustmentKind)


def adjustment(rng: random.Random, number: int) -> Adjustment:
    kind = rng.choice(KINDS)
    has_amount = kind is AdjustmentKind.RESTATEMENT or (kind is not AdjustmentKind.RETRACTION and rng.random() < 0.9)
    return Adjustment(
        event_time_micros=rng.randrange(6),
        event_id=f"a-{number}",
        kind=kind,
        adjustment_id=rng.choice(("", "r-1", "r-2")),
        amount_micros=rng.choice((0, 1, 7, 30, 70, 100)) if has_amount else None,
        currency_code=rng.choice(("EUR", "EUR", "EUR", "USD")) if has_amount else "",
    )


def a_cycle(rng: random.Random, conversion_id: str) -> FirstCycle:
    value = rng.choice((None, 0, 40, 60))
    seen = Observation(
        event_time_micros=0, event_id=conversion_id, amount_micros=value, currency_code="" if value is None else "EUR"
    )
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


def _assert_money_adds_up(
    cycles: list[FirstCycle], whole: list[Adjustment], expected: dict[str, list[Adjustment]], seed: int
) -> None:
    """Checks that refunds alone take off the order what they say, as far as anything is left of any cycle."""
    kinds = {one.kind for one in (*whole, *(one for cycle in cycles for one in cycle.adjustments))}
    currencies = {one.currency_code for cycle in cycles for one in (*cycle.adjustments, *whole)}
    if kinds != {AdjustmentKind.REFUND} or currencies != {"EUR"}:
        return
    left = [conversion_facts(cycle.observations, cycle.adjustments).full_amount_micros or 0 for cycle in cycles]
    after = [
        conversion_facts(cycle.observations, [*cycle.adjustments, *expected[cycle.conversion_id]]).full_amount_micros
        for cycle in cycles
    ]
    named = {one.identity for cycle in cycles for one in cycle.adjustments}
    refunded = {
        one.identity: one.amount_micros or 0 for one in sorted(whole, key=lambda one: one.order_key, reverse=True)
    }
    off = sum(amount for identity, amount in refunded.items() if identity not in named)
    assert sum(one or 0 for one in after) == max(0, sum(left) - off), seed
