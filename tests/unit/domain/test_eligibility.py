"""Every conversion that is not sent has exactly one reason: the first of the funnel."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tributary_domain.eligibility import Candidate, Ineligible, Terms, why_ineligible

FINE = Candidate(
    is_mapped=True,
    is_unmapped_renewal=False,
    is_normal_traffic=True,
    is_test_traffic=False,
    counted=True,
    value_pending=False,
    consent_denied=False,
    has_pixel_id=True,
    in_scope=True,
)
STRICT = Terms(needs_pixel_id=True)
FAULTS = {
    Ineligible.NOT_MAPPED: {"is_mapped": False},
    Ineligible.RENEWAL: {"is_unmapped_renewal": True},
    Ineligible.NO_CONSENT: {"consent_denied": True},
    Ineligible.TRAFFIC: {"is_normal_traffic": False},
    Ineligible.NOT_COUNTED: {"counted": False},
    Ineligible.VALUE_PENDING: {"value_pending": True},
    Ineligible.NO_PIXEL_ID: {"has_pixel_id": False},
    Ineligible.OUT_OF_SCOPE: {"in_scope": False},
}
"""In the order of the funnel."""


def test_what_has_no_fault_is_sent() -> None:
    assert why_ineligible(FINE, STRICT, was_sent=False) is None


@pytest.mark.parametrize("count", range(1, len(FAULTS) + 1))
def test_of_several_faults_the_first_of_the_funnel_is_the_reason(count: int) -> None:
    order = list(FAULTS)
    for faults in itertools.combinations(order, count):
        candidate = FINE
        for fault in faults:
            candidate = replace(candidate, **FAULTS[fault])
        assert why_ineligible(candidate, STRICT, was_sent=False) is faults[0]


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_correction_is_held_back_only_without_mapping_or_consent(fault: Ineligible) -> None:
    reason = why_ineligible(replace(FINE, **FAULTS[fault]), STRICT, was_sent=True)
    holds_back = (Ineligible.NOT_MAPPED, Ineligible.RENEWAL, Ineligible.NO_CONSENT)
    assert reason is (fault if fault in holds_back else None)


def test_test_traffic_goes_where_it_is_wanted_though_it_never_counts() -> None:
    test = replace(FINE, is_normal_traffic=False, is_test_traffic=True, counted=False)
    wanted = Terms(takes_test_traffic=True, has_test_mode=True)
    assert why_ineligible(test, wanted, was_sent=False) is None
    assert why_ineligible(test, replace(wanted, has_test_mode=False), was_sent=False) is Ineligible.NO_TEST_MODE
    assert why_ineligible(test, Terms(has_test_mode=True), was_sent=False) is Ineligible.TRAFFIC


def test_internal_traffic_goes_nowhere_not_even_where_tests_are_wanted() -> None:
    internal = replace(FINE, is_normal_traffic=False, counted=False)
    assert why_ineligible(internal, Terms(takes_test_traffic=True), was_sent=False) is Ineligible.TRAFFIC


def test_a_tag_of_the_destinations_own_makes_the_shared_id_needed() -> None:
    assert why_ineligible(replace(FINE, has_pixel_id=False), Terms(), was_sent=False) is None
