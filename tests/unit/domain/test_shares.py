import pytest

from tributary_domain.shares import split_equally, split_exactly


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        pytest.param(1_000_000, [1, 1, 1], [333_334, 333_333, 333_333], id="the earlier of equals gets the unit"),
        pytest.param(1, [1, 1, 1], [1, 0, 0], id="1 over 3"),
        pytest.param(100, [7], [100], id="one weight"),
        pytest.param(3, [1, 1], [2, 1], id="two equal weights"),
        pytest.param(3, [1, 2], [1, 2], id="two weights without rest"),
        pytest.param(10, [1, 2], [3, 7], id="two weights, the second remainder is larger"),
        pytest.param(10, [2, 1], [7, 3], id="two weights, the first remainder is larger"),
        pytest.param(10, [0, 5], [0, 10], id="a zero weight gets nothing of two"),
        pytest.param(10, [3, 0, 3], [5, 0, 5], id="a zero weight gets nothing of three"),
        pytest.param(10, [1, 1, 5], [2, 1, 7], id="remainders 3/7, 3/7, 1/7"),
        pytest.param(0, [1, 2, 3], [0, 0, 0], id="nothing"),
        pytest.param(-10, [1, 1, 5], [-2, -1, -7], id="negative"),
        pytest.param(2**63 - 1, [2**62, 2**62], [2**62, 2**62 - 1], id="int64 and the largest weights"),
    ],
)
def test_a_total_is_split_to_the_last_unit(total: int, weights: list[int], parts: list[int]) -> None:
    assert split_exactly(total, weights) == parts


@pytest.mark.parametrize("weights", [[], [0], [0, 0, 0], [1, -1], [-1]])
def test_weights_that_share_nothing_are_the_callers_bug(weights: list[int]) -> None:
    with pytest.raises(ValueError, match=r"(?i)weight"):
        split_exactly(1, weights)


@pytest.mark.parametrize(
    ("total", "count", "parts"), [(7, 3, [3, 2, 2]), (-7, 3, [-3, -2, -2]), (0, 2, [0, 0]), (1, 1, [1])]
)
def test_an_equal_split_differs_by_one_unit_at_most(total: int, count: int, parts: list[int]) -> None:
    assert split_equally(total, count) == parts
