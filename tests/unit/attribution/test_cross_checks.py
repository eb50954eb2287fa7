"""What is advised of an order that is counted twice takes back nothing that was sold."""

from __future__ import annotations

import pytest

from tributary_attribution.cross_checks import split_finding
from tributary_storage.clickhouse.reconciliation_sources import SplitOrder
from tributary_storage.clickhouse.reconciliation_staging import Scope


@pytest.mark.parametrize(
    ("is_first", "advised", "never"),
    [
        pytest.param(True, "Retract neither", "if they are one purchase", id="they become one by themselves"),
        pytest.param(False, "if they are two, retract neither", "what is repaired is one", id="they may both be real"),
    ],
)
def test_a_plain_order_is_retracted_only_where_it_is_the_purchase_of_the_cycle(
    is_first: bool, advised: str, never: str
) -> None:
    one = SplitOrder("c1:a", "c1:b", "purchase", "", "o-1", "1", is_first, 10, "EUR", 20, "EUR")
    said = split_finding(Scope("r-1", "shop", 0, 1, 1), one, 0)
    assert advised in said.message
    assert never not in said.message
    assert (said.conversion_id, said.actual) == ("c1:a,c1:b", "o-1:1 10 micros EUR, o-1 20 micros EUR")
