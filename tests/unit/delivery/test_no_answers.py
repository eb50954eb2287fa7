"""What has the status of success and shows all the same that a destination does not work, and what does not show it."""

from __future__ import annotations

from typing import Any

import pytest

from tributary_delivery.destinations import (
    google_ads_answer,
    google_answer,
    hubspot_answer,
    linkedin_answer,
    meta_answer,
    microsoft_answer,
    pinterest_answer,
    reddit_answer,
    salesforce_answer,
    snap_answer,
    tiktok_answer,
)
from tributary_delivery.destinations.adapter import Answer
from tributary_delivery.destinations.destination import RETRY

READERS = {
    "google": google_answer.classify,
    "google_ads": google_ads_answer.classify,
    "hubspot": hubspot_answer.classify,
    "linkedin": linkedin_answer.classify,
    "meta": meta_answer.classify,
    "microsoft": microsoft_answer.classify,
    "pinterest": pinterest_answer.classify,
    "reddit": reddit_answer.classify,
    "salesforce": salesforce_answer.classify,
    "snap": snap_answer.classify,
    "tiktok": tiktok_answer.classify,
}


def an_answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, {}, body, "<html>", 0)


@pytest.mark.parametrize("events", [1, 2])
@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("kind", READERS)
def test_a_page_instead_of_an_answer_shows_no_api_that_works(kind: str, status: int, events: int) -> None:
    told = READERS[kind](an_answer(None, status), events).of(0)
    assert (told.outcome, told.is_answer) == (RETRY, False)


@pytest.mark.parametrize(
    ("kind", "body", "is_answer"),
    [
        pytest.param("tiktok", {"code": 50_000}, False, id="all fails at TikTok"),
        pytest.param("tiktok", {"code": 51_010}, False, id="likewise"),
        pytest.param("tiktok", {"code": 77}, True, id="a code of tomorrow"),
        pytest.param("hubspot", {"status": "COMPLETE"}, False, id="no objects"),
        pytest.param("meta", {"events_received": 1}, True, id="not all received"),
        pytest.param("pinterest", {"num_events_processed": 1}, True, id="not all processed"),
        pytest.param("salesforce", [{"success": True}], True, id="not a result for each"),
        pytest.param("linkedin", {"elements": [{"status": 500}, {"status": 201}]}, True, id="one for later"),
        pytest.param("google_ads", {"results": [{}, {"gclid": "G"}]}, True, id="neither result nor error"),
    ],
)
def test_what_is_to_come_again_is_told_from_an_api_that_does_not_work(kind: str, body: Any, is_answer: bool) -> None:
    told = READERS[kind](an_answer(body), 2).of(0)
    assert (told.outcome, told.is_answer) == (RETRY, is_answer)
