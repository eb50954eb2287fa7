"""What becomes of a job after an attempt, and what the ledger says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.revisions import Revision
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_STATE_ACCEPTED,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_PENDING,
    OUTCOME_CLASS_UNKNOWN,
)
from tributary_delivery.attempt import Attempt, AttemptRules, after_split, settle
from tributary_delivery.destinations.destination import CONFIG, OK, PERMANENT, RETRY, SPLIT, THROTTLED, Outcome
from tributary_domain.backoff import Backoff
from tributary_storage.redis.delivery_job import UNKNOWN_VALUE, Job, KnownAs, Residual, Settlement, Taken

NOW = 2_000_000_000_000_000
HOUR = 3600.0


class Most:
    def uniform(self, a: float, b: float, /) -> float:
        return b


RULES = AttemptRules(Backoff(2.0, 3600.0), Most(), 72 * HOUR)


def an_attempt(*, tried_seconds: float = 0.0, number: int = 1, **own: object) -> Attempt:
    revised = Revision(workspace="shop").message()
    tried = (
        {"tried_revision": revised.revision, "try_micros": NOW - round(tried_seconds * 1e6)} if tried_seconds else {}
    )
    job = replace(Job("c1:one", 5, 0, number - 1, NOW, never_sent=True, taken=None), **tried)  # type: ignore[arg-type]
    given = {"operation": DELIVERY_OPERATION_CREATE, "revised": revised, "now_micros": NOW, **own}
    return Attempt(job, number=number, known_as=KnownAs("c1:one:crm"), **given)  # type: ignore[arg-type]


def test_a_success_remembers_what_was_taken() -> None:
    settled, line = settle(an_attempt(), Outcome(OK, 204), RULES)
    revision = Revision(workspace="shop").number
    assert (settled.what, settled.taken) == (
        Settlement.TAKEN,
        Taken(revision, 90_000_000, counted=True, currency="EUR"),
    )
    assert (line.state, line.revision, line.status_code) == (DELIVERY_STATE_ACCEPTED, revision, 204)
    assert not line.HasField("due_time")


def test_a_retraction_that_was_taken_is_remembered_as_not_counted() -> None:
    revised = Revision(workspace="shop", counted=False).message()
    settled, _ = settle(an_attempt(operation=DELIVERY_OPERATION_RETRACT, revised=revised), Outcome(OK), RULES)
    assert settled.taken is not None
    assert not settled.taken.counted


BEFORE = Taken(3, 100_000_000, counted=True, currency="EUR")


@pytest.mark.parametrize(
    ("own", "outcome", "left"),
    [
        pytest.param({}, Outcome(PERMANENT), Residual(10_000_000, "EUR"), id="refused"),
        pytest.param(
            {"operation": DELIVERY_OPERATION_RETRACT},
            Outcome(PERMANENT),
            Residual(100_000_000, "EUR", 1),
            id="a retraction",
        ),
        pytest.param(
            {"tried_seconds": 72 * HOUR}, Outcome(RETRY, is_untaken=True), Residual(10_000_000, "EUR"), id="never heard"
        ),
        pytest.param({"tried_seconds": 72 * HOUR}, Outcome(RETRY), None, id="it may have been heard"),
        pytest.param(
            {"doubt_micros": NOW - 1}, Outcome(PERMANENT), None, id="refused, after one that may have been heard"
        ),
    ],
)
def test_a_correction_that_is_given_up_leaves_what_the_destination_has_too_much(
    own: dict[str, Any], outcome: Outcome, left: Residual | None
) -> None:
    settled, line = settle(
        an_attempt(**{"operation": DELIVERY_OPERATION_RESTATE, "taken": BEFORE, **own}), outcome, RULES
    )
    assert (settled.what, line.state) == (Settlement.GIVEN_UP, DELIVERY_STATE_DEAD)
    assert line.HasField("residual") == (left is not None)
    assert settled.taken == (
        replace(BEFORE, value_micros=UNKNOWN_VALUE) if left is None else replace(BEFORE, residual=left)
    )
    assert settled.taken is not None
    for told in ("", "full", "credited:-30000000/90000000"):
        taken = replace(settled.taken, told=told)
        assert Taken.read(taken.written().encode()) == taken


def test_of_a_creation_with_newer_content_only_the_first_is_certain() -> None:
    settled, _ = settle(an_attempt(maybe_taken=7), Outcome(OK), RULES)
    assert settled.taken == Taken(7, UNKNOWN_VALUE, counted=True)
    assert settled.revision == 7, "what is newer stays to be done"


@pytest.mark.parametrize(
    ("outcome", "number", "delay"),
    [
        pytest.param(Outcome(RETRY), 1, 2.0, id="first retry"),
        pytest.param(Outcome(RETRY), 4, 16.0, id="fourth retry"),
        pytest.param(Outcome(RETRY), 60, HOUR, id="sixtieth retry"),
        pytest.param(Outcome(THROTTLED, retry_after_seconds=30.0), 1, 32.0, id="asked to wait"),
        pytest.param(Outcome(CONFIG), 2, 4.0, id="configuration: the destination is paused, not the job"),
    ],
)
def test_what_may_yet_succeed_is_tried_again(outcome: Outcome, number: int, delay: float) -> None:
    settled, line = settle(an_attempt(number=number), outcome, RULES)
    assert (settled.what, settled.delay_seconds) == (Settlement.AGAIN, delay)
    assert settled.is_mending == (outcome.outcome == CONFIG), "then it is due once somebody mends that"
    assert (line.state, line.attempts) == (DELIVERY_STATE_PENDING, number)
    assert line.due_time.ToMicroseconds() == NOW + round(delay * 1e6)


@pytest.mark.parametrize("outcome", [PERMANENT, OUTCOME_CLASS_UNKNOWN])
def test_what_cannot_succeed_is_given_up_at_once(outcome: int) -> None:
    settled, line = settle(an_attempt(), Outcome(outcome), RULES)  # type: ignore[arg-type]
    assert (settled.what, line.state) == (Settlement.GIVEN_UP, DELIVERY_STATE_DEAD)


@pytest.mark.parametrize(("newer", "outcome"), [(0, PERMANENT), (2**62, OUTCOME_CLASS_UNKNOWN)])
def test_what_may_have_been_taken_and_is_refused_for_good_is_in_doubt_where_something_newer_is_given_up_with_it(
    newer: int, outcome: int
) -> None:
    refused = Outcome(PERMANENT, message="No such name.", is_untaken=True)
    one = an_attempt(maybe_taken=7)
    one = replace(one, job=replace(one.job, revision=newer, newest_plan_micros=NOW - 1))
    settled, line = settle(one, refused, RULES)
    assert (settled.what, line.state, line.outcome) == (Settlement.GIVEN_UP, DELIVERY_STATE_DEAD, outcome)
    assert line.message == "No such name.", "why the last one was refused"


@pytest.mark.parametrize(("tried_seconds", "is_dead"), [(72 * HOUR - 3, False), (72 * HOUR - 1, True)])
def test_nothing_is_tried_past_the_horizon(tried_seconds: float, *, is_dead: bool) -> None:
    settled, _ = settle(an_attempt(tried_seconds=tried_seconds), Outcome(RETRY), RULES)
    assert (settled.what is Settlement.GIVEN_UP) == is_dead


@pytest.mark.parametrize(
    ("own", "is_untaken"),
    [
        pytest.param({}, True, id="the first attempt at a creation"),
        pytest.param({"maybe_taken": 7}, False, id="an earlier one may have been taken"),
        pytest.param({"operation": DELIVERY_OPERATION_RETRACT}, False, id="a change: its creation is another matter"),
    ],
)
@pytest.mark.parametrize("outcome", [THROTTLED, PERMANENT])
def test_only_a_creation_without_earlier_doubts_is_known_to_be_untaken(
    outcome: int, own: dict[str, int], *, is_untaken: bool
) -> None:
    refused = Outcome(outcome, is_untaken=True)  # type: ignore[arg-type]
    settled, _ = settle(an_attempt(**own), refused, RULES)
    assert settled.is_untaken is is_untaken
    doubtful, _ = settle(an_attempt(**own), Outcome(outcome), RULES)  # type: ignore[arg-type]
    assert not doubtful.is_untaken


@pytest.mark.parametrize("is_untaken", [False, True])
def test_what_a_request_in_part_taken_leaves_open_stays_open_when_a_part_of_it_is_refused(*, is_untaken: bool) -> None:
    part = after_split(an_attempt(), Outcome(SPLIT, 207, is_untaken=is_untaken))
    settled, _ = settle(part, Outcome(THROTTLED, 429, is_untaken=True), RULES)
    assert settled.is_untaken == is_untaken
    assert part.is_doubtful != is_untaken
    assert part.was_refused == is_untaken


def test_a_long_message_is_cut() -> None:
    _, line = settle(an_attempt(), Outcome(RETRY, message="x" * 5000), RULES)
    assert len(line.message) == 1024


def test_what_was_newer_already_when_it_was_tried_first_is_given_up_with_it() -> None:
    """Else it would only have it tried once more, for ever: what was tried first is sent again before it."""
    one = an_attempt(tried_seconds=73 * HOUR)
    for plan_micros, revision in ((NOW - round(74 * HOUR * 1e6), 2**62), (NOW, one.revised.revision)):
        job = replace(one.job, revision=2**62, newest_plan_micros=plan_micros)
        settled, _ = settle(replace(one, job=job), Outcome(RETRY), RULES)
        assert (settled.what, settled.revision) == (Settlement.GIVEN_UP, revision)
