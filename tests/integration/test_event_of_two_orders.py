"""One event that is sent with two orders, whose shards are not the same: whatever fails on the way, one of them has it.

As where a name is cleaned in another way since, and versions of ingestion that clean it differently run side by side.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager

import pytest
import redis.asyncio

from tests.faults.load import events_in_log
from tests.integration.test_claims import ACCEPTED, BROWSER, DUPLICATE, UNDECIDED, admit, assert_sides_agree
from tests.support.admissions import AN_EPOCH, Sent, a_request, running_admission, stored
from tests.support.seeds import seeds
from tributary.event.v1 import verdict_pb2
from tributary_dedup.admission import Admission
from tributary_domain.ids import event_digest
from tributary_runtime.clock import Clock, SystemClock
from tributary_runtime.errors import StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.claim_layout import ACCEPT, REGISTER, UNIT_SECONDS, Placement, home_digest, pack_claim
from tributary_storage.redis.claims import Admit, AdmitOrders, Claims, Decide, Decided, Undecided
from tributary_storage.redis.client import connect
from tributary_storage.redis.fill import LogFill

PLACEMENT = Placement(AN_EPOCH)
Calls = Sequence[Admit | AdmitOrders | Decide]


@pytest.fixture
async def admission(redis_url: str) -> AsyncIterator[Admission]:
    async with running_admission(redis_url) as running:
        yield running


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as client:
        yield client


@asynccontextmanager
async def another(claims: Claims, log: redis.asyncio.Redis, clock: Clock | None = None) -> AsyncIterator[Admission]:
    """Runs the admission of one more dedup."""
    fill, stop = LogFill(log), asyncio.Event()
    await fill.measure()
    running = Admission(claims, PLACEMENT, fill, clock or SystemClock())
    async with asyncio.TaskGroup() as group:
        group.create_task(running.run(stop))
        yield running
        stop.set()


class HeldUp(Claims):
    """Claims of a dedup that is held up before it claims orders."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        super().__init__(client)
        self.is_held, self.goes_on = asyncio.Event(), asyncio.Event()

    async def commit(self, calls: Sequence[Admit | AdmitOrders | Decide]) -> list[Decided | Undecided]:
        if any(isinstance(call, AdmitOrders) for call in calls):
            self.is_held.set()
            await self.goes_on.wait()
        return await super().commit(calls)


async def undecided_or(answer: Awaitable[list[verdict_pb2.Verdict.ValueType]]) -> list[verdict_pb2.Verdict.ValueType]:
    """Returns what was decided; a call of which nothing was fails."""
    try:
        return await answer
    except StorageUnavailableError:
        return [UNDECIDED]


