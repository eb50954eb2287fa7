import hashlib
from decimal import Decimal, localcontext

import pytest

from tributary_domain.settings import DAY, HOUR
from tributary_domain.time_decay import HIGH, LOW, ONE, decay_weights

WEEK = 7 * DAY


def test_a_whole_number_of_half_lives_halves_exactly() -> None:
    found = [decay_weights([0, halvings * WEEK], WEEK) for halvings in range(64)]
    assert found == [[ONE >> halvings, ONE] for halvings in range(64)]


@pytest.mark.parametrize("age", [1, 17 * HOUR, 3 * DAY + 1, 29 * DAY + 12345, 200 * DAY])
@pytest.mark.parametrize("half_life", [HOUR, DAY, WEEK])
def test_a_weight_is_right_to_2_in_a_hundred_million(age: int, half_life: int) -> None:
    with localcontext() as context:
        context.prec = 60
        exact = ONE * Decimal(2) ** (-Decimal(age) / half_life)
        weight = Decimal(decay_weights([0, age], half_life)[0])
    assert abs(weight - exact) <= exact * Decimal("2.1e-8") + 1


def test_a_touch_of_ten_years_ago_has_no_weight_and_does_no_harm() -> None:
    assert decay_weights([0, 3650 * DAY], HOUR) == [0, ONE]


def test_older_is_never_heavier() -> None:
    times = [day * DAY // 7 for day in range(300)]
    weights = decay_weights(times, WEEK)
    assert weights == sorted(weights)


def test_shares_do_not_depend_on_when_the_conversion_was() -> None:
    assert decay_weights([0, DAY, 3 * DAY], WEEK) == decay_weights([DAY, 2 * DAY, 4 * DAY], WEEK)


def test_the_tables_are_those_that_stored_credit_was_computed_with() -> None:
    assert (HIGH[0], LOW[0]) == (ONE, ONE)
    assert (HIGH[2048], LOW[1]) == (3260954456333195553, 4611685827896545643)
    content = ",".join(map(str, HIGH + LOW)).encode()
    assert hashlib.sha256(content).hexdigest() == "bf4999a754758fa2787630315b956a1e10168046ab8e785afddd5f57e1ac875d"


def test_every_value_on_the_way_fits_into_128_bits() -> None:
    assert max(HIGH) * max(LOW) < 2**128
    assert (3650 * DAY << 25) + WEEK < 2**128
