"""A click of another account is that conversion's misfortune; nothing but such clicks is ours."""

from __future__ import annotations

import pytest

from tributary_delivery.destinations.destination import CONFIG, PERMANENT, Outcome
from tributary_delivery.foreign_clicks import FOREIGN_IN_A_ROW, understood

FOREIGN = Outcome(PERMANENT, 200, "INVALID_CUSTOMER_FOR_CLICK", is_untaken=True, is_foreign=True)


@pytest.mark.parametrize("in_a_row", [1, FOREIGN_IN_A_ROW - 1])
def test_fewer_than_many_are_given_up_as_they_were_refused(in_a_row: int) -> None:
    assert understood(FOREIGN, "123", in_a_row) == FOREIGN


@pytest.mark.parametrize(
    ("in_a_row", "said", "is_later"),
    [
        pytest.param(None, "It has taken nothing yet.", False, id="the first answer decides"),
        pytest.param(FOREIGN_IN_A_ROW, "20 in a row do not.", True, id="many"),
        pytest.param(FOREIGN_IN_A_ROW + 1, "21 in a row do not.", True, id="more"),
    ],
)
def test_what_waits_for_the_account_was_not_taken_and_says_what_to_look_at(
    in_a_row: int | None, said: str, is_later: bool
) -> None:
    one = understood(FOREIGN, "123", in_a_row)
    assert (one.outcome, one.is_untaken, one.retry_after_seconds > 0) == (CONFIG, True, is_later)
    assert one.message == f"Is 123 the account that these clicks belong to? {said} INVALID_CUSTOMER_FOR_CLICK"
