"""Whether the names that observations tell are all by which their families are known."""

from __future__ import annotations

import pytest

from tributary_domain.families import order_name, subscription_name
from tributary_domain.ids import family_id
from tributary_domain.reconciled_families import are_all_named
from tributary_domain.reconciled_records import Related, StandIn

_LEAD, _OTHER = family_id("lead:l-1"), family_id("lead:l-2")
_ORDER, _SUBSCRIPTION = family_id(order_name("shop", "o-1")), family_id(subscription_name("shop", "s-1"))
_DAYS = (100, 200)


def _said(conversion_id: str = "c1:a", *, lead: str = "", root: str = "", order: str = "", paid: str = "") -> Related:
    return Related(conversion_id, "lead", "shop", order, lead, root, "", paid, 0, 2, 150, 1, False)


def _left(*families: str, conversion_id: str = "s1:x", time: int = 50) -> StandIn:
    return StandIn(conversion_id, 1, families, "new", 0, time, True)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        pytest.param([], True, id="nobody-was-erased"),
        pytest.param([_left(_OTHER)], True, id="of-others"),
        pytest.param([_left(_LEAD)], True, id="of-their-lead"),
        pytest.param([_left(_LEAD, _ORDER, _SUBSCRIPTION)], True, id="of-all-that-they-name"),
        pytest.param([_left(_LEAD, _OTHER)], False, id="relates-them-to-a-lead-that-none-of-them-names"),
        pytest.param([_left(_OTHER, time=100)], False, id="of-the-first-moment-of-the-days"),
        pytest.param([_left(_OTHER, time=200)], True, id="of-the-moment-after-them"),
        pytest.param([_left(_OTHER, conversion_id="c1:a")], False, id="is-one-of-them"),
    ],
)
def test_what_those_who_were_erased_related_to_them_is_asked_for(left: list[StandIn], expected: bool) -> None:
    said = [_said(lead="l-1"), _said("c1:b", root="o-1"), _said("c1:c", paid="s-1")]
    assert are_all_named(said, left, *_DAYS) is expected


def test_an_order_that_a_lead_began_with_is_named_by_its_own_number() -> None:
    assert are_all_named([_said(order="o-1")], [_left(_ORDER)], *_DAYS)
