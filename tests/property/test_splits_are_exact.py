"""What is shared out adds up to what there was, fairly, and a refund mirrors its sale."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.support.oracle import largest_remainder
from tributary_domain.shares import split_equally, split_exactly

totals = st.one_of(st.integers(-10, 10), st.integers(-(2**63), 2**63 - 1))
weights = st.lists(st.one_of(st.integers(0, 4), st.integers(0, 2**62)), min_size=1, max_size=12).filter(any)


@given(totals, weights)
def test_the_parts_sum_to_the_total(total: int, weights: list[int]) -> None:
    assert sum(split_exactly(total, weights)) == total


@given(totals, weights)
def test_no_part_is_a_whole_unit_away_from_its_share(total: int, weights: list[int]) -> None:
    for part, weight in zip(split_exactly(total, weights), weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1


@given(totals, weights)
def test_left_over_units_go_to_the_largest_remainders(total: int, weights: list[int]) -> None:
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    assert split_exactly(total, weights) == largest_remainder(total, shares)


@given(totals, weights)
def test_a_negative_total_mirrors_the_positive(total: int, weights: list[int]) -> None:
    assert split_exactly(-total, weights) == [-part for part in split_exactly(total, weights)]


@given(totals, st.integers(1, 40), st.integers(1, 2**62))
def test_equal_weights_are_an_equal_split(total: int, count: int, weight: int) -> None:
    assert split_equally(total, count) == split_exactly(total, [weight] * count)


@given(totals, weights, st.integers(1, 1000))
def test_scaling_all_weights_changes_nothing(total: int, weights: list[int], factor: int) -> None:
    assert split_exactly(total, [weight * factor for weight in weights]) == split_exactly(total, weights)
