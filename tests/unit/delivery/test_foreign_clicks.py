"""A click of another account is that conversion's misfortune; nothing but such clicks is ours."""

from __future__ import annotations

import pytest

from tributary_delivery.destinations.destination import CONFIG, OK, PERMANENT, RETRY, Outcome
from tributary_delivery.foreign_clicks import FOREIGN_IN_A_ROW, ForeignClicks

TAKEN, WRONG, LATER = Outcome(OK, 200), Outcome(PERMANENT, 200), Outcome(RETRY, 200)
FOREIGN = Outcome(PERMANENT, 200, "INVALID_CUSTOMER_FOR_CLICK", is_untaken=True, is_foreign=True)
MANY = FOREIGN_IN_A_ROW


@pytest.mark.parametrize(
    ("calls", "last"),
    [
        pytest.param([[FOREIGN]], [PERMANENT], id="one alone"),
        pytest.param([[FOREIGN] * (MANY - 1)], [PERMANENT] * (MANY - 1), id="one less than many"),
        pytest.param([[FOREIGN] * MANY], [CONFIG] * MANY, id="many in one request"),
        pytest.param([[FOREIGN]] * MANY, [CONFIG], id="many one by one"),
        pytest.param([[FOREIGN] * MANY, [TAKEN, FOREIGN]], [OK, PERMANENT], id="one was taken beside it"),
        pytest.param([[FOREIGN] * (MANY - 1), [TAKEN], [FOREIGN]], [PERMANENT], id="one was taken between"),
        pytest.param([[FOREIGN] * (MANY - 1), [WRONG, LATER], [FOREIGN]], [CONFIG], id="others were refused between"),
        pytest.param([[FOREIGN] * MANY, [WRONG, FOREIGN]], [PERMANENT, CONFIG], id="of others it says nothing"),
    ],
)
def test_many_in_a_row_are_the_accounts_fault(calls: list[list[Outcome]], last: list[int]) -> None:
    foreign = ForeignClicks()
    judged = [foreign.judge(one) for one in calls]
    assert [one.outcome for one in judged[-1]] == last


def test_what_waits_for_the_account_was_not_taken_and_says_what_to_look_at() -> None:
    [*_, one] = ForeignClicks().judge([FOREIGN] * MANY)
    assert (one.is_untaken, one.retry_after_seconds > 0) == (True, True)
    assert one.message == (
        f"Is it the account that these clicks belong to? {MANY} in a row do not. INVALID_CUSTOMER_FOR_CLICK"
    )
