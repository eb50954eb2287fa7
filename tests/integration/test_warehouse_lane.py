"""A warehouse's lane: when it exports, what it says, and what it does when bucket, process or clock fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.delivery import Publisher, delivery_process, running
from tests.support.eventually import eventually_async
from tests.support.object_storage import (
    ACCESS_DENIED,
    SECRET,
    SLOW_DOWN,
    WRONG_KEY,
    Fault,
    ObjectStorage,
    running_object_storage,
)
from tests.support.revisions import Revision
from tests.support.warehouse import Warehousing, declared, warehousing
from tributary.delivery.v1.delivery_pb2 import OUTCOME_CLASS_CONFIG, OUTCOME_CLASS_OK, OUTCOME_CLASS_THROTTLED
from tributary_delivery.findings import Findings
from tributary_delivery.warehouse_trial import WarehouseTrialRun
from tributary_runtime.clock import SystemClock
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.warehouse_files import WarehouseFiles
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.warehouse_progress import WarehouseProgress


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[ObjectStorage]:
    with running_object_storage(tmp_path / "s3") as running_storage:
        yield running_storage


@pytest.fixture
async def books(
    workspace: str, storage: ObjectStorage, clickhouse_url: str, migrated_redis_url: str
) -> AsyncIterator[Warehousing]:
    async with warehousing(workspace, storage, clickhouse_url, migrated_redis_url) as opened:
        yield opened


def an_order(books: Warehousing, number: int = 1) -> Revision:
    return Revision(workspace=books.workspace, conversion_id=f"c1:{number}", order_id=f"o-{number}")


ONE = {"tables": ["conversions"]}
"""What is enough where it does not matter what is written."""


def progress(books: Warehousing) -> WarehouseProgress:
    return WarehouseProgress(books.redis)


def states(books: Warehousing) -> DestinationStates:
    return DestinationStates(books.redis)


async def test_what_waits_is_exported_when_its_time_has_come_and_said_until_then(books: Warehousing) -> None:
    lane = books.a_lane(**ONE, interval_seconds=3600)
    await lane.step()
    await books.write(an_order(books))
    await lane.step()
    place = await progress(books).read(books.lane)
    assert (place.waiting, place.oldest_micros > 0, books.storage.names()) == (1, True, [])
    await progress(books).note(books.lane, replace(place, through_micros=place.look_micros - 3_601 * 1_000_000))
    await lane.step()
    place = await progress(books).read(books.lane)
    assert (place.waiting, place.oldest_micros, len(books.manifests())) == (0, 0, 1)
    assert place.batch_id == books.manifests()[0]["batch_id"]
    assert (await states(books).read(books.lane)).last_outcome == OUTCOME_CLASS_OK


async def test_what_waits_for_the_revision_that_it_replaces_is_looked_at_again_without_anything_new(
    books: Warehousing,
) -> None:
    first, lane = an_order(books), books.a_lane(**ONE, interval_seconds=60)
    await lane.step()
    await books.write(first.then(value_micros=1))
    await a_minute_later(books)
    await lane.step()
    place = await progress(books).read(books.lane)
    assert (place.waiting, books.manifests()) == (1, []), "it is said, and not taken for done"
    await books.write(first)
    await lane.step()
    assert books.manifests() == [], "not before its time: nobody looks all the time for what may never come"
    await a_minute_later(books)
    await lane.step()
    assert [one["keys"] for one in books.manifests()] == [2]
    assert (await progress(books).read(books.lane)).waiting == 0


async def a_minute_later(books: Warehousing) -> None:
    """Has everything the lane remembers be a minute old."""
    place = await progress(books).read(books.lane)
    moved = {name: max(0, getattr(place, name) - 61_000_000) for name in ("through_micros", "try_micros")}
    await progress(books).note(books.lane, replace(place, **moved))


async def test_a_full_batch_does_not_wait(books: Warehousing) -> None:
    lane = books.a_lane(**ONE, interval_seconds=86_400, batch_rows=2)
    await lane.step()
    await books.write(an_order(books), an_order(books, 2))
    await lane.step()
    assert [one["keys"] for one in books.manifests()] == [2]


HOUR = 3_600_000_000


async def stated(books: Warehousing) -> list[str]:
    """Returns the conversions that a warehouse has that loads all there is."""
    gone = {one for (one,) in await books.rows("withdrawals", "conversion_id")} if _has(books, "withdrawals") else set()
    return sorted({one for (one,) in await books.rows("conversions", "conversion_id")} - gone)


def _has(books: Warehousing, table: str) -> bool:
    return any(f"p/{table}/" in name for name in books.storage.names(".parquet"))


async def test_what_an_erasure_leaves_comes_with_the_withdrawal_of_what_it_left_it_of(books: Warehousing) -> None:
    lane, begin = books.a_lane(**ONE, interval_seconds=60), SystemClock().unix_micros()
    await books.write(an_order(books))
    await lane.step()
    assert await stated(books) == ["c1:1"]
    await books.erasing("requested", begin)
    await books.write(an_order(books, 2), replace(an_order(books), conversion_id="s1:copy"))
    await books.forget("c1:1")
    await a_minute_later(books)
    await lane.step()
    assert await stated(books) == ["c1:1", "c1:2"], "what is new is exported, what the erasure leaves is not yet"
    await books.erasing("destroyed", begin)
    await books.erasing("requested", begin + 1)
    await lane.step()
    assert await stated(books) == ["c1:1", "c1:2"], "another is at it"
    await books.erasing("destroyed", begin + 1)
    await lane.step()
    assert await stated(books) == ["c1:2", "s1:copy"]


async def test_what_a_run_left_that_ended_just_now_waits_for_the_sweep(books: Warehousing) -> None:
    export, begin = books.export(**ONE), SystemClock().unix_micros()
    await books.erasing("finished", begin)
    await books.write(an_order(books), replace(an_order(books, 2), conversion_id="s1:before"))
    await export.export_new((await export.waiting(0)).erasures)
    assert await stated(books) == ["c1:1", "s1:before"], "of a warehouse that is new"
    looked = await export.waiting(0)
    await books.erasing("destroyed", begin + 1)
    await books.write(an_order(books, 3), replace(an_order(books), conversion_id="s1:copy"))
    await books.forget("c1:1")
    await export.export_new(looked.erasures)
    assert await stated(books) == ["c1:1", "c1:3", "s1:before"]
    await export.sweep(looked.exported)
    assert await stated(books) == ["c1:3", "s1:before", "s1:copy"]


async def test_one_erasure_that_is_done_again_hides_no_step_of_another(books: Warehousing) -> None:
    lane, begin = books.a_lane(**ONE, interval_seconds=60), SystemClock().unix_micros()
    await books.erasing("finished", begin)
    await books.write(an_order(books))
    await lane.step()
    assert await stated(books) == ["c1:1"]
    await books.erasing("destroyed", begin)
    await books.erasing("destroyed", begin + 1)
    await books.write(replace(an_order(books), conversion_id="s1:copy"))
    await books.forget("c1:1")
    await a_minute_later(books)
    await lane.step()
    assert await stated(books) == ["s1:copy"]


async def test_an_erasure_that_does_not_end_keeps_nothing_from_the_warehouse_for_long(books: Warehousing) -> None:
    lane, begin = books.a_lane(**ONE, interval_seconds=60), SystemClock().unix_micros()
    await books.write(an_order(books))
    await lane.step()
    await books.erasing("requested", begin - HOUR)
    await books.erase("c1:1")
    await books.write(replace(an_order(books), conversion_id="s1:copy"))
    await lane.step()
    assert await stated(books) == ["s1:copy"]


@pytest.mark.parametrize("fault", [ACCESS_DENIED, WRONG_KEY], ids=lambda one: one.code)
async def test_a_bucket_that_refuses_us_pauses_the_destination_and_says_what_to_do(
    books: Warehousing, fault: Fault
) -> None:
    await books.write(an_order(books))
    books.storage.fault = lambda method, path: fault
    lane = books.a_lane(**ONE)
    assert await lane.step() > 0
    state = await states(books).read(books.lane)
    assert state.last_outcome == OUTCOME_CLASS_CONFIG
    assert fault.message in state.pause_reason
    assert "tributary deliveries resume books" in state.pause_reason
    assert SECRET not in state.pause_reason
    asked = len(books.storage.requests)
    await books.a_lane(**ONE).step()
    assert len(books.storage.requests) == asked, "a restart mends nothing"
    books.storage.fault = lambda method, path: None
    await books.a_lane(**ONE, batch_rows=2).step()
    assert [one["keys"] for one in books.manifests()] == [1], "under other settings it is tried at once"


async def test_a_bucket_that_sends_us_elsewhere_is_not_followed(books: Warehousing, tmp_path: Path) -> None:
    await books.write(an_order(books))
    with running_object_storage(tmp_path / "elsewhere") as elsewhere:
        sent = Fault(307, "TemporaryRedirect", location=f"http://127.0.0.1:{elsewhere.port}")
        books.storage.fault = lambda method, path: sent
        assert await books.a_lane(**ONE).step() > 0
        assert (elsewhere.requests, books.manifests()) == ([], [])
    assert "redirects" in (await states(books).read(books.lane)).pause_reason


async def test_a_bucket_that_is_not_there_is_a_matter_of_configuration(books: Warehousing) -> None:
    await books.write(an_order(books))
    await books.a_lane(**ONE, bucket="elsewhere").step()
    assert "does not exist" in (await states(books).read(books.lane)).pause_reason


async def test_a_bucket_that_is_too_busy_is_asked_again_and_gets_the_same_batch(books: Warehousing) -> None:
    await books.write(an_order(books))
    books.storage.fault = lambda method, path: SLOW_DOWN
    lane = books.a_lane(**ONE)
    assert await lane.step() > 0
    state = await states(books).read(books.lane)
    assert (state.last_outcome, state.paused_until_millis) == (OUTCOME_CLASS_THROTTLED, 0)
    books.storage.fault = lambda method, path: None
    assert await lane.step() == 0
    assert [one["keys"] for one in books.manifests()] == [1]


async def test_without_a_manifest_a_batch_is_nothing_and_is_finished_by_whoever_comes(books: Warehousing) -> None:
    await books.write(an_order(books))
    books.storage.fault = lambda method, path: SLOW_DOWN if "_manifests" in path else None
    await books.a_lane(**ONE).step()
    [file] = books.storage.names(".parquet")
    before = books.storage.read(file)
    assert books.manifests() == []
    books.storage.fault = lambda method, path: None
    await books.write(an_order(books, 2))
    await books.a_lane(**ONE, interval_seconds=86_400).step()
    assert books.storage.read(file) == before
    assert sorted(one["keys"] for one in books.manifests()) == [1, 1]


async def test_a_destination_that_is_held_exports_nothing(books: Warehousing) -> None:
    await books.write(an_order(books))
    await states(books).hold(books.lane, "the quarter is being closed")
    lane = books.a_lane(**ONE)
    await lane.step()
    assert books.storage.requests == []
    await states(books).release(books.lane)
    await lane.step()
    assert len(books.manifests()) == 1


async def test_one_replica_exports_for_all_until_it_ends(books: Warehousing) -> None:
    await books.write(an_order(books))
    assert await progress(books).hold(books.lane, "another", 60)
    lane = books.a_lane(**ONE)
    await lane.step()
    assert books.storage.requests == []
    await progress(books).release(books.lane, "another")
    await lane.step()
    assert len(books.manifests()) == 1


async def not_again() -> bool:
    return False


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        pytest.param(None, "was written and read", id="well"),
        pytest.param(ACCESS_DENIED, "CONFIG: Access Denied", id="refused"),
    ],
)
async def test_a_bucket_is_tried_out_without_a_batch(books: Warehousing, fault: Fault | None, told: str) -> None:
    books.storage.fault = lambda method, path: fault
    findings = Findings()
    trial = WarehouseTrialRun(books.settings(), WarehouseFiles(books.clickhouse))
    await trial.prepare(findings)
    await trial.call(findings, not_again)
    answer = findings.response()
    assert answer.passed is (fault is None)
    assert told in answer.steps[-1].message
    assert SECRET not in str(answer)
    assert books.manifests() == []


async def test_two_that_decide_at_once_export_the_same_row_twice_and_no_row_never(books: Warehousing) -> None:
    await books.write(*(an_order(books, number) for number in range(6)))
    await asyncio.gather(*(books.export(**ONE, batch_rows=2).export_new() for _ in range(2)))
    rows = await books.rows("conversions", "conversion_id, revision")
    assert {row[0] for row in rows} == {f"c1:{number}" for number in range(6)}


async def test_a_clock_that_was_set_back_hides_no_revision(books: Warehousing) -> None:
    lane = books.a_lane(**ONE)
    await books.write(an_order(books))
    await lane.step()
    place = await progress(books).read(books.lane)
    # A year ahead, and back: meanwhile one was recorded under the right time, and another three days before it.
    await progress(books).note(books.lane, replace(place, through_micros=place.through_micros + 365 * 86_400_000_000))
    await books.write(an_order(books, 2), an_order(books, 3))
    await _record_earlier(books, "c1:3", days=3)
    await lane.step()
    assert {row[0] for row in await books.rows("conversions", "conversion_id")} == {"c1:1", "c1:2", "c1:3"}
    place = await progress(books).read(books.lane)
    assert place.through_micros == place.look_micros


async def test_what_a_slow_clock_hid_is_found_within_a_day(books: Warehousing) -> None:
    lane = books.a_lane(**ONE)
    await books.write(an_order(books))
    await lane.step()
    await books.write(an_order(books, 2))
    await _record_earlier(books, "c1:2", days=30)
    await lane.step()
    assert len(await books.rows("conversions", "conversion_id")) == 1
    place = await progress(books).read(books.lane)
    await progress(books).note(books.lane, replace(place, sweep_micros=place.sweep_micros - 86_400_000_000))
    await lane.step()
    assert len(await books.rows("conversions", "conversion_id")) == 2


async def _record_earlier(books: Warehousing, conversion_id: str, days: int) -> None:
    """Has a revision recorded as if a clock had been slow."""
    about = {"workspace": books.workspace, "conversion_id": conversion_id}
    where = "WHERE workspace = %(workspace)s AND conversion_id = %(conversion_id)s"
    await books.clickhouse.execute(
        f"ALTER TABLE conversion_revisions UPDATE record_time = record_time - INTERVAL {days} DAY {where}"
        " SETTINGS mutations_sync = 2",
        about,
    )


async def test_delivery_killed_between_file_and_manifest_goes_on_where_it_was(
    books: Warehousing, tmp_path: Path, migrated_redis_url: str, clickhouse_url: str
) -> None:
    is_reached, is_let = threading.Event(), threading.Event()

    def hold(method: str, path: str) -> Fault | None:
        if "_manifests" in path:
            is_reached.set()
            is_let.wait(60)
        return None

    books.storage.fault = hold
    publisher = Publisher(books.redis, books.clickhouse)
    await publisher.publish(an_order(books))
    warehouse = declared(books.storage, interval_seconds=1)
    process = delivery_process(tmp_path, migrated_redis_url, clickhouse_url, {books.workspace: [warehouse]})
    with running(process):
        assert await asyncio.to_thread(is_reached.wait, 60)
        process.kill()
        files = {name: books.storage.read(name) for name in books.storage.names(".parquet")}
        assert files
        is_let.set()
        process.start()
        await asyncio.to_thread(process.wait_until_ready)
        await eventually_async(lambda: len(books.manifests()) == 1)
        await publisher.publish(an_order(books, 2))
        await eventually_async(lambda: len(books.manifests()) == 2)
    assert {name: books.storage.read(name) for name in files} == files
    assert await books.rows("conversions", "conversion_id") == [("c1:1",), ("c1:2",)]
    assert await DeliveryJobs(books.redis).waiting(books.lane) == 0, "a warehouse is told of no conversion by itself"
    assert await ConversionHistory(books.clickhouse).deliveries(books.workspace, "c1:1") == []
