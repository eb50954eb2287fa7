"""What may leave is the strictest of states, consent strings, the browser's wish and later decisions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.batches import BATCHES, a_batch_destination
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED, CONSENT_STATE_GRANTED
from tributary_delivery.candidates import consent_basis
from tributary_delivery.destinations.adapter import Permits
from tributary_delivery.permissions import permits_of, strictest, why_not
from tributary_delivery.withheld import without
from tributary_domain.consent import DENIED, GRANTED, PURPOSES, UNSAID, Assumed, Decision, Purpose, packed
from tributary_domain.vendor_consent import VendorDecision
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.redis.consents import Ledger

NOBODY = "CQdZmkAQdZmkAAKACBENCWFgAAAAAAAAAAqIAAAAAAAA.IAAA.YAAAAAAAAAAA"
GOOGLE = "CQdZmkAQdZmkAAKACBENCWFgALIAAAAAABpYF5wAQF5gAAAA.IF5wAQF5gAAA.YAAAAAAAAAAA"
OPTED_OUT = "DBABLA~CFAVAAAAAACA.YA"
CONVERTED = 1_767_323_045_000_000


def permitted(*decisions: Decision, assumed: Assumed | None = None, **said: Any) -> Permits:
    return permits_of(a_conversion(**said), Ledger(list(decisions), []), assumed or Assumed())


def a_conversion(decided: int = 0, **said: Any) -> ConversionRevised:
    revised = ConversionRevised()
    revised.state.conversion_time.FromMicroseconds(CONVERTED)
    for name, value in said.items():
        setattr(revised.match.consent, name, value)
    if decided:
        revised.match.consent.consent_time.FromMicroseconds(decided)
    return revised


@pytest.mark.parametrize("purpose", [Purpose.AD_STORAGE, Purpose.ANALYTICS_STORAGE])
def test_what_a_browser_may_keep_is_no_question_of_what_may_leave(purpose: Purpose) -> None:
    denial = Decision(CONVERTED + 1, packed([DENIED if one is purpose else UNSAID for one in PURPOSES]))
    assert permitted(denial, ad_user_data=CONSENT_STATE_GRANTED) == Permits(GRANTED, UNSAID)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param({}, Permits(UNSAID, UNSAID), id="nothing"),
        pytest.param({"tcf_string": GOOGLE}, Permits(GRANTED, GRANTED), id="a string that grants"),
        pytest.param({"tcf_string": NOBODY}, Permits(DENIED, DENIED), id="a string that denies"),
        pytest.param(
            {"tcf_string": NOBODY, "ad_user_data": CONSENT_STATE_GRANTED},
            Permits(DENIED, DENIED),
            id="a string is stricter",
        ),
        pytest.param(
            {"tcf_string": GOOGLE, "ad_user_data": CONSENT_STATE_DENIED},
            Permits(DENIED, GRANTED),
            id="a state is stricter",
        ),
        pytest.param({"gpp_string": OPTED_OUT}, Permits(UNSAID, UNSAID, is_opted_out=True), id="an opt-out"),
        pytest.param({"gpc": True}, Permits(UNSAID, UNSAID, is_opted_out=True), id="the browser's wish"),
        pytest.param(
            {"sale_or_sharing": CONSENT_STATE_DENIED}, Permits(UNSAID, UNSAID, is_opted_out=True), id="a state of sale"
        ),
    ],
)
def test_the_strictest_that_was_said_holds(said: dict[str, Any], expected: Permits) -> None:
    assert permitted(**said) == expected


def test_a_later_denial_holds_back_what_a_string_granted() -> None:
    denied = Decision(CONVERTED + 1, packed([UNSAID, UNSAID, DENIED, UNSAID, UNSAID]))
    assert permitted(denied, tcf_string=GOOGLE).ad_user_data == DENIED


@pytest.mark.parametrize(
    ("decided", "said", "why", "basis"),
    [
        pytest.param(0, {"ad_user_data": CONSENT_STATE_DENIED}, "in words", "denied", id="in words"),
        pytest.param(0, {"tcf_string": NOBODY}, "in its consent string", "denied", id="in a string"),
        pytest.param(DENIED, {"tcf_string": GOOGLE}, "before or since", "denied", id="since"),
        pytest.param(0, {}, "needs_consent_grant", "not_asked", id="nothing was said"),
    ],
)
def test_why_a_conversion_may_not_leave_is_said(decided: int, said: dict[str, Any], why: str, basis: str) -> None:
    decision = Decision(CONVERTED + 1, packed([UNSAID, UNSAID, decided, UNSAID, UNSAID]))
    revised, permits = ConversionRevised(), permitted(decision, **said)
    for name, value in said.items():
        setattr(revised.match.consent, name, value)
    assert why in why_not(revised, permits)
    assert consent_basis(revised, permits) == basis


def test_what_a_string_granted_is_what_a_conversion_is_sent_on() -> None:
    revised = ConversionRevised()
    revised.match.consent.tcf_string = GOOGLE
    assert consent_basis(revised) == "granted"


def test_what_is_assumed_of_a_region_never_overrules_a_string() -> None:
    assumed = Assumed({"US": ["ad_user_data"]}, "US")
    assert permitted(assumed=assumed).ad_user_data == GRANTED
    assert permitted(assumed=assumed, tcf_string=NOBODY).ad_user_data == DENIED


@pytest.mark.parametrize(
    ("string", "vendor", "is_told"),
    [
        pytest.param(GOOGLE, 755, True, id="named"),
        pytest.param(NOBODY, 755, False, id="not named"),
        pytest.param(GOOGLE, 65_000, False, id="another is named"),
        pytest.param(NOBODY, None, True, id="none that could be named"),
        pytest.param("", 755, True, id="no string"),
    ],
)
def test_a_vendor_is_told_nothing_where_a_string_names_vendors_and_not_it(
    string: str, vendor: int | None, *, is_told: bool
) -> None:
    permits = permits_of(a_conversion(tcf_string=string), Ledger([], []), Assumed(), vendor)
    assert permits.is_vendor_denied is not is_told


YES, NO, BEFORE, LATER = GRANTED, DENIED, CONVERTED - 9, CONVERTED + 9


@pytest.mark.parametrize(
    ("string", "decided", "said", "is_told"),
    [
        pytest.param(GOOGLE, 0, [(LATER, 755, NO)], False, id="a later string drops it"),
        pytest.param(GOOGLE, 0, [(LATER, 4, NO)], True, id="a later string drops another"),
        pytest.param(GOOGLE, 0, [(CONVERTED, 755, NO)], False, id="at that very moment"),
        pytest.param(GOOGLE, 0, [(LATER, 755, NO), (LATER + 1, 755, YES)], False, id="for good"),
        pytest.param(GOOGLE, 0, [(LATER, 755, YES), (LATER, 755, NO)], False, id="a denial at the same time wins"),
        pytest.param(GOOGLE, 0, [(BEFORE, 755, NO)], True, id="its own word of that moment"),
        pytest.param(GOOGLE, BEFORE - 1, [(BEFORE, 755, NO)], False, id="a grant that was stale"),
        pytest.param(GOOGLE, BEFORE, [(BEFORE - 1, 755, NO), (BEFORE, 755, YES)], True, id="a grant that was newer"),
        pytest.param("", 0, [(BEFORE, 755, NO)], False, id="no string of its own, and dropped before"),
        pytest.param("", 0, [(BEFORE - 1, 755, NO), (BEFORE, 755, YES)], True, id="and named again"),
        pytest.param(NOBODY, 0, [(LATER, 755, YES)], False, id="a later string upgrades nothing"),
    ],
)
def test_what_later_strings_say_of_a_vendor_holds_as_what_they_say_of_purposes(
    string: str, decided: int, said: list[tuple[int, int, int]], *, is_told: bool
) -> None:
    ledger = Ledger([], [VendorDecision(*one) for one in said])
    revised = a_conversion(decided, tcf_string=string)
    permits = permits_of(revised, ledger, Assumed(), 755)
    assert permits.is_vendor_denied is not is_told
    assert not permits_of(revised, ledger, Assumed(), None).is_vendor_denied
    if not is_told and string == GOOGLE:
        assert (consent_basis(revised, permits), permits.ad_user_data) == ("denied", GRANTED)
        assert "tcf_vendor" in why_not(revised, permits)


@pytest.mark.parametrize(
    ("said", "vendor", "is_told"),
    [
        pytest.param([], 755, True, id="nobody said anything"),
        pytest.param([(BEFORE, 755, NO), (CONVERTED, 755, YES)], 755, False, id="with it, and named again"),
        pytest.param([(BEFORE - 1, 755, NO), (CONVERTED, 755, YES)], 755, False, id="before it, and named again"),
        pytest.param([(BEFORE + 1, 755, NO), (CONVERTED, 755, YES)], 755, False, id="after it, and named again"),
        pytest.param([(BEFORE - 2, 755, NO), (BEFORE - 1, 755, YES)], 755, True, id="named again before it"),
        pytest.param([(BEFORE, 4, NO)], 755, True, id="another was dropped"),
        pytest.param([(BEFORE, 755, NO)], None, True, id="the destination has no number"),
    ],
)
def test_what_was_left_while_a_string_dropped_a_vendor_is_not_told_to_it_with_a_later_conversion(
    said: list[tuple[int, int, int]], vendor: int | None, *, is_told: bool
) -> None:
    revised = a_conversion(CONVERTED, tcf_string=GOOGLE)
    match, left = revised.match, timestamp(BEFORE)
    match.click_ids.add(family="gclid", value="a-click", click_time=left)
    match.click_ids.add(family="wbraid", value="its own", click_time=left, own=True)
    match.browser_ids.update({"fbp": "a browser", "ttp": "its own"})
    match.browser_id_times["fbp"].CopyFrom(left)
    match.sealed_device_keys = b"a device"
    match.device_time.CopyFrom(left)
    match.person_keys.add(sealed=b"an address", event_time=left)
    permits = permits_of(revised, Ledger([], [VendorDecision(*one) for one in said]), Assumed(), vendor)
    told = without(revised, permits.withheld_until_micros).match
    assert not permits.is_vendor_denied
    assert [one.family for one in told.click_ids] == ["gclid"] * is_told + ["wbraid"]
    assert dict(told.browser_ids) == {"ttp": "its own", **({"fbp": "a browser"} if is_told else {})}
    assert (bool(told.sealed_device_keys), bool(told.person_keys)) == (is_told, is_told)
    assert len(revised.match.person_keys) == 1, "what is published stays"


def test_what_was_left_after_it_named_a_vendor_again_is_told_whatever_another_conversion_lacks() -> None:
    """One conversion's keys are not another's because both come first in their messages."""
    revised, before = a_conversion(CONVERTED, tcf_string=GOOGLE), a_conversion(CONVERTED, tcf_string=GOOGLE)
    before.match.person_keys.add(sealed=b"left before", event_time=timestamp(BEFORE - 3))
    revised.match.person_keys.add(sealed=b"left since", event_time=timestamp(BEFORE))
    ledger = Ledger([], [VendorDecision(BEFORE - 2, 755, NO), VendorDecision(BEFORE - 1, 755, YES)])
    own, other = (permits_of(one, ledger, Assumed(), 755) for one in (revised, before))
    until_micros = strictest(own, other, is_same_person=True).withheld_until_micros
    assert [one.sealed for one in without(revised, until_micros).match.person_keys] == [b"left since"]
    assert not without(before, until_micros).match.person_keys


def test_a_vendor_whom_one_observation_of_an_order_drops_is_not_told_of_it() -> None:
    revised = a_conversion(tcf_string=GOOGLE)
    revised.match.denied_vendors.append(755)
    assert permits_of(revised, Ledger([], []), Assumed(), 755).is_vendor_denied


@pytest.mark.parametrize("kind", BATCHES)
def test_google_has_its_number_and_every_other_may_be_given_its_own(kind: str) -> None:
    assert a_batch_destination(kind).tcf_vendor == (755 if kind in {"google", "google_ads"} else None)
    assert a_batch_destination(kind, tcf_vendor=4).tcf_vendor == 4


@pytest.mark.parametrize(
    ("own", "other", "same", "two"),
    [
        pytest.param(GRANTED, GRANTED, GRANTED, GRANTED, id="both granted"),
        pytest.param(GRANTED, UNSAID, GRANTED, UNSAID, id="the other said nothing"),
        pytest.param(UNSAID, GRANTED, UNSAID, UNSAID, id="only the other granted"),
        pytest.param(GRANTED, DENIED, DENIED, DENIED, id="the other denied"),
        pytest.param(DENIED, GRANTED, DENIED, DENIED, id="only the other did not deny"),
    ],
)
def test_a_grant_of_one_person_is_not_anothers_and_a_denial_of_any_holds(
    own: int, other: int, same: int, two: int
) -> None:
    states = Permits(own, own), Permits(other, other)
    assert strictest(*states, is_same_person=True) == Permits(same, same)
    assert strictest(*states, is_same_person=False) == Permits(two, two)
    objecting = Permits(other, other, is_opted_out=True, is_vendor_denied=True)
    assert strictest(states[0], objecting, is_same_person=True) == Permits(
        same, same, is_opted_out=True, is_vendor_denied=True
    )
