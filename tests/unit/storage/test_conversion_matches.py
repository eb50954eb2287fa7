"""By what destinations can recognise the person behind a conversion."""

from __future__ import annotations

import pytest

from tests.support.attribution import DAY, NOON, Admitted, Events
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED as DENIED
from tributary.event.v1.consent_pb2 import CONSENT_STATE_GRANTED as GRANTED
from tributary_domain.traces import DEVICE, EMAIL, PHONE, Trace, browser_slot, click_slot, keys_slot
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.conversion_matches import match_of, most_restrictive, remembered
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.redis.click_ids import hash_of_click

EVENTS = Events("shop")


def an_order(*, at: int = NOON, rank: int = 1) -> Admitted:
    return EVENTS.order("visitor:a", at=at, rank=rank)


def parts(*admitted: Admitted) -> list[ConversionPart]:
    return [ConversionPart(NOON, event) for _, event in admitted]


def test_browser_ids_are_united_and_the_newest_wins() -> None:
    first, second = an_order(), an_order(at=NOON + 1)
    first[1].event.browser_ids.fbp, first[1].event.browser_ids.ttp = "older", "only"
    second[1].event.browser_ids.fbp = "newer"
    assert dict(match_of(parts(first, second)).browser_ids) == {"fbp": "newer", "ttp": "only"}


def test_the_better_observer_names_the_pixel_event() -> None:
    browser, backend = an_order(rank=1), an_order(at=NOON + 1, rank=2)
    browser[1].event.conversion.pixel_event_id = "browser's"
    browser[1].event.conversion.pixel_event_ids["meta"] = "for meta"
    assert match_of(parts(browser, backend)).pixel_event_id == "browser's"
    backend[1].event.conversion.pixel_event_id = "backend's"
    match = match_of(parts(browser, backend))
    assert (match.pixel_event_id, dict(match.pixel_event_ids)) == ("backend's", {"meta": "for meta"})


@pytest.mark.parametrize("empty", ["", "undefined"])
def test_a_better_observer_s_pixel_event_that_names_nothing_is_none(empty: str) -> None:
    browser, backend = an_order(rank=1), an_order(at=NOON + 1, rank=2)
    for order, said in ((browser, "p-1"), (backend, empty)):
        order[1].event.conversion.pixel_event_id = said
        order[1].event.conversion.pixel_event_ids.update({"meta": said, "tiktok": empty})
    match = match_of(parts(browser, backend))
    assert (match.pixel_event_id, dict(match.pixel_event_ids)) == ("p-1", {"meta": "p-1"})


def test_hints_are_no_click_ids() -> None:
    order = an_order()
    order[1].event.click_ids.gclid, order[1].event.click_ids.gad_source = "g", "1"
    assert [click.family for click in match_of(parts(order)).click_ids] == ["gclid"]


def test_what_the_person_left_is_sent_beside_the_own_and_is_read_back_as_it_was() -> None:
    order = an_order()
    order[1].event.click_ids.gclid, order[1].event.browser_ids.fbp = "own", "own"
    left = {
        click_slot("gclid"): Trace(NOON - DAY, 1, 1, 0, b"the person's"),
        click_slot("wbraid"): Trace(NOON - DAY, 1, hash_of_click("wbraid", "w"), 0, b"w"),
        browser_slot("fbp"): Trace(NOON - DAY, 1, 1, 0, b"the person's"),
        browser_slot("ttp"): Trace(NOON - DAY, 1, 1, 0, b"t"),
        DEVICE: Trace(NOON - 1, 2, 1, 0, b"phone"),
        keys_slot(EMAIL | PHONE): Trace(NOON - 2, 3, 1, 0, b"both"),
        keys_slot(EMAIL): Trace(NOON - 3, 4, 1, 0, b"older"),
    }
    match = match_of(parts(order), left)
    assert [(one.family, one.value, one.own) for one in match.click_ids] == [
        ("gclid", "own", True),
        ("wbraid", "w", False),
    ]
    assert dict(match.browser_ids) == {"fbp": "own", "ttp": "t"}
    assert [(one.sealed, one.has_email, one.has_phone) for one in match.person_keys] == [(b"both", True, True)]
    assert {(slot, trace.time_micros, trace.value) for slot, trace in remembered(match)} == {
        (slot, left[slot].time_micros, left[slot].value)
        for slot in (click_slot("wbraid"), browser_slot("ttp"), DEVICE, keys_slot(EMAIL | PHONE))
    }


def test_an_own_click_that_its_destination_no_longer_takes_stands_in_nobodys_way() -> None:
    order = an_order()
    order[1].event.click_ids.gclid = "own"
    order[1].event.click_ids.click_time.CopyFrom(timestamp(NOON - 91 * DAY))
    left = {click_slot("gclid"): Trace(NOON - DAY, 1, 1, 0, b"newer")}
    assert [click.value for click in match_of(parts(order), left).click_ids] == ["newer"]


def test_sealed_keys_are_kept_of_each_observer_once() -> None:
    first, second = an_order(), an_order(at=NOON + 1)
    first[1].sealed_match_keys = second[1].sealed_match_keys = b"sealed"
    assert list(match_of(parts(first, second)).sealed_match_keys) == [b"sealed"]


def test_one_denial_denies_and_silence_grants_nothing() -> None:
    first, second, third = an_order(), an_order(), an_order()
    first[1].event.consent.ad_user_data = GRANTED
    first[1].event.consent.region = "DE"
    second[1].event.consent.ad_user_data = DENIED
    second[1].event.consent.ad_storage = GRANTED
    said = most_restrictive(event.event for _, event in (first, second, third))
    assert said is not None
    assert (said.ad_user_data, said.ad_storage, said.ad_personalization) == (DENIED, GRANTED, 0)
    assert said.region == "DE"
    assert most_restrictive([third[1].event]) is None


GRANTING = "CQdZmkAQdZmkAAKACBENCWFgALIAAAAAABpYF5wAQF5gAAAA.IF5wAQF5gAAA.YAAAAAAAAAAA"
DENYING = "CQdZmkAQdZmkAAKACBENCWFgAAAAAAAAAAqIAAAAAAAA.IAAA.YAAAAAAAAAAA"
OPTED_OUT, OPTED_IN = "DBABLA~CFAVAAAAAACA.YA", "DBABLA~BVQqAAAAAgA.QA"


def test_of_several_consent_strings_the_strictest_holds_whatever_their_order() -> None:
    for strings in ((GRANTING, DENYING), (DENYING, GRANTING), (DENYING, ""), ("undefined", DENYING)):
        for opts in ((OPTED_OUT, OPTED_IN), (OPTED_IN, OPTED_OUT)):
            orders = [an_order(), an_order(at=NOON + 1)]
            for order, tcf, gpp in zip(orders, strings, opts, strict=True):
                order[1].event.consent.tcf_string, order[1].event.consent.gpp_string = tcf, gpp
            said = most_restrictive(order[1].event for order in orders)
            assert said is not None
            assert (said.tcf_string, said.gpp_string) == (DENYING, OPTED_OUT)


def test_a_vendor_whom_any_observation_drops_is_dropped() -> None:
    first, second = an_order(), an_order(at=NOON + 1)
    first[1].denied_vendors.extend([755])
    second[1].denied_vendors.extend([4, 755])
    second[1].allowed_vendors.extend([9])
    for orders in ((first, second), (second, first)):
        assert list(match_of(parts(*orders)).denied_vendors) == [4, 755]
