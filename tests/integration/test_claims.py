"""Claims on a real Redis: every verdict, from any number of callers, with counters, entries and claims always equal."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis.asyncio

from tests.support.admissions import AN_EPOCH, Sent, Stored, a_request, prepare, running_admission, stored
from tests.support.eventually import eventually_async
from tests.support.holding_proxy import holding_proxy
from tests.support.stores import Stores, running_redis
from tributary.dedup.v1 import dedup_service_pb2
from tributary.event.v1 import verdict_pb2
from tributary_cli.stack.redis_server import RedisServer
from tributary_dedup.admission import Admission
from tributary_dedup.calls import Call
from tributary_domain.ids import event_digest
from tributary_runtime.errors import OverloadedError, PreconditionError, StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.claim_layout import Kind, Placement
from tributary_storage.redis.claim_lookup import ClaimLookup
from tributary_storage.redis.claims import Admit, Claims, Decided, Undecided
from tributary_storage.redis.client import connect
from tributary_storage.redis.epoch import Epoch, create_epoch, read_epoch
from tributary_storage.redis.fill import LogFill
from tributary_storage.redis.sweeper import Sweeper

ACCEPTED = verdict_pb2.VERDICT_ACCEPTED
DUPLICATE = verdict_pb2.VERDICT_DUPLICATE
CONFLICT = verdict_pb2.VERDICT_CONFLICT
REJECTED = verdict_pb2.VERDICT_REJECTED
QUARANTINED = verdict_pb2.VERDICT_QUARANTINED
UNDECIDED = verdict_pb2.VERDICT_UNDECIDED
MERGED = verdict_pb2.REASON_CODE_MERGED_OBSERVATION
NAMES = {"A": ACCEPTED, "D": DUPLICATE, "M": DUPLICATE, "C": CONFLICT, "V": CONFLICT, "R": REJECTED, "Q": QUARANTINED}


@pytest.fixture
async def admission(redis_url: str) -> AsyncIterator[Admission]:
    async with running_admission(redis_url) as running:
        yield running


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(redis_url, name="tests") as client:
        yield client


async def admit(admission: Admission, workspace: str, *events: Sent) -> list[verdict_pb2.Verdict.ValueType]:
    return [outcome.verdict for outcome in await admission.admit(a_request(workspace, events))]


def assert_sides_agree(found: Stored) -> None:
    """What the script counted is what is in the log and what is claimed."""
    letters, counted = found.letters, found.counted
    assert counted["ACCEPTED"] == letters["A"]
    assert counted["QUARANTINED"] == letters["Q"]
    assert counted["REJECTED"] == letters["R"]
    assert counted["CONFLICT"] == letters["C"] + letters["V"]
    assert counted["DUPLICATE"] >= letters["D"] + letters["M"]


BROWSER = Sent("b", order="o", rank=1, value=100)
BACKEND = Sent("s", order="o", rank=2, value=80)
THIRD = Sent("t", order="o", rank=3, value=70)
FOURTH = Sent("f", order="o", rank=4, value=60)

CASES = [
    pytest.param([Sent("a"), Sent("b")], "AA", id="two events are two"),
    pytest.param([Sent("a"), Sent("a"), Sent("a")], "ADD", id="the same event again is a duplicate"),
    pytest.param([Sent("a"), Sent("A"), Sent("01"), Sent("1")], "AAAA", id="case and leading zeros tell apart"),
    pytest.param([Sent("a"), Sent("a", payload="b"), Sent("a")], "ACD", id="another payload is a conflict"),
    pytest.param([Sent("a"), Sent("a", payload="b", version=2)], "AD", id="digests of two versions are equal"),
    pytest.param([Sent("a", version=9), Sent("a", payload="b", version=9)], "AD", id="an unknown version is equal"),
    pytest.param([Sent("a", door=REJECTED)] * 2, "RR", id="a rejected event claims nothing"),
    pytest.param([Sent("a", door=REJECTED), Sent("a")], "RA", id="a rejected event does not hold its id"),
    pytest.param([Sent("a", door=QUARANTINED)] * 2, "QD", id="a quarantined event is known"),
    pytest.param([Sent("a", door=QUARANTINED), Sent("a")], "QD", id="a quarantined event stays so until released"),
    pytest.param([BROWSER, BACKEND], "AM", id="the backend's observation joins the browser's"),
    pytest.param([BACKEND, BROWSER], "AM", id="the browser's observation joins the backend's"),
    pytest.param([BROWSER, BACKEND, BROWSER, BACKEND], "AMDD", id="an observation sent again is a duplicate"),
    pytest.param([BROWSER, Sent("b2", order="o", value=100)], "AM", id="an equal rank that agrees joins"),
    pytest.param([BROWSER, Sent("b2", order="o", value=7)], "AV", id="an equal rank that differs is a conflict"),
    pytest.param([BACKEND, BROWSER, Sent("b2", order="o", value=7)], "AMV", id="each rank is held to its own value"),
    pytest.param(
        [BROWSER, FOURTH, THIRD, BACKEND, *(Sent(f"x{rank}", order="o", rank=rank, value=7) for rank in (1, 2, 3, 4))],
        "AMMMVVVV",
        id="so is each of four",
    ),
    pytest.param(
        [THIRD, BACKEND, FOURTH, Sent("t2", order="o", rank=3, value=70), Sent("f2", order="o", rank=4, value=60)],
        "AMMMM",
        id="and whoever agrees with its own rank joins",
    ),
    pytest.param([BROWSER, Sent("b2", order="o", value=None)], "AM", id="who states no value contradicts nobody"),
    pytest.param([Sent("b0", order="o", value=None), BROWSER, BROWSER], "AMD", id="a value may be stated later"),
    pytest.param([BROWSER, Sent("b", order="p", payload="p")], "AC", id="an event id with another order conflicts"),
    pytest.param(
        [BROWSER, Sent("b", order="p", value=100)], "AD", id="an event id whose order reads otherwise is known"
    ),
    pytest.param([BROWSER, Sent("b", payload="plain")], "AC", id="an event id without its order conflicts"),
    pytest.param([Sent("b", payload="plain"), BROWSER], "AC", id="an event id with an order it did not have conflicts"),
    pytest.param([Sent("b"), Sent("b", order="o")], "AD", id="what was known without an order is a duplicate"),
    pytest.param([Sent("q", order="o", door=QUARANTINED), BROWSER], "QA", id="a quarantined event holds no order"),
    pytest.param([Sent("b", order="o", door=QUARANTINED), BROWSER], "QD", id="its own id it holds"),
    pytest.param([BROWSER, Sent("b", order="o", door=QUARANTINED)], "AD", id="what was accepted stays accepted"),
    pytest.param([Sent("r", order="o", door=REJECTED), BROWSER], "RA", id="a rejected event holds no order"),
]


@pytest.mark.parametrize(("events", "letters"), CASES)
async def test_verdicts_of_events_sent_one_after_another(
    admission: Admission, log: redis.asyncio.Redis, workspace: str, events: list[Sent], letters: str
) -> None:
    verdicts = [(await admit(admission, workspace, event))[0] for event in events]
    assert verdicts == [NAMES[letter] for letter in letters]
    found = await stored(log)
    assert_sides_agree(found)
    # An entry with nothing but a duplicate is not worth appending.
    assert found.letters == Counter(letters.replace("D", ""))


@pytest.mark.parametrize(("events", "letters"), CASES)
async def test_verdicts_of_the_same_events_in_one_batch(
    admission: Admission, log: redis.asyncio.Redis, workspace: str, events: list[Sent], letters: str
) -> None:
    assert await admit(admission, workspace, *events) == [NAMES[letter] for letter in letters]
    assert_sides_agree(await stored(log))


async def test_a_merged_observation_is_told_as_such_the_first_and_every_time(
    admission: Admission, workspace: str
) -> None:
    await admit(admission, workspace, BROWSER)
    first = (await admission.admit(a_request(workspace, [BACKEND])))[0]
    again = (await admission.admit(a_request(workspace, [BACKEND])))[0]
    assert [first.reason, again.reason] == [MERGED, MERGED]
    assert [first.first_verdict, again.first_verdict] == [ACCEPTED, ACCEPTED]


async def test_a_duplicate_is_told_when_it_was_accepted_first(admission: Admission, workspace: str) -> None:
    first = (await admission.admit(a_request(workspace, [Sent("a")])))[0]
    again = (await admission.admit(a_request(workspace, [Sent("a")])))[0]
    assert 0 <= first.first_accept_micros - again.first_accept_micros < 128_000_000


async def test_workspaces_share_nothing(admission: Admission, workspace: str) -> None:
    for one in (workspace, f"{workspace}-2"):
        assert await admit(admission, one, Sent("a"), BROWSER) == [ACCEPTED, ACCEPTED]


async def test_step_a_alone_never_makes_a_retry_a_duplicate(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    """What a crash between the steps leaves behind: a registration and nothing else."""
    (part,) = Call(a_request(workspace, [BROWSER]).callers[0], "", Placement(AN_EPOCH)).first_parts
    step_a = Admit(part.shard, "live", b"", b"o", part.claims[0], part.bucket_keys, runs=[(workspace, 1)])
    for _ in range(2):
        (answer,) = await Claims(log).commit([step_a])
        assert isinstance(answer, Decided)
        assert answer.letters == b"o"
    assert await admit(admission, workspace, BROWSER) == [ACCEPTED]
    assert await admit(admission, workspace, BROWSER) == [DUPLICATE]


@pytest.mark.parametrize("refund", ["", "r"])
async def test_an_event_id_is_accepted_once_though_its_order_reads_otherwise_when_it_is_sent_again(
    admission: Admission, workspace: str, refund: str
) -> None:
    """As when a version of ingestion cleans the name of a conversion in another way; most are of another shard then."""
    for order, verdict in (("was", ACCEPTED), ("is", DUPLICATE), ("was", DUPLICATE)):
        events = [Sent(f"e{number}", order=f"{order}{number}", refund=refund) for number in range(20)]
        assert await admit(admission, workspace, *events) == [verdict] * 20


async def test_an_event_that_was_only_registered_is_accepted_once_under_the_order_it_has_now(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    placement = Placement(AN_EPOCH)
    was, now = ([Sent(f"e{n}", order=f"{order}{n}") for n in range(20)] for order in ("was", "is"))
    parts = Call(a_request(workspace, was).callers[0], "", placement).first_parts
    await Claims(log).commit(
        [
            Admit(
                part.shard,
                "live",
                b"",
                bytes(part.letters),
                b"".join(part.claims),
                part.bucket_keys,
                [(workspace, len(part.positions))],
            )
            for part in parts
        ]
    )
    for events, verdict in ((now, ACCEPTED), (was, DUPLICATE), (now, DUPLICATE)):
        assert await admit(admission, workspace, *events) == [verdict] * 20
    known = await ClaimLookup(log, placement).events([event_digest(workspace, event.event_id) for event in now])
    assert {claim.kind for claim in known if claim is not None} == {Kind.ACCEPTED}
    assert_sides_agree(await stored(log))


async def test_bulk_events_meet_the_claims_of_live_ones(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    live = a_request(workspace, [Sent("a"), BROWSER])
    bulk = a_request(workspace, [Sent("a"), BROWSER, Sent("c")], dedup_service_pb2.LANE_BULK)
    await admission.admit(live)
    outcomes = await admission.admit(bulk)
    assert [outcome.verdict for outcome in outcomes] == [DUPLICATE, DUPLICATE, ACCEPTED]
    lengths = [await log.xlen(keys.event_log(shard, "bulk")) for shard in range(AN_EPOCH.shards)]
    assert sum(lengths) == 1


async def test_callers_committed_together_get_their_own_answers(admission: Admission, workspace: str) -> None:
    requests = [[Sent(f"own-{caller}"), Sent("shared"), Sent(f"o-{caller}", order="o")] for caller in range(40)]
    answers = await asyncio.gather(*[admit(admission, workspace, *events) for events in requests])
    assert [answer[0] for answer in answers] == [ACCEPTED] * 40
    assert Counter(answer[1] for answer in answers) == {ACCEPTED: 1, DUPLICATE: 39}
    assert Counter(answer[2] for answer in answers) == {ACCEPTED: 1, DUPLICATE: 39}


async def test_a_redis_that_forgot_the_scripts_gets_them_again(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    await admit(admission, workspace, Sent("a"), BROWSER)
    await log.script_flush()
    assert await admit(admission, workspace, Sent("a"), BROWSER, Sent("c")) == [DUPLICATE, DUPLICATE, ACCEPTED]


async def test_a_shard_that_fails_leaves_only_its_own_events_undecided(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    placement = Placement(AN_EPOCH)
    events = [Sent(f"e-{number}") for number in range(40)]
    broken = placement.shard(event_digest(workspace, "e-0"))
    for bucket in range(2**AN_EPOCH.claim_bucket_bits):
        await log.set(keys.claims(broken, bucket), "no hash")
    verdicts = await admit(admission, workspace, *events)
    for event, verdict in zip(events, verdicts, strict=True):
        is_broken = placement.shard(event_digest(workspace, event.event_id)) == broken
        assert verdict == (UNDECIDED if is_broken else ACCEPTED)
    assert_sides_agree(await stored_but(log, broken))


async def stored_but(log: redis.asyncio.Redis, shard: int) -> Stored:
    """Counts after removing the keys that were broken on purpose."""
    for bucket in range(2**AN_EPOCH.claim_bucket_bits):
        await log.delete(keys.claims(shard, bucket))
    return await stored(log)


async def test_a_redis_that_is_down_makes_the_call_fail_and_not_hang(
    private_redis: RedisServer, workspace: str
) -> None:
    async with running_admission(private_redis.url) as admission:
        await admit(admission, workspace, Sent("a"))
        private_redis.kill()
        with pytest.raises(StorageUnavailableError) as raised:
            await admit(admission, workspace, Sent("b"))
        assert raised.value.retry_delay_seconds > 0
        private_redis.start()
        private_redis.wait_until_ready()
        assert await admit(admission, workspace, Sent("a"), Sent("b")) == [DUPLICATE, ACCEPTED]


async def test_a_redis_that_hangs_makes_the_call_fail_in_time(private_redis: RedisServer, workspace: str) -> None:
    async with running_admission(private_redis.url, timeout_seconds=1.5) as admission:
        await admit(admission, workspace, Sent("a"))
        private_redis.pause()
        try:
            for _ in range(2):  # on the connection that is open, and on one that has to be opened
                with pytest.raises(StorageUnavailableError):
                    await admit(admission, workspace, Sent("b"))
        finally:
            private_redis.resume()

        async def answers_again() -> bool:
            with suppress(StorageUnavailableError):
                (verdict,) = await admit(admission, workspace, Sent("b"))
                return verdict in (ACCEPTED, DUPLICATE)  # what was sent while it hung may have been done
            return False

        await eventually_async(answers_again)


async def test_a_connection_that_dies_unseen_while_scripts_are_loaded_ends_the_commit_in_time(
    private_redis: RedisServer,
) -> None:
    async with (
        holding_proxy(private_redis.port, b"SCRIPT") as proxy,
        connect(f"redis://127.0.0.1:{proxy.port}", name="tests") as client,
        asyncio.timeout(60),
    ):
        (answer,) = await Claims(client, timeout_seconds=0.3).commit([_claims_only(Placement(AN_EPOCH), range(1))])
        assert proxy.holds.is_set()
        assert isinstance(answer, Undecided)


async def test_a_caller_who_has_left_before_the_commit_leaves_no_trace(
    admission: Admission, log: redis.asyncio.Redis, workspace: str
) -> None:
    leaving = [asyncio.create_task(admit(admission, workspace, Sent(f"gone-{number}"))) for number in range(3)]
    await asyncio.sleep(0)  # they wait; the loop of the admission has not run yet
    for task in leaving:
        task.cancel()
    assert await admit(admission, workspace, Sent("stays")) == [ACCEPTED]
    assert (await stored(log)).claims == 1


@pytest.fixture
async def own_redis(tmp_path: Path) -> AsyncIterator[tuple[str, redis.asyncio.Redis]]:
    """A Redis of this test's own, whose memory may be made to end."""
    with running_redis(tmp_path / "redis") as server:
        async with connect(server.url, name="tests") as client:
            yield server.url, client


