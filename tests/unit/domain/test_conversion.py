from itertools import permutations
from typing import Any

import pytest

from tributary_domain.conversion import (
    ConversionFacts,
    ConversionFinding,
    ConversionStatus,
    DefaultValue,
    conversion_facts,
)
from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation, SourceRank, Standing
from tributary_domain.value_bases import NO_PARTS, ValueBasis, ValueParts

REFUND, RESTATEMENT = AdjustmentKind.REFUND, AdjustmentKind.RESTATEMENT
REVERSAL, RETRACTION = AdjustmentKind.REVERSAL, AdjustmentKind.RETRACTION
CHARGEBACK = AdjustmentKind.CHARGEBACK


def seen(event_id: str = "o-1", time: int = 10, amount: int | None = 100, **given: Any) -> Observation:
    return Observation(
        event_id=event_id, event_time_micros=time, amount_micros=amount, **{"currency_code": "EUR", **given}
    )


def adjusted(kind: AdjustmentKind, amount: int | None = None, time: int = 20, **given: Any) -> Adjustment:
    event_id = given.pop("event_id", f"{kind}-{amount}-{time}")
    return Adjustment(kind=kind, amount_micros=amount, event_time_micros=time, event_id=event_id, **given)


BROWSER = seen(
    "browser", 10, 119, source_rank=SourceRank.FRONT, identifiers=("v:1",), click_ids=("gclid:x",), session=4
)
BACKEND = seen("backend", 12, 100, source_rank=SourceRank.BACKEND, identifiers=("c:1", "e:1"))


@pytest.mark.parametrize("order", list(permutations([BROWSER, BACKEND])), ids=["browser first", "backend first"])
def test_browser_and_backend_are_one_order_in_either_order(order: tuple[Observation, ...]) -> None:
    state = conversion_facts(order)
    assert state.status is ConversionStatus.COUNTED
    assert state.amount_micros == 100
    assert state.conversion_time_micros == 10
    assert state.anchor == BROWSER
    assert state.valued_by == BACKEND
    assert state.identifiers == ("c:1", "e:1", "v:1")
    assert state.click_ids == ("gclid:x",)
    assert state.session == 4
    assert state.findings == ()


def test_a_backend_without_a_value_leaves_the_browsers_word() -> None:
    assert conversion_facts([BROWSER, seen("backend", 12, None)]).amount_micros == 119


def test_no_value_is_not_zero() -> None:
    assert conversion_facts([seen(amount=None)]).amount_micros is None
    assert conversion_facts([seen(amount=0)]).amount_micros == 0


WORTH_20 = DefaultValue(20, "CHF")


def test_the_default_stands_for_a_value_that_no_source_states() -> None:
    state = conversion_facts([seen(amount=None, currency_code="")], [], WORTH_20)
    assert (state.original_amount_micros, state.amount_micros, state.currency_code) == (20, 20, "CHF")
    assert state.is_default_valued


@pytest.mark.parametrize("stated", [0, 100])
def test_a_stated_value_needs_no_default(stated: int) -> None:
    state = conversion_facts([seen(amount=stated), seen("other", 11, None)], [], WORTH_20)
    assert (state.amount_micros, state.currency_code, state.is_default_valued) == (stated, "EUR", False)


def test_a_refund_takes_from_the_default_and_a_foreign_one_does_not() -> None:
    no_value = [seen(amount=None, currency_code="")]
    assert conversion_facts(no_value, [adjusted(REFUND, 5, currency_code="CHF")], WORTH_20).amount_micros == 15
    foreign = conversion_facts(no_value, [adjusted(REFUND, 5, currency_code="EUR")], WORTH_20)
    assert (foreign.amount_micros, foreign.findings) == (20, (ConversionFinding.CURRENCY_MISMATCH,))


def test_what_nobody_observed_has_no_default() -> None:
    assert conversion_facts([], [adjusted(REFUND, 5)], WORTH_20).amount_micros is None


def test_of_equally_ranked_values_the_earliest_counts_and_the_conflict_is_found() -> None:
    state = conversion_facts([seen("b", 12, 90), seen("a", 11, 100)])
    assert state.amount_micros == 100
    assert state.findings == (ConversionFinding.VALUE_CONFLICT,)


def test_the_same_event_twice_is_one_observation() -> None:
    assert conversion_facts([BROWSER, BROWSER]) == conversion_facts([BROWSER])


