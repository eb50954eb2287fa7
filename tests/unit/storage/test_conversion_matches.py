"""By what destinations can recognise the person behind a conversion."""

from __future__ import annotations

from tests.support.attribution import DAY, NOON, Admitted, Events
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED as DENIED
from tributary.event.v1.consent_pb2 import CONSENT_STATE_GRANTED as GRANTED
from tributary_storage.codec.conversion_matches import JourneyClick, match_of, most_restrictive
from tributary_storage.codec.conversion_parts import ConversionPart

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


def test_hints_are_no_click_ids() -> None:
    order = an_order()
    order[1].event.click_ids.gclid, order[1].event.click_ids.gad_source = "g", "1"
    assert [click.family for click in match_of(parts(order)).click_ids] == ["gclid"]


def test_a_click_of_the_journey_is_sent_as_long_as_its_destination_takes_it() -> None:
    clicks = [
        JourneyClick(NOON - 90 * DAY, "gclid", "just in time"),
        JourneyClick(NOON - 90 * DAY - 1, "msclkid", "too old"),
        JourneyClick(NOON - 31 * DAY, "li_fat_id", "too old"),
        JourneyClick(NOON + 1, "ttclid", "after"),
    ]
    assert [click.value for click in match_of(parts(an_order()), clicks).click_ids] == ["just in time"]


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