async def leave_memory(log: redis.asyncio.Redis, share: float) -> None:
    """Lets Redis have `share` of the memory that it uses now: filling it would not last, for it frees what it can."""
    used = (await log.info("memory"))["used_memory"]
    await log.config_set("maxmemory", int(used * share))


async def test_a_full_redis_refuses_before_the_first_write(own_redis: tuple[str, redis.asyncio.Redis]) -> None:
    url, log = own_redis
    async with running_admission(url) as admission:
        await admit(admission, "shop", Sent("a"), BROWSER)
        before = await stored(log)
        await leave_memory(log, 0.5)
        with pytest.raises(OverloadedError) as raised:
            await admit(admission, "shop", *[Sent(f"n-{number}", order=f"o-{number % 3}") for number in range(9)])
        assert raised.value.retry_delay_seconds > 0
        assert await stored(log) == before
        fill = LogFill(log)
        await fill.measure()
        assert fill.is_full


async def test_an_admission_over_the_soft_limit_refuses_without_asking_redis(
    own_redis: tuple[str, redis.asyncio.Redis],
) -> None:
    url, log = own_redis
    await prepare(url)
    await leave_memory(log, 1.1)  # over the soft limit, below the hard one
    async with running_admission(url) as admission:
        with pytest.raises(OverloadedError):
            await admit(admission, "shop", Sent("a"))
        assert await log.set("trb:room", "there is")
        assert (await stored(log)).claims == 0


