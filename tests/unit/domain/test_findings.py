"""A finding is the same as long as it is about the same; what somebody acknowledged is what it said."""

from __future__ import annotations

import pytest

from tributary_domain.findings import COUNTED, NOT_COUNTED, FindingCause, FindingKind, finding, is_as_acknowledged

_LOST = "; of those that are not named, nothing is known any more"


@pytest.mark.parametrize(
    ("kind", "acknowledged", "found", "is_same"),
    [
        pytest.param("DIFFERENT", ("80 micros", "81 micros"), ("80 micros", "81 micros"), True, id="the-same"),
        pytest.param("DIFFERENT", ("80 micros", "81 micros"), ("80 micros", "900 micros"), False, id="another-amount"),
        pytest.param("DIFFERENT", ("80 micros", "81 micros"), ("70 micros", "81 micros"), False, id="due-another"),
        pytest.param("OUTLIER", ("about 5 micros", "900 micros"), ("about 6 micros", "900 micros"), True, id="usual"),
        pytest.param("OUTLIER", ("about 5 micros", "900 micros"), ("about 5 micros", "901 micros"), False, id="odder"),
        pytest.param("SUM_WRONG", ("100", f"90{_LOST}"), ("2100", f"2090{_LOST}"), True, id="as-many-missing-of-more"),
        pytest.param("SUM_WRONG", ("100", f"90{_LOST}"), ("2100", f"2095{_LOST}"), True, id="fewer-missing"),
        pytest.param("SUM_WRONG", ("100", f"90{_LOST}"), ("2100", f"2089{_LOST}"), False, id="more-missing"),
        pytest.param("SUM_WRONG", ("100", f"90{_LOST}"), ("2100", "2101"), False, id="too-many-instead"),
        pytest.param("SUM_WRONG", ("1", "2"), ("1", "3"), False, id="counted-once-more"),
        pytest.param("SUM_WRONG", ("", ""), ("", ""), True, id="nothing-said"),
    ],
)
def test_what_was_acknowledged_is_so_as_long_as_it_is_no_worse(
    kind: str, acknowledged: tuple[str, str], found: tuple[str, str], is_same: bool
) -> None:
    before, now = (
        finding("r1:x", FindingKind(kind), "It is wrong.", conversion_id="c1:x", expected=expected, actual=actual)
        for expected, actual in (acknowledged, found)
    )
    assert before.finding_id == now.finding_id
    assert is_as_acknowledged(now, before) is is_same


@pytest.mark.parametrize(
    ("expected", "is_as_ever"),
    [
        pytest.param("80 micros EUR, counted, 1 observations", True, id="its-value"),
        pytest.param(COUNTED, False, id="that-it-does-not-count"),
        pytest.param(NOT_COUNTED, False, id="that-it-counts"),
    ],
)
def test_whether_a_conversion_counts_beside_others_is_another_finding_than_its_value(
    expected: str, is_as_ever: bool
) -> None:
    found = finding(
        "r1:x",
        FindingKind.DIFFERENT,
        "It is wrong.",
        cause=FindingCause.WRONG_VALUE,
        conversion_id="c1:x",
        expected=expected,
    )
    kept = "f1:f6e954fea1edc0b2e182c39c"  # stored so by every release
    assert (found.finding_id == kept) is is_as_ever
