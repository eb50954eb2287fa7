import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_domain.value_bases import (
    NO_PARTS,
    AdjustedValue,
    CreditedValue,
    ValueBasis,
    ValueParts,
    credited_value,
    refunded_so_far,
)

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
            -5,
            ValueParts(tax_micros=1),
            "net_of_tax",
            CreditedValue(-5, (), is_contradictory=True),
            id="tax of a value below zero",
        ),
        pytest.param(-5, ValueParts(tax_micros=0), "net_of_tax", CreditedValue(-5), id="below zero without tax"),
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


TAXED = ValueParts(tax_micros=19)


def net_of_tax(stated: int | None = 119, parts: ValueParts = TAXED) -> AdjustedValue:
    return AdjustedValue(ValueBasis.NET_OF_TAX, stated, parts)


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        pytest.param([(24, ValueParts(tax_micros=4))], 80, id="its own parts"),
        pytest.param([(60, NO_PARTS)], 50, id="in proportion"),
        pytest.param([(60, NO_PARTS), (59, NO_PARTS)], 0, id="all of it in two"),
        pytest.param([(19, TAXED)], 100, id="the tax alone"),
        pytest.param([(60, ValueParts(tax_micros=30)), (59, NO_PARTS)], 0, id="nothing is left of what was sent"),
        pytest.param([(None, NO_PARTS)], 0, id="all that is left"),
        pytest.param([(200, NO_PARTS)], 0, id="more than there was"),
    ],
)
def test_a_refund_takes_off_the_same_part_of_what_it_says(
    taken: list[tuple[int | None, ValueParts]], expected: int
) -> None:
    value = net_of_tax()
    for amount, parts in taken:
        value.take(amount, parts)
    assert value.credited_micros == expected


def test_what_is_given_back_whole_is_worth_what_it_was_however_it_was_said() -> None:
    value = net_of_tax()
    value.take(60, ValueParts(tax_micros=1))
    value.give_back(60, NO_PARTS)
    assert value.credited_micros == 100
    value.take(None, NO_PARTS)
    value.give_back(None, NO_PARTS)
    assert value.credited_micros == 100


def test_what_is_credited_as_sent_is_refunded_as_sent() -> None:
    value = net_of_tax(parts=NO_PARTS)
    value.take(60, ValueParts(tax_micros=10))
    assert (value.credited_micros, value.left_micros, value.stated.missing) == (59, 59, ("tax_micros",))


def test_a_margin_may_be_negative_and_nothing_else() -> None:
    value = AdjustedValue(
        ValueBasis.MARGIN, 116, ValueParts(tax_micros=19, shipping_micros=5, cost_of_goods_micros=100)
    )
    assert value.credited_micros == -8
    value.take(58, NO_PARTS)
    assert value.credited_micros == -4
    value.take(58, NO_PARTS)
    assert value.credited_micros == 0
    net = net_of_tax()
    net.take(110, ValueParts(tax_micros=0))
    assert net.credited_micros == 0