VALUES = [
    pytest.param([], 100, id="nothing"),
    pytest.param([adjusted(REFUND, 30)], 70, id="a partial refund"),
    pytest.param([adjusted(REFUND, 100)], 0, id="a refund to zero"),
    pytest.param([adjusted(REFUND)], 0, id="a refund of all"),
    pytest.param([adjusted(REFUND, 30), adjusted(REFUND, 30, 21)], 40, id="two refunds"),
    pytest.param([adjusted(CHARGEBACK, 100), adjusted(REVERSAL, 100, 21)], 100, id="a dispute that was won"),
    pytest.param([adjusted(CHARGEBACK), adjusted(REVERSAL, None, 21)], 100, id="a dispute that was won, all of it"),
    pytest.param([adjusted(RESTATEMENT, 80)], 80, id="a restatement below"),
    pytest.param([adjusted(RESTATEMENT, 130)], 130, id="a restatement above"),
    pytest.param(
        [adjusted(REFUND, 30), adjusted(RESTATEMENT, 80, 21)], 80, id="a restatement absorbs an earlier refund"
    ),
    pytest.param([adjusted(RESTATEMENT, 80), adjusted(REFUND, 30, 21)], 50, id="a refund after a restatement"),
    pytest.param([adjusted(RESTATEMENT, 80), adjusted(RESTATEMENT, 60, 21)], 60, id="the latest restatement"),
    pytest.param([adjusted(RETRACTION)], 0, id="a retraction"),
    pytest.param([adjusted(RETRACTION), adjusted(RESTATEMENT, 50, 21)], 50, id="restated after a retraction"),
    pytest.param([adjusted(REFUND, 30, 5)], 70, id="a refund that happened before the order, by its clock"),
    pytest.param([adjusted(REFUND, 30, standing=Standing.QUARANTINED)], 100, id="a refund in quarantine"),
    pytest.param(
        [adjusted(REFUND, 30, adjustment_id="r-1", event_id="psp"), adjusted(REFUND, 30, 25, adjustment_id="r-1")],
        70,
        id="the same refund from two systems",
    ),
    pytest.param(
        [adjusted(REFUND, 30, adjustment_id="r-1"), adjusted(REFUND, 30, 25, adjustment_id="r-2")], 40, id="two refunds"
    ),
    pytest.param(
        [adjusted(CHARGEBACK, 30, adjustment_id="d-1"), adjusted(REVERSAL, 30, 25, adjustment_id="d-1")],
        100,
        id="a dispute and its reversal share a number",
    ),
]


@pytest.mark.parametrize(("adjustments", "value"), VALUES)
def test_the_value_after_adjustments(adjustments: list[Adjustment], value: int) -> None:
    for order in permutations(adjustments):
        state = conversion_facts([seen()], order)
        assert state.amount_micros == value
        assert state.original_amount_micros == 100
        assert 100 + sum(state.changes_micros) == value


@pytest.mark.parametrize(
    "adjustments",
    [
        pytest.param([adjusted(REFUND, 130)], id="one refund too large"),
        pytest.param([adjusted(REFUND, 60), adjusted(REFUND, 60, 21)], id="two refunds together"),
        pytest.param([adjusted(RESTATEMENT, -20)], id="a negative restatement"),
    ],
)
def test_below_zero_is_zero_and_a_finding(adjustments: list[Adjustment]) -> None:
    state = conversion_facts([seen()], adjustments)
    assert (state.amount_micros, state.findings) == (0, (ConversionFinding.OVER_REFUNDED,))
    assert state.is_counted


def test_a_refund_before_its_order_waits_and_then_counts() -> None:
    refund = adjusted(REFUND, 30)
    waiting = conversion_facts([], [refund])
    assert waiting.status is ConversionStatus.UNOBSERVED
    assert (waiting.amount_micros, waiting.is_counted) == (None, False)
    assert conversion_facts([seen()], [refund]).amount_micros == 70


def test_a_retraction_is_not_counted() -> None:
    state = conversion_facts([seen()], [adjusted(RETRACTION)])
    assert (state.status, state.is_counted, state.counted_amount_micros) == (ConversionStatus.RETRACTED, False, 0)


def test_two_systems_that_disagree_on_a_refund_are_found() -> None:
    reports = [
        adjusted(REFUND, 30, adjustment_id="r-1", event_id="psp"),
        adjusted(REFUND, 35, 25, adjustment_id="r-1", event_id="erp"),
    ]
    state = conversion_facts([seen()], reports)
    assert (state.amount_micros, state.findings) == (70, (ConversionFinding.ADJUSTMENT_CONFLICT,))


