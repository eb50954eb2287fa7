from itertools import permutations

import pytest

from tributary_domain.renewals import Cycle, CycleKind, RenewalCredit, first_payment, inherits_from


def cycle(kind: CycleKind | int, time: int, amount: int = 10, *, is_good: bool = True) -> Cycle:
    return Cycle(
        conversion_id=f"c{time}",
        event_time_micros=time,
        event_hash=time,
        kind=kind,
        amount_micros=amount,
        is_good=is_good,
    )


TRIAL, FIRST, RENEWAL = cycle(CycleKind.TRIAL, 1, 0), cycle(CycleKind.FIRST, 2), cycle(CycleKind.RENEWAL, 3)


@pytest.mark.parametrize(
    ("cycles", "expected"),
    [
        pytest.param([TRIAL, FIRST, RENEWAL], "c2", id="the cycle marked first"),
        pytest.param([TRIAL, RENEWAL], None, id="only a trial and a renewal"),
        pytest.param([TRIAL, cycle(CycleKind.UPGRADE, 2), RENEWAL], "c2", id="an upgrade out of a trial"),
        pytest.param([cycle(CycleKind.UPGRADE, 2, 0), RENEWAL], None, id="an upgrade that was free"),
        pytest.param([cycle(CycleKind.FIRST, 2, is_good=False), RENEWAL], None, id="a first payment that never was"),
        pytest.param([cycle(CycleKind.FIRST, 5), RENEWAL], None, id="a first payment after the renewal"),
        pytest.param([FIRST, cycle(99, 3)], "c2", id="an unknown kind is a renewal"),
    ],
)
def test_a_renewal_inherits_from_the_first_payment(cycles: list[Cycle], expected: str | None) -> None:
    renewal = cycles[-1]
    for arrival in permutations(cycles):
        found = inherits_from(renewal, arrival, RenewalCredit.FIRST_PAYMENT)
        assert (found and found.conversion_id) == expected


@pytest.mark.parametrize("kind", [CycleKind.TRIAL, CycleKind.FIRST, CycleKind.UPGRADE, CycleKind.REACTIVATION])
def test_what_is_a_decision_of_the_buyer_goes_by_its_own_path(kind: CycleKind) -> None:
    assert inherits_from(cycle(kind, 3), [FIRST, cycle(kind, 3)], RenewalCredit.FIRST_PAYMENT) is None


def test_by_setting_a_renewal_goes_by_its_own_path() -> None:
    assert inherits_from(RENEWAL, [FIRST, RENEWAL], RenewalCredit.OWN_PATH) is None


def test_no_subscription_has_a_first_payment_without_cycles() -> None:
    assert first_payment([]) is None