async def test_of_two_that_decide_at_once_on_an_event_whose_order_reads_otherwise_one_accepts_it(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    was, now = ([Sent(f"e{n}", order=f"{order}{n}") for n in range(20)] for order in ("was", "is"))
    held = HeldUp(log)
    async with another(held, log) as late, asyncio.TaskGroup() as group:
        asked = group.create_task(undecided_or(admit(late, workspace, *was)))
        await held.is_held.wait()
        assert await admit(admission, workspace, *now) == [ACCEPTED] * 20
        held.goes_on.set()
        assert {UNDECIDED} <= set(await asked) <= {DUPLICATE, UNDECIDED}
    assert await admit(admission, workspace, *was) == [DUPLICATE] * 20
    assert set((await events_in_log(log)).values()) == {1}
    assert_sides_agree(await stored(log))


class Sleeping(SystemClock):
    """The clock of a machine that sleeps for an hour between any two looks at it."""

    ahead = 0

    def unix_micros(self) -> int:
        self.ahead += 3_600_000_000
        return super().unix_micros() + self.ahead


async def test_who_slept_between_the_two_steps_decides_nothing_any_more(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    async with another(Claims(log), log, Sleeping()) as late:
        assert await admit(late, workspace, Sent("a")) == [ACCEPTED]
        assert await undecided_or(admit(late, workspace, BROWSER)) == [UNDECIDED]
    assert (await stored(log)).letters == {"A": 1}
    assert await admit(admission, workspace, BROWSER) == [ACCEPTED]


async def bar(log: redis.asyncio.Redis, workspace: str, events: Sequence[Sent]) -> None:
    """Bars that events are decided where they are registered first, as who then gets no further."""
    for event in events:
        shard = PLACEMENT.shard(event.order_digest(workspace))
        home = home_digest(event_digest(workspace, event.event_id))
        bucket = [PLACEMENT.claims_key(home, shard)]
        await Claims(log).commit([Admit(shard, "live", b"", b"h", pack_claim(home, b"abc", ACCEPT), bucket, [("", 1)])])


async def test_an_event_that_was_barred_and_moved_nowhere_is_accepted_by_the_next_who_has_it(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    events = [Sent(f"e{n}", order=f"o{n}") for n in range(20)]
    await bar(log, workspace, events)
    assert await admit(admission, workspace, *events) == [ACCEPTED] * 20
    assert await admit(admission, workspace, *events) == [DUPLICATE] * 20
    assert set((await events_in_log(log)).values()) == {1}
    assert_sides_agree(await stored(log))


async def test_a_bar_is_no_claim_and_is_gone_after_a_while(log: redis.asyncio.Redis, workspace: str) -> None:
    """A dedup of an earlier version, which takes for decided what is claimed, decides as if it were not there."""
    await bar(log, workspace, [BROWSER])
    assert (await stored(log)).claims == 0
    shard = PLACEMENT.shard(BROWSER.order_digest(workspace))
    assert await log.zcard(keys.rounds(shard)) == 1
    assert 1_000 < await log.ttl(keys.rounds(shard)) <= 1_200


async def test_bars_that_are_old_make_room_for_others(log: redis.asyncio.Redis, workspace: str) -> None:
    rounds = keys.rounds(PLACEMENT.shard(BROWSER.order_digest(workspace)))
    units = int((await log.time())[0]) // UNIT_SECONDS
    await log.zadd(rounds, {"old": (units - 11) << 20 | 5, "young": (units - 7) << 20 | 5})
    await bar(log, workspace, [BROWSER])
    assert await log.zcard(rounds) == 2
    assert await log.zscore(rounds, "old") is None


@pytest.mark.parametrize(
    ("age", "verdict"), [pytest.param(0, UNDECIDED, id="young"), pytest.param(10, ACCEPTED, id="old")]
)
async def test_a_bar_of_an_earlier_version_holds_for_a_while(
    admission: Admission, log: redis.asyncio.Redis, workspace: str, age: int, verdict: verdict_pb2.Verdict.ValueType
) -> None:
    home = home_digest(event_digest(workspace, BROWSER.event_id))
    shard = PLACEMENT.shard(BROWSER.order_digest(workspace))
    claim = pack_claim(home, b"abc", REGISTER[0])
    units = (int((await log.time())[0]) // UNIT_SECONDS - age) % 65_536
    await log.hset(PLACEMENT.claims_key(home, shard), claim[:7], units.to_bytes(2) + claim[7:])
    (told,) = await admission.admit(a_request(workspace, [BROWSER]))
    assert told.verdict == verdict
    if verdict == UNDECIDED:
        assert told.reason == verdict_pb2.REASON_CODE_ORDER_CONTENDED
    assert_sides_agree(await stored(log))


class Unlucky(Claims):
    """Claims of a dedup whose every second step fails."""

    async def commit(self, calls: Calls) -> list[Decided | Undecided]:
        answers = iter(await super().commit([call for call in calls if not isinstance(call, AdmitOrders)]))
        return [Undecided(False, "x") if isinstance(call, AdmitOrders) else next(answers) for call in calls]


async def test_who_barred_each_other_decide_when_they_try_again(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    """Each registered the event last, and lost its second step; now they retry, one after the other."""
    was, now = ([Sent(f"e{n}", order=f"{order}{n}") for n in range(20)] for order in ("was", "is"))
    async with another(Unlucky(log), log) as unlucky:
        for events in (was, now, was, now):
            assert UNDECIDED in await undecided_or(admit(unlucky, workspace, *events))
    assert await admit(admission, workspace, *was) == [ACCEPTED] * 20
    assert await admit(admission, workspace, *now) == [DUPLICATE] * 20
    assert set((await events_in_log(log)).values()) == {1}
    assert_sides_agree(await stored(log))


class Flaky(Claims):
    """Claims of a dedup of which every third command or answer is lost."""

    def __init__(self, client: redis.asyncio.Redis, rng: random.Random) -> None:
        super().__init__(client)
        self.rng = rng

    async def commit(self, calls: Calls) -> list[Decided | Undecided]:
        fates = self.rng.choices(("asked", "unheard", "heard"), (15, 15, 70), k=len(calls))
        for _ in range(self.rng.randrange(4)):  # others go first
            await asyncio.sleep(0)
            await self._client.ping()
        sent = [call for call, fate in zip(calls, fates, strict=True) if fate != "asked"]
        answers = iter(await super().commit(sent))
        found = [Undecided(False, "x") if fate == "asked" else next(answers) for fate in fates]
        return [Undecided(False, "x") if fate != "heard" else one for one, fate in zip(found, fates, strict=True)]


@pytest.mark.parametrize("world", range(3))
async def test_an_event_of_three_orders_is_accepted_once_whatever_is_lost(
    admission: Admission, log: redis.asyncio.Redis, workspace: str, world: int
) -> None:
    seed = seeds()[world]
    rng, told = random.Random(seed), set[str]()

    async def retry(admissions: Sequence[Admission], event_id: str) -> None:
        for _ in range(5):
            event = Sent(event_id, order=f"v{rng.randrange(3)}-{event_id}")
            if await undecided_or(admit(rng.choice(admissions), workspace, event)) != [UNDECIDED]:
                told.add(event_id)

    ids = [f"e{number}" for number in range(25)]
    flaky = [Flaky(log, random.Random(10 * seed + number)) for number in range(3)]
    async with another(flaky[0], log) as a, another(flaky[1], log) as b, another(flaky[2], log) as c:
        await asyncio.gather(*[retry((a, b, c), event_id) for event_id in ids * 3])
    seen = await events_in_log(log)
    assert told <= set(seen)
    assert set(seen.values()) <= {1}
    for event_id in ids:  # when nothing is lost any more, the first who comes decides
        assert (await admit(admission, workspace, Sent(event_id, order=f"v0-{event_id}")))[0] in (ACCEPTED, DUPLICATE)
    seen = await events_in_log(log)
    assert seen == dict.fromkeys(ids, 1)
    assert_sides_agree(await stored(log))
