import pytest

from tributary_domain.money import Money, is_currency, minor_unit_micros


@pytest.mark.parametrize(
    ("code", "micros"), [("JPY", 1_000_000), ("EUR", 10_000), ("KWD", 1_000), ("CLF", 100), ("VND", 1_000_000)]
)
def test_the_smallest_coin_follows_iso_4217(code: str, micros: int) -> None:
    assert minor_unit_micros(code) == micros


@pytest.mark.parametrize("code", ["", "eur", "EURO", "XXX", "ABC"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    assert not is_currency(code)
    with pytest.raises(ValueError, match="ISO 4217"):
        Money(code, 1)
    with pytest.raises(ValueError, match="ISO 4217"):
        minor_unit_micros(code)


def test_amounts_of_one_currency_add_and_subtract() -> None:
    assert Money("EUR", 3) + Money("EUR", -5) == Money("EUR", -2)
    assert Money("EUR", 3) - Money("EUR", 5) == Money("EUR", -2)
    assert -Money("EUR", 3) == Money("EUR", -3)


def test_two_currencies_are_never_added() -> None:
    with pytest.raises(ValueError, match="convert one first"):
        Money("EUR", 1) + Money("USD", 1)
    with pytest.raises(ValueError, match="convert one first"):
        Money("EUR", 1) - Money("USD", 1)


@pytest.mark.parametrize(
    ("money", "coins"),
    [
        pytest.param(Money("EUR", 1_234_567), (123, 4_567), id="2 decimals"),
        pytest.param(Money("JPY", 1_234_567), (1, 234_567), id="0 decimals"),
        pytest.param(Money("KWD", 1_234_567), (1_234, 567), id="3 decimals"),
        pytest.param(Money("EUR", -1_234_567), (-123, -4_567), id="negative"),
    ],
)
def test_an_amount_is_coins_and_micros_left_over(money: Money, coins: tuple[int, int]) -> None:
    assert money.in_minor_units() == coins
