"""Spend keeps the words that the ad of an event keeps, and loses those that it loses."""

from __future__ import annotations

import pytest

from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.spend_pb2 import ReportedConversions, SpendRow, SpendSlice
from tributary_domain import texts
from tributary_ingestion.redaction import telling_texts
from tributary_ingestion.spend_words import settle_words

TEXTS = (
    *("Sale 1.2.3.4", "v1.2.3.4", "spring-sale", "Shop/Sale (black; friday)", "mobileapp::2-com.shop"),
    *("Search::Brand::2025::01", "Brand|2025::1"),
    *("203.0.113.7", "2001:db8::7", "u:203.0.113.7", "okhttp/4.9.3", "YW5uQGV4YW1wbGUuY29t", "00491712345678"),
)
OF_AN_EVENT = {"campaign_name": "touchpoint.ad", "source": "touchpoint.utm", "medium": "touchpoint.utm"}


def is_cut_of_an_event(name: str, text: str) -> bool:
    event = Event()
    message = event.touchpoint.ad if OF_AN_EVENT[name].endswith("ad") else event.touchpoint.utm
    setattr(message, name, text)
    return bool(telling_texts(texts.read_texts(event, "touchpoint")))


@pytest.mark.parametrize("name", OF_AN_EVENT)
def test_a_word_is_cut_where_that_of_an_event_is(name: str) -> None:
    for text in TEXTS:
        spend = SpendSlice(rows=[SpendRow(campaign_id="c-1"), SpendRow(**{name: text})])
        reasons = settle_words(spend)
        assert (not getattr(spend.rows[1], name)) is is_cut_of_an_event(name, text), text
        told = [] if getattr(spend.rows[1], name) else [("PERSONAL_DATA_REDACTED", f"rows[1].{name}")]
        assert [(reason.code.value, reason.field) for reason in reasons] == told


def test_a_dash_stands_for_what_a_destination_calls_its_conversions_by_somebodys_address() -> None:
    said = ReportedConversions(name="203.0.113.7", basis="7d_click_1d_view")
    spend = SpendSlice(rows=[SpendRow(reported_conversions=[said])])
    assert [reason.field for reason in settle_words(spend)] == ["rows[0].reported_conversions[0].name"]
    (kept,) = spend.rows[0].reported_conversions
    assert (kept.name, kept.basis) == ("-", "7d_click_1d_view")