SENDER = """
import asyncio, json, random, sys
from tests.support.admissions import Sent, a_request, running_admission
async def main(url, workspace, seed, ids):
    rng, tally = random.Random(seed), {}
    events = [Sent(f"e-{n}", order=f"o-{n % 250}" if n % 5 == 0 else "", rank=1 + n % 2) for n in range(ids)]
    rng.shuffle(events)
    async with running_admission(url) as admission:
        async def send(batch):
            for outcome in await admission.admit(a_request(workspace, batch)):
                tally[outcome.verdict] = tally.get(outcome.verdict, 0) + 1
        await asyncio.gather(*[send(events[at:at + 20]) for at in range(0, ids, 20)])
    print(json.dumps(tally))
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


async def test_four_processes_sending_the_same_events_accept_each_once(stores: Stores, workspace: str) -> None:
    redis_url = stores.empty_redis_url()  # of a cluster, the node that has the shard is one Redis, too
    await prepare(redis_url)
    number_of_ids = 1000
    senders = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SENDER, redis_url, workspace, str(seed), str(number_of_ids)),
            stdout=subprocess.PIPE,
        )
        for seed in range(4)
    ]
    tally: Counter[int] = Counter()
    for sender in senders:
        printed, _ = await sender.communicate()
        tally.update({int(verdict): count for verdict, count in json.loads(printed).items()})
    # 800 plain events are accepted, and one of the 4 observations of each of 50 orders.
    assert tally == {ACCEPTED: 850, DUPLICATE: 4 * number_of_ids - 850}
    async with connect(redis_url, name="tests") as log:
        found = await stored(log)
    assert_sides_agree(found)
    assert found.letters["A"] == 850
    assert found.letters["M"] == 150
    assert found.orders == 50
    assert found.claims == 800 + 200 + 200  # ordered events are registered in their shard and claimed in their order's
    assert found.counted == {"ACCEPTED": 850, "DUPLICATE": 4 * number_of_ids - 850}


async def test_a_claim_costs_at_most_24_bytes_at_the_volume_its_buckets_are_for(private_redis: RedisServer) -> None:
    epoch = Epoch("e", shards=1, claim_bucket_bits=11, create_time_micros=1)
    number_of_claims = 24 * 2**11
    placement, batch = Placement(epoch), 1024
    async with connect(private_redis.url, name="tests") as log:
        claims = Claims(log)
        await claims.commit([_claims_only(placement, range(batch))])
        before = (await log.info("memory"))["used_memory"]
        for first in range(batch, number_of_claims + batch, batch):
            await claims.commit([_claims_only(placement, range(first, first + batch))])
        after = (await log.info("memory"))["used_memory"]
        encodings = {
            await log.object("ENCODING", placement.claims_key(bytes(11) + bytes([n]) * 5, 0)) for n in range(99)
        }
    assert (after - before) / number_of_claims <= 24
    assert encodings <= {b"ziplist", b"listpack"}


def _claims_only(placement: Placement, numbers: range) -> Admit:
    """Returns registrations, which claim without appending."""
    requests = a_request("shop", [Sent(f"e-{number}", order="o") for number in numbers])
    (part,) = Call(requests.callers[0], "", placement).first_parts
    letters = b"o" * len(numbers)
    return Admit(0, "live", b"", letters, b"".join(part.claims), part.bucket_keys, runs=[("shop", len(numbers))])


async def test_a_sweep_removes_what_is_past_its_life_and_nothing_else(log: redis.asyncio.Redis) -> None:
    epoch = Epoch("e", shards=1, claim_bucket_bits=5, create_time_micros=1)
    units = int((await log.time())[0]) // 128
    claims = {name: units - age for name, age in {"new": 0, "36 days": 24_300, "38 days": 25_650}.items()}
    orders = {name: units - age for name, age in {"new": 0, "38 days": 25_650, "401 days": 270_675}.items()}
    for bucket in range(32):
        await log.hset(
            keys.claims(0, bucket), mapping={n: (u % 65536).to_bytes(2) + b"abcd" for n, u in claims.items()}
        )
        await log.hset(keys.orders(0, bucket), mapping={n: u.to_bytes(3) + b"1234567" for n, u in orders.items()})
    sweeper = Sweeper(log, epoch, random.Random(1))
    removed = [await sweeper.sweep_next() for _ in range(sweeper.steps)]
    assert sum(removed) == 64
    for bucket in range(32):
        assert set(await log.hkeys(keys.claims(0, bucket))) == {b"new", b"36 days"}
        assert set(await log.hkeys(keys.orders(0, bucket))) == {b"new", b"38 days"}


async def test_an_epoch_is_made_once_and_kept(log: redis.asyncio.Redis) -> None:
    first = await create_epoch({"log": log, "state": log}, AN_EPOCH)
    again = await create_epoch({"log": log, "jobs": log}, Epoch("another", 4, 6, 2))
    assert first == again == await read_epoch(log) == AN_EPOCH


async def test_the_shard_count_never_changes(log: redis.asyncio.Redis) -> None:
    await create_epoch({"log": log}, AN_EPOCH)
    with pytest.raises(PreconditionError, match="never changes"):
        await create_epoch({"log": log}, Epoch("another", 16, 6, 2))
