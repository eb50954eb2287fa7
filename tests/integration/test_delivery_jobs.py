"""The life of a delivery job, step by step, on a real Redis: what two processes may and may not do to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from tests.support.eventually import eventually_async
from tributary_runtime.clock import SystemClock
from tributary_storage.redis import job_keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.delivery_job import (
    Job,
    KnownAs,
    Lane,
    Plan,
    PlannedRevision,
    Settled,
    Settlement,
    Taken,
    Tried,
)
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.destination_states import DestinationStates

LANE = Lane("shop", "crm")
LEASE = 30.0
SOON = 0.02


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="test") as opened:
        yield opened


@pytest.fixture
def jobs(client: redis.asyncio.Redis) -> DeliveryJobs:
    return DeliveryJobs(client)


async def plan(jobs: DeliveryJobs, revision: int, previous: int = 0, at: int = 0, hold_seconds: int = 0) -> int:
    planned = [PlannedRevision("c1:a", revision, previous, at or revision)]
    return (await jobs.plan(LANE, planned, hold_seconds)).count(Plan.NEW)


async def lease(jobs: DeliveryJobs, owner: str = "one", seconds: float = LEASE) -> Job | None:
    leased = await jobs.lease(LANE, owner, seconds, 10)
    return leased.jobs[0] if leased.jobs else None


async def is_leased(jobs: DeliveryJobs, owner: str) -> bool:
    return await lease(jobs, owner) is not None


async def begin(jobs: DeliveryJobs, revision: int, owner: str = "one", *, creates: bool = True) -> int:
    return (await jobs.begin(LANE, owner, LEASE, [Tried("c1:a", revision, creates)]))[0]


async def settle(
    jobs: DeliveryJobs,
    what: Settlement,
    revision: int,
    owner: str = "one",
    delay: float = 0.0,
    *,
    is_untaken: bool = False,
) -> bool:
    taken = Taken(revision, 90, counted=True) if what is Settlement.TAKEN else None
    return (await jobs.settle(LANE, owner, [Settled("c1:a", what, revision, delay, taken, is_untaken)]))[0]


async def take(jobs: DeliveryJobs, revision: int) -> None:
    assert await lease(jobs) is not None
    assert await begin(jobs, revision) == 1
    assert await settle(jobs, Settlement.TAKEN, revision)


async def test_a_job_is_leased_by_one_process_at_a_time(jobs: DeliveryJobs) -> None:
    assert await plan(jobs, 7) == 1
    job = await lease(jobs)
    assert job is not None
    assert (job.revision, job.attempts, job.never_sent, job.taken, job.maybe_taken) == (7, 0, True, None, 0)
    assert await lease(jobs, "two") is None
    assert await begin(jobs, 7, "two") == 0
    assert not await settle(jobs, Settlement.TAKEN, 7, "two")
    assert await begin(jobs, 7) == 1


async def test_a_lease_that_ended_is_anothers_and_the_first_can_do_nothing_more(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    assert await lease(jobs, "one", SOON) is not None
    await eventually_async(lambda: is_leased(jobs, "two"))
    assert await begin(jobs, 7, "one") == 0
    assert not await settle(jobs, Settlement.TAKEN, 7, "one")
    assert await jobs.renew(LANE, "one", LEASE, ["c1:a"]) == set()
    assert await begin(jobs, 7, "two") == 1
    assert await settle(jobs, Settlement.TAKEN, 7, "two")


async def test_beginning_lets_the_lease_begin_anew(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    await lease(jobs, "one", 0.5)
    assert await begin(jobs, 7) == 1
    leased = await jobs.lease(LANE, "two", LEASE, 10)
    assert leased.wait_seconds > LEASE - 5


async def test_a_renewed_lease_keeps_others_away(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    await lease(jobs, "one", SOON)
    assert await jobs.renew(LANE, "one", LEASE, ["c1:a"]) == {"c1:a"}
    assert (await jobs.lease(LANE, "two", LEASE, 10)).wait_seconds > 1


async def test_what_was_taken_is_not_planned_again_by_a_repeated_entry(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    await take(jobs, 7)
    assert await plan(jobs, 7) == 0
    assert await plan(jobs, 6) == 0
    assert await jobs.waiting(LANE) == 0


async def test_a_newer_revision_planned_during_an_attempt_becomes_a_message_of_its_own(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7, at=70)
    await lease(jobs)
    await begin(jobs, 7)
    assert await plan(jobs, 9, previous=7, at=90) == 1
    assert await settle(jobs, Settlement.TAKEN, 7)
    job = await lease(jobs)
    assert job is not None
    assert (job.revision, job.attempts, job.tried_revision, job.plan_micros) == (9, 0, 0, 90)
    assert job.taken == Taken(7, 90, counted=True)
    assert not job.never_sent


async def test_what_waits_longest_tells_since_when(jobs: DeliveryJobs) -> None:
    assert await jobs.oldest_plan_micros(LANE) == 0
    await plan(jobs, 7, at=70)
    await lease(jobs)
    await begin(jobs, 7)
    await plan(jobs, 9, previous=7, at=90)
    assert await jobs.oldest_plan_micros(LANE) == 70
    await settle(jobs, Settlement.TAKEN, 7)
    assert await jobs.oldest_plan_micros(LANE) == 90
    await take(jobs, 9)
    assert await jobs.oldest_plan_micros(LANE) == 0


async def test_an_older_revision_does_not_replace_a_newer_one(jobs: DeliveryJobs) -> None:
    await plan(jobs, 9, previous=7)
    assert await plan(jobs, 7) == 0
    job = await lease(jobs)
    assert job is not None
    assert job.revision == 9
    assert not job.never_sent, "revision 7 may have been sent: only the ledger knows"


async def test_a_retry_knows_which_creation_may_have_been_taken(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    await lease(jobs)
    await begin(jobs, 7)
    await settle(jobs, Settlement.AGAIN, 7)
    job = await lease(jobs)
    assert job is not None
    assert (job.maybe_taken, job.tried_revision, job.attempts, job.never_sent) == (7, 7, 1, True)
    assert await begin(jobs, 7) == 2


async def test_attempts_are_counted_per_revision(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7, at=70)
    await take(jobs, 7)
    await plan(jobs, 9, previous=7, at=90)
    await lease(jobs)
    assert await begin(jobs, 9, creates=False) == 1
    await settle(jobs, Settlement.AGAIN, 9)
    await plan(jobs, 11, previous=9, at=110)
    await lease(jobs)
    assert await begin(jobs, 11, creates=False) == 1
    await settle(jobs, Settlement.AGAIN, 11)
    job = await lease(jobs)
    assert job is not None
    assert (job.tried_revision, job.plan_micros) == (11, 110)


async def test_a_creation_given_up_is_remembered_as_maybe_taken(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    await lease(jobs)
    await begin(jobs, 7)
    await settle(jobs, Settlement.GIVEN_UP, 7)
    assert await jobs.waiting(LANE) == 0
    assert await plan(jobs, 7) == 0, "a repeated entry does not begin it again"
    assert await plan(jobs, 9, previous=7) == 1
    job = await lease(jobs)
    assert job is not None
    assert (job.taken, job.maybe_taken, job.never_sent) == (None, 7, False)


@pytest.mark.parametrize("what", [Settlement.GIVEN_UP, Settlement.DROPPED])
async def test_of_a_creation_that_was_certainly_not_taken_it_stays_known_that_nothing_was_sent(
    jobs: DeliveryJobs, what: Settlement
) -> None:
    await plan(jobs, 7)
    await lease(jobs)
    await begin(jobs, 7)
    await settle(jobs, Settlement.AGAIN, 7, is_untaken=True)
    job = await lease(jobs)
    assert job is not None
    assert (job.maybe_taken, job.tried_revision, job.never_sent) == (0, 7, True)
    if what is Settlement.GIVEN_UP:
        await begin(jobs, 7)
    await settle(jobs, what, 7, is_untaken=what is Settlement.GIVEN_UP)
    assert await plan(jobs, 7) == 0, "a repeated entry does not begin it again"
    await plan(jobs, 9, previous=7)
    job = await lease(jobs)
    assert job is not None
    assert (job.taken, job.maybe_taken, job.never_sent) == (None, 0, True)


async def test_a_doubt_about_a_creation_outlives_the_certainty_about_an_earlier_one(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    await lease(jobs)
    await begin(jobs, 7)
    await settle(jobs, Settlement.GIVEN_UP, 7, is_untaken=True)
    await plan(jobs, 9, previous=7)
    await lease(jobs)
    await begin(jobs, 9)
    await settle(jobs, Settlement.GIVEN_UP, 9)
    await plan(jobs, 11, previous=9)
    job = await lease(jobs)
    assert job is not None
    assert (job.taken, job.maybe_taken, job.never_sent) == (None, 9, False)


@pytest.mark.parametrize("is_lost_first", [False, True])
async def test_an_attempt_that_was_refused_and_made_again_in_parts_leaves_no_doubt_of_its_own(
    jobs: DeliveryJobs, *, is_lost_first: bool
) -> None:
    await plan(jobs, 7)
    await lease(jobs)
    if is_lost_first:
        await begin(jobs, 7)
        await settle(jobs, Settlement.AGAIN, 7)
        await lease(jobs)
    await begin(jobs, 7)
    await jobs.begin(LANE, "one", LEASE, [Tried("c1:a", 7, creates=True, is_refused_before=True)])
    await jobs.settle(LANE, "one", [Settled("c1:a", Settlement.AGAIN, 7, is_refused=True)])
    job = await lease(jobs)
    assert job is not None
    assert (job.doubt_micros > 0) == is_lost_first


async def test_a_doubt_is_as_old_as_the_first_attempt_that_left_it_also_under_a_later_job(
    client: redis.asyncio.Redis, jobs: DeliveryJobs
) -> None:
    await plan(jobs, 7)
    await lease(jobs)
    await begin(jobs, 7)
    await settle(jobs, Settlement.GIVEN_UP, 7)
    await plan(jobs, 9, previous=7)
    before = await lease(jobs)
    assert before is not None
    await eventually_async(lambda: is_past(client, before.doubt_micros))
    await begin(jobs, 7)
    await settle(jobs, Settlement.AGAIN, 7)
    after = await lease(jobs)
    assert after is not None
    assert after.doubt_micros == before.doubt_micros > 0


async def is_past(client: redis.asyncio.Redis, micros: int) -> bool:
    seconds, rest = await client.time()
    return int(seconds) * 1_000_000 + int(rest) >= micros + 1000


async def test_what_was_taken_stays_known_when_a_later_change_is_given_up(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    await take(jobs, 7)
    await plan(jobs, 9, previous=7)
    await lease(jobs)
    await begin(jobs, 9, creates=False)
    await settle(jobs, Settlement.GIVEN_UP, 9)
    await plan(jobs, 11, previous=9)
    job = await lease(jobs)
    assert job is not None
    assert (job.taken, job.maybe_taken) == (Taken(7, 90, counted=True), 0)


async def test_given_up_deliveries_are_counted_once(client: redis.asyncio.Redis, jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    await lease(jobs)
    await begin(jobs, 7)
    assert await settle(jobs, Settlement.GIVEN_UP, 7)
    assert not await settle(jobs, Settlement.GIVEN_UP, 7)
    assert await jobs.dead(LANE, 0) == 1
    in_400_days = SystemClock().unix_micros() // 1000 + 400 * 86_400_000
    assert [await jobs.dead(LANE, in_400_days + one) for one in (-60_000, 60_000)] == [1, 0]
    assert 0 < await client.pttl(job_keys.dead(LANE.workspace, LANE.destination)) <= 400 * 86_400_000


@pytest.mark.parametrize(
    ("is_untaken", "what", "left"),
    [
        pytest.param(True, Settlement.TAKEN, 0, id="something newer was taken"),
        pytest.param(True, Settlement.DROPPED, 0, id="nothing is to be sent any more"),
        pytest.param(True, Settlement.AGAIN, 1, id="something newer is tried"),
        pytest.param(True, Settlement.GIVEN_UP, 1, id="something newer was given up too"),
        pytest.param(False, Settlement.TAKEN, 0, id="what may have been taken was"),
        pytest.param(False, Settlement.DROPPED, 1, id="what may have been taken still may"),
    ],
)
async def test_who_is_dead_is_counted_until_it_is_taken_or_not_to_be_sent(
    jobs: DeliveryJobs, is_untaken: bool, what: Settlement, left: int
) -> None:
    await plan(jobs, 7)
    await lease(jobs)
    await begin(jobs, 7)
    await settle(jobs, Settlement.GIVEN_UP, 7, is_untaken=is_untaken)
    await plan(jobs, 9, previous=7)
    await lease(jobs)
    if what is not Settlement.DROPPED:
        await begin(jobs, 9)
    await settle(jobs, what, 9, is_untaken=is_untaken and what is Settlement.GIVEN_UP)
    assert await jobs.dead(LANE, 0) == left


async def test_what_was_dropped_unsent_is_never_sent_still_when_something_newer_waits(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    await lease(jobs)
    await plan(jobs, 9, previous=7)
    await settle(jobs, Settlement.DROPPED, 7)
    job = await lease(jobs)
    assert job is not None
    assert (job.revision, job.never_sent, job.maybe_taken) == (9, True, 0)


async def test_a_job_is_due_after_its_delay_and_tells_when(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    await lease(jobs)
    await settle(jobs, Settlement.AGAIN, 0, delay=40.0)
    leased = await jobs.lease(LANE, "one", LEASE, 10)
    assert leased.jobs == []
    assert 39 < leased.wait_seconds <= 40


async def test_only_a_first_message_is_held(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7, hold_seconds=60)
    assert await lease(jobs) is None
    await jobs.plan(LANE, [PlannedRevision("c1:b", 9, 7, 1)], 60)
    leased = await jobs.lease(LANE, "one", LEASE, 10)
    assert [job.conversion_id for job in leased.jobs] == ["c1:b"]


async def test_nobody_leases_while_the_destination_is_paused(client: redis.asyncio.Redis, jobs: DeliveryJobs) -> None:
    states = DestinationStates(client)
    await plan(jobs, 7)
    seconds, micros = await client.time()
    now_millis = seconds * 1000 + micros // 1000
    await states.pause(LANE, now_millis + 60_000, "Its certificate is refused.")
    leased = await jobs.lease(LANE, "one", LEASE, 10)
    assert leased.jobs == []
    assert 55 < leased.wait_seconds <= 60
    await states.pause(LANE, 0, "")
    assert await lease(jobs) is not None


async def test_destinations_share_nothing(jobs: DeliveryJobs) -> None:
    await plan(jobs, 7)
    other = Lane("shop", "erp")
    assert (await jobs.lease(other, "one", LEASE, 10)).jobs == []
    assert await jobs.plan(other, [PlannedRevision("c1:a", 7, 0, 1)]) == [Plan.NEW]
    await take(jobs, 7)
    assert await jobs.waiting(other) == 1


async def test_the_highest_revision_tried_is_kept_whatever_becomes_of_its_job(jobs: DeliveryJobs) -> None:
    assert await jobs.marks(["shop/crm", "shop/erp"]) == {"shop/crm": 0, "shop/erp": 0}
    await plan(jobs, 7)
    await take(jobs, 7)
    await plan(jobs, 9, previous=7)
    assert await jobs.marks(["shop/crm"]) == {"shop/crm": 7}
    await take(jobs, 9)
    assert await jobs.marks(["shop/crm"]) == {"shop/crm": 9}


async def test_after_a_loss_nobody_is_sure_that_what_is_older_was_never_sent(client: redis.asyncio.Redis) -> None:
    jobs = DeliveryJobs(client, lambda: 7)
    await plan(jobs, 7)
    old = await lease(jobs)
    assert old is not None
    assert not old.never_sent
    assert await jobs.plan(LANE, [PlannedRevision("c1:b", 8, 0, 8)]) == [Plan.NEW]
    new = next(job for job in (await jobs.lease(LANE, "two", LEASE, 10)).jobs if job.conversion_id == "c1:b")
    assert new.never_sent


async def test_who_may_not_have_heard_what_it_took_gets_its_own_again_and_nobody_elses(jobs: DeliveryJobs) -> None:
    await plan(jobs, 1)
    assert await is_leased(jobs, "one")
    assert not await is_leased(jobs, "one")
    assert (await jobs.lease(LANE, "two", LEASE, 10, ours_too=True)).jobs == []
    [job] = (await jobs.lease(LANE, "one", LEASE, 10, ours_too=True)).jobs
    assert job.conversion_id == "c1:a"


async def test_a_retry_knows_by_what_the_creation_is_known_and_a_change_keeps_it_for_the_next(
    jobs: DeliveryJobs,
) -> None:
    first, other = KnownAs("o-1", "Käufe", "4711"), KnownAs("o-1", "Leads", "42")
    await plan(jobs, 7)
    for known_as in (first, other):
        await lease(jobs)
        assert (await jobs.begin(LANE, "one", LEASE, [Tried("c1:a", 7, creates=True, known_as=known_as)]))[0]
        await settle(jobs, Settlement.AGAIN, 7)
    job = await lease(jobs)
    assert job is not None
    assert job.known_as == first, "what was said first is what it may be known by"
    await settle(jobs, Settlement.AGAIN, 7, is_untaken=True)
    job = await lease(jobs)
    assert job is not None
    assert job.known_as is None, "it is not there"


async def test_time_in_which_nobody_tried_though_it_was_due_is_not_time_that_it_was_tried_in(
    client: redis.asyncio.Redis, jobs: DeliveryJobs
) -> None:
    await plan(jobs, 7)
    job = await lease(jobs)
    assert job is not None
    assert job.try_micros == 0
    await begin(jobs, 7)
    await settle(jobs, Settlement.AGAIN, 7)
    before = await lease(jobs)
    assert before is not None
    await settle(jobs, Settlement.AGAIN, 0)
    await client.zincrby(job_keys.due(LANE.workspace, LANE.destination), -80 * 3_600_000, "c1:a")  # due 80 hours ago
    after = await lease(jobs)
    assert after is not None
    assert 0 <= (after.try_micros - before.try_micros) / 3_600_000_000 - 80 < 0.1
    await begin(jobs, 9)
    await settle(jobs, Settlement.AGAIN, 9)
    anew = await lease(jobs)
    assert anew is not None
    assert anew.try_micros < after.try_micros, "another message has a time of its own, from its first attempt"


async def test_what_is_planned_only_if_it_was_sent_is_planned_only_then(client: redis.asyncio.Redis) -> None:
    jobs = DeliveryJobs(client, lambda: 4)
    await plan(jobs, 7)
    await take(jobs, 7)
    unmapped = [
        PlannedRevision("c1:a", 9, 7, 9, only_if_sent=True),
        PlannedRevision("c1:b", 9, 7, 9, only_if_sent=True),
        PlannedRevision("c1:lost", 9, 3, 9, only_if_sent=True),
    ]
    assert await jobs.plan(LANE, unmapped) == [Plan.NEW, Plan.NEVER_SENT, Plan.NEW], "of the last only the ledger knows"
    assert await jobs.plan(LANE, unmapped) == [Plan.KNOWN, Plan.NEVER_SENT, Plan.KNOWN]


@pytest.mark.parametrize("ends_by", ["release", "mend"])
async def test_what_waits_because_of_settings_is_due_when_they_are_mended_and_after_all_else(
    client: redis.asyncio.Redis, jobs: DeliveryJobs, workspace: str, ends_by: str
) -> None:
    lane, states = Lane(workspace, "crm"), DestinationStates(client)

    async def leased(owner: str = "one") -> list[str]:
        return [job.conversion_id for job in (await jobs.lease(lane, owner, LEASE, 10)).jobs]

    await jobs.plan(lane, [PlannedRevision(f"c1:{name}", 1, 0, 1) for name in "abcdef"])
    assert len(await leased()) == 6
    blamed = [
        Settled(f"c1:{name}", Settlement.AGAIN, 1, delay, is_mending=True)
        for name, delay in zip("abc", (600, 601, 0), strict=True)
    ]
    asked_to_wait = Settled("c1:d", Settlement.AGAIN, 1, 600)
    assert all(await jobs.settle(lane, "one", [*blamed, asked_to_wait]))
    assert await leased("two") == ["c1:c"], "it is tried since, and ours"
    await states.pause(lane, 2**43, "why", settings="before")
    await jobs.plan(lane, [PlannedRevision("c1:0", 2, 0, 2)])
    await (states.release(lane) if ends_by == "release" else states.mend(lane, "after"))
    assert await leased() == ["c1:0", "c1:a", "c1:b"], "neither what is being sent nor what waits for something else"
    assert not await client.exists(job_keys.mending(workspace, "crm"))
    await states.release(lane)
    assert await leased("three") == []
