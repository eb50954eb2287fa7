"""What a run does not name may break a promise: then it vouches for nothing."""

from __future__ import annotations

import pytest

from tributary_attribution.cut_answers import Answers
from tributary_domain.findings import FindingKind, finding


@pytest.mark.parametrize(
    ("kind", "number", "is_cut", "expected"),
    [
        pytest.param(FindingKind.SUM_WRONG, 2, False, False, id="all are named"),
        pytest.param(FindingKind.SUM_WRONG, 3, False, True, id="too many to be named"),
        pytest.param(FindingKind.EXTRA, 1, True, True, id="more than was looked at"),
        pytest.param(FindingKind.UNMATCHED_ADJUSTMENT, 3, True, False, id="what breaks no promise"),
    ],
)
def test_answers_say_whether_errors_are_hidden(
    kind: FindingKind, number: int, is_cut: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answers, "MOST_NAMED", 2)
    answers = Answers()
    answers.add(
        [finding("r-1", kind, "", conversion_id=f"c1:{one}", find_micros=1) for one in range(number)], is_cut=is_cut
    )
    answers.add([])
    assert answers.hides_errors is expected