def test_a_refund_in_another_currency_is_left_out_and_found() -> None:
    state = conversion_facts([seen()], [adjusted(REFUND, 30, currency_code="USD")])
    assert (state.amount_micros, state.findings) == (100, (ConversionFinding.CURRENCY_MISMATCH,))


def test_a_refund_of_an_order_without_value_is_found() -> None:
    state = conversion_facts([seen(amount=None)], [adjusted(REFUND, 30)])
    assert (state.amount_micros, state.findings) == (None, (ConversionFinding.ADJUSTED_WITHOUT_VALUE,))


def test_a_restatement_gives_a_value_and_a_currency_to_an_order_without() -> None:
    state = conversion_facts([seen(amount=None, currency_code="")], [adjusted(RESTATEMENT, 70, currency_code="KWD")])
    assert (state.amount_micros, state.currency_code, state.original_amount_micros) == (70, "KWD", None)


def test_a_restatement_must_state_a_value() -> None:
    with pytest.raises(ValueError, match="states the new value"):
        adjusted(RESTATEMENT)


def standing(*parts: Observation) -> ConversionFacts:
    return conversion_facts(parts)


def test_an_order_seen_only_in_quarantine_is_pending() -> None:
    state = standing(seen(standing=Standing.QUARANTINED))
    assert (state.status, state.amount_micros, state.counted_amount_micros) == (ConversionStatus.QUARANTINED, 100, 0)


def test_quarantine_holds_no_order_against_a_good_event() -> None:
    state = standing(seen("bot", 5, 90_000, standing=Standing.QUARANTINED), seen("good", 10, 100))
    assert (state.conversion_time_micros, state.amount_micros) == (10, 100)


def test_test_traffic_is_not_counted() -> None:
    assert standing(seen(standing=Standing.UNCOUNTED)).status is ConversionStatus.UNCOUNTED


NET = ValueBasis.NET_OF_TAX
TAXED = ValueParts(tax_micros=16)


def test_a_basis_chooses_what_of_the_ranking_sources_value_is_credited() -> None:
    state = conversion_facts([BROWSER, seen("backend", 12, 100, parts=TAXED)], [adjusted(REFUND, 50)], basis=NET)
    assert (state.original_amount_micros, state.full_amount_micros, state.amount_micros) == (100, 50, 42)
    assert (state.changes_micros, state.missing_parts, state.findings) == ((-42,), (), ())


def test_a_part_that_was_not_sent_is_named_and_not_guessed() -> None:
    state = conversion_facts([seen()], basis=NET)
    assert (state.amount_micros, state.missing_parts) == (100, ("tax_micros",))
    assert state.findings == (ConversionFinding.PARTS_MISSING,)


@pytest.mark.parametrize(
    ("parts", "value", "missing"), [(TAXED, 54, ()), (NO_PARTS, 70, ("tax_micros",))], ids=["with parts", "without"]
)
def test_a_restatement_is_credited_by_its_own_parts(parts: ValueParts, value: int, missing: tuple[str, ...]) -> None:
    state = conversion_facts([seen(parts=TAXED)], [adjusted(RESTATEMENT, 70, parts=parts)], basis=NET)
    assert (state.amount_micros, state.full_amount_micros, state.missing_parts) == (value, 70, missing)


def test_a_default_value_is_credited_whole_and_its_restatement_by_the_basis() -> None:
    nothing = [seen(amount=None, currency_code="")]
    assert conversion_facts(nothing, [adjusted(REFUND, 5)], WORTH_20, NET).amount_micros == 15
    assert conversion_facts(nothing, [adjusted(RESTATEMENT, 70, parts=TAXED)], WORTH_20, NET).amount_micros == 54


def test_more_tax_than_value_is_credited_as_nothing_and_said() -> None:
    state = conversion_facts([seen(parts=ValueParts(tax_micros=101))], basis=NET)
    assert (state.amount_micros, state.findings) == (0, (ConversionFinding.PARTS_CONTRADICTORY,))


def test_what_is_taken_back_is_worth_nothing_by_any_basis() -> None:
    state = conversion_facts([seen(parts=TAXED)], [adjusted(RETRACTION)], basis=NET)
    assert (state.amount_micros, state.full_amount_micros, state.changes_micros) == (0, 0, (-84,))
