from dataclasses import replace

from tributary_domain.attribution import attribute
from tributary_domain.inheritance import inherit
from tributary_domain.journey import JourneyTouch
from tributary_domain.settings import DAY, AttributionSettings
from tributary_domain.windows import CreditableConversion

SETTINGS = AttributionSettings()
JOURNEY = [JourneyTouch(DAY, 1, descriptor=1), JourneyTouch(2 * DAY, 2, descriptor=2), JourneyTouch(40 * DAY, 3)]
FIRST = CreditableConversion(event_time_micros=3 * DAY, amount_micros=100)


def test_an_heir_has_the_touches_and_weights_of_the_origin_and_its_own_value() -> None:
    paid = attribute(JOURNEY, FIRST, SETTINGS)
    heir, renewed = inherit(FIRST, paid, 31, JOURNEY, SETTINGS)
    assert heir == replace(FIRST, amount_micros=31)
    assert (renewed.touches, renewed.credits) == (paid.touches, paid.credits)
    assert all(sum(amounts) == 31 for amounts in renewed.amounts)


def test_credit_that_was_kept_of_a_forgotten_journey_is_inherited_as_it_was_kept() -> None:
    paid = attribute(JOURNEY, FIRST, SETTINGS)
    odd = replace(paid, credits=tuple((900_000, 100_000) for _ in paid.credits))
    _, renewed = inherit(FIRST, odd, 10, (), SETTINGS, settled=paid.touches)
    assert renewed.credits == odd.credits
    assert set(renewed.amounts) == {(9, 1)}


def test_what_nobody_earned_nobody_earns_of_the_heir() -> None:
    nobody = attribute((), FIRST, SETTINGS)
    _, renewed = inherit(FIRST, nobody, 10, (), SETTINGS)
    assert renewed.unattributed == nobody.unattributed
    assert set(renewed.unattributed_amounts) == {10}
