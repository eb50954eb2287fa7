"""A page of a journey: the steps that were asked for, in the order of events, with ties told apart."""

from __future__ import annotations

from tributary.attribution.v1.attribution_service_pb2 import GetJourneyRequest
from tributary.attribution.v1.journey_pb2 import Journey
from tributary_attribution.servicer import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, MAX_TOKENS, page_of


def a_journey(steps: int) -> Journey:
    """Two steps each microsecond."""
    journey = Journey(identity_tokens=["visitor:a"])
    for number in range(steps):
        step = journey.steps.add(event_hash=number % 2)
        step.event_time.FromMicroseconds(number // 2)
    return journey


def after(number: int, page_size: int = 0) -> GetJourneyRequest:
    """Asks for what comes after a step."""
    request = GetJourneyRequest(page_size=page_size, after_hash=number % 2)
    request.after_time.FromMicroseconds(number // 2)
    return request


def test_without_a_place_the_page_begins_at_the_first_step() -> None:
    answer = page_of(a_journey(5), GetJourneyRequest(page_size=2))
    assert list(answer.journey.steps) == list(a_journey(2).steps)
    assert answer.has_more


def test_of_two_steps_at_one_time_the_second_is_not_lost() -> None:
    answer = page_of(a_journey(5), after(2, page_size=2))
    assert list(answer.journey.steps) == list(a_journey(5).steps)[3:]
    assert not answer.has_more


def test_a_page_has_a_usual_and_a_largest_size() -> None:
    assert len(page_of(a_journey(MAX_PAGE_SIZE + 1), GetJourneyRequest()).journey.steps) == DEFAULT_PAGE_SIZE
    large = page_of(a_journey(MAX_PAGE_SIZE + 1), GetJourneyRequest(page_size=MAX_PAGE_SIZE + 1))
    assert (len(large.journey.steps), large.has_more) == (MAX_PAGE_SIZE, True)


def test_identity_tokens_that_are_left_out_are_counted() -> None:
    journey = Journey(identity_tokens=[f"visitor:{number}" for number in range(MAX_TOKENS + 2)])
    answer = page_of(journey, GetJourneyRequest())
    assert len(answer.journey.identity_tokens) == MAX_TOKENS
    assert answer.journey.identity_tokens_omitted == 2
