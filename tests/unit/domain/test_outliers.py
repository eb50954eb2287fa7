"""Outliers against what scipy and pyod computed (`tests/vectors/README.md`)."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tributary_domain.outliers import AmountGroup, Outlier, StatedAmount, find_outliers, modified_z_scores

CASES = json.loads((Path(__file__).parents[2] / "vectors" / "outliers.json").read_text())["cases"]
SHOP = AmountGroup("shop", "purchase", "EUR")


def stated(values: Sequence[float], group: AmountGroup = SHOP) -> list[StatedAmount]:
    return [StatedAmount(group, f"c{place:04}", round(value * 1_000_000)) for place, value in enumerate(values)]


def flagged(found: Sequence[Outlier]) -> list[int]:
    return [int(outlier.conversion_id[1:]) for outlier in found]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_score_of_plain_values_flags_what_others_flag(case: dict[str, Any]) -> None:
    scores = modified_z_scores(case["x"])
    assert [place for place, score in enumerate(scores) if abs(score) > 3.5] == case["modified_z_flags_gt_3.5"]
    for score, expected in zip(scores, case.get("pyod_mad_scores", []), strict=False):
        assert abs(score) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    "case", [case for case in CASES if "modified_z_log_flags_gt_3.5" in case], ids=lambda case: case["name"]
)
def test_the_score_of_logarithms_flags_what_others_flag(case: dict[str, Any]) -> None:
    assert flagged(find_outliers(stated(case["x"]), min_amounts=1)) == case["modified_z_log_flags_gt_3.5"]


def test_prices_that_multiply_are_no_outliers_but_a_misplaced_point_is() -> None:
    usual = next(case["x"] for case in CASES if case["name"] == "lognormal_clean")
    assert flagged(find_outliers(stated([*usual, 90_000.0]))) == [len(usual)]
    assert flagged(find_outliers(stated([*usual, 0.05]))) == [len(usual)]


def test_where_most_amounts_are_the_same_the_mean_deviation_decides() -> None:
    case = next(case for case in CASES if case["name"] == "mad_zero")
    assert flagged(find_outliers(stated(case["x"]))) == [62]
    assert find_outliers(stated([10.0] * 40)) == []


@pytest.mark.parametrize(("count", "is_found"), [(29, True), (28, False)])
def test_below_thirty_amounts_nothing_is_said(count: int, is_found: bool) -> None:
    usual = [50.0 + number for number in range(count)]
    assert bool(find_outliers(stated([*usual, 1e6]))) is is_found


def test_the_order_of_amounts_changes_nothing() -> None:
    amounts = stated([*(50.0 + number for number in range(60)), 1e6, 1e-3])
    shuffled = random.Random(7).sample(amounts, len(amounts))
    assert find_outliers(shuffled) == find_outliers(amounts)
    assert flagged(find_outliers(shuffled)) == [60, 61]


@pytest.mark.parametrize("other", [SHOP._replace(currency_code="JPY"), SHOP._replace(conversion_name="lead")])
def test_amounts_of_another_currency_or_name_are_not_compared(other: AmountGroup) -> None:
    euros = stated([50.0 + number for number in range(40)])
    others = stated([7_500.0 + number for number in range(40)], other)
    assert find_outliers([*euros, *others]) == []


def test_an_amount_of_nothing_is_neither_judged_nor_compared_with() -> None:
    assert find_outliers(stated([*(50.0 + number for number in range(40)), *[0.0] * 30])) == []


def test_an_outlier_says_what_is_typical() -> None:
    found = find_outliers(stated([*[50.0, 60.0] * 20, 60.0, 1e6]))
    assert [(outlier.typical_micros, outlier.compared_with) for outlier in found] == [(60_000_000, 42)]
    assert found[0].score > 3.5
