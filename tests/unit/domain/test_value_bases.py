import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_domain.value_bases import CreditedValue, ValueBasis, ValueParts, credited_value, refunded_so_far

ALL = ValueParts(
    goods_micros=100,
    discount_micros=10,
    tax_micros=19,
    shipping_micros=5,
    fees_micros=2,
    gift_card_micros=30,
    cost_of_goods_micros=60,
)


@pytest.mark.parametrize(
    ("basis", "expected"),
    [("as_sent", 116), ("net_of_tax", 97), ("net_of_tax_and_shipping", 92), ("margin", 32)],
)
def test_each_basis_takes_off_what_its_name_says(basis: str, expected: int) -> None:
    assert credited_value(116, ALL, ValueBasis(basis)) == CreditedValue(expected)


@pytest.mark.parametrize(
    ("stated", "parts", "basis", "expected"),
    [
        pytest.param(None, ALL, "margin", CreditedValue(None), id="no value"),
        pytest.param(0, ValueParts(tax_micros=0), "net_of_tax", CreditedValue(0), id="nothing is not unknown"),
        pytest.param(9, ValueParts(), "as_sent", CreditedValue(9), id="no part is needed"),
        pytest.param(9, ValueParts(), "net_of_tax", CreditedValue(9, ("tax_micros",)), id="a part that was not sent"),
        pytest.param(
            9,
            ValueParts(tax_micros=1),
            "margin",
            CreditedValue(9, ("shipping_micros", "cost_of_goods_micros")),
            id="no half basis",
        ),
        pytest.param(
            9,
            ValueParts(tax_micros=10),
            "net_of_tax",
            CreditedValue(0, (), is_contradictory=True),
            id="tax above value",
        ),
        pytest.param(
            9,
            ValueParts(tax_micros=1, shipping_micros=0, cost_of_goods_micros=20),
            "margin",
            CreditedValue(-12),
            id="sold below its cost",
        ),
    ],
)
def test_nothing_is_guessed(stated: int | None, parts: ValueParts, basis: str, expected: CreditedValue) -> None:
    assert credited_value(stated, parts, ValueBasis(basis)) == expected


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=6), st.integers(-(10**12), 10**12))
def test_partial_refunds_of_everything_take_off_everything_to_the_micro(refunds: list[int], credited: int) -> None:
    stated = sum(refunds)
    so_far, taken, before = 0, 0, 0
    for refund in refunds:
        so_far += refund
        after = refunded_so_far(so_far, stated, credited)
        taken, before = taken + after - before, after
    assert taken == (credited if stated else 0)


def test_a_refund_of_what_was_free_is_what_it_says() -> None:
    assert refunded_so_far(5, 0, 0) == 5
