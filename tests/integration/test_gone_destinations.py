"""A destination that was taken out of the file hears, once it is back, how what it has of before changed meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.support.batches import a_purchase, declared_batches, deliver, publish, running_fake
from tests.support.delivery import Rig, a_rig, declared
from tests.support.delivery_funnel import funnel
from tests.support.revisions import Revision
from tributary.delivery.v1.delivery_pb2 import DELIVERY_STATE_UNDELIVERABLE_CORRECTION
from tributary_delivery.destination_spans import DestinationSpans
from tributary_delivery.planner import Planner
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import StorageUnavailableError
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces_file import WorkspacesFile
from tributary_storage.clickhouse.destination_spans import DestinationSpans as StoredSpans
from tributary_storage.clickhouse.destination_spans import Span
from tributary_storage.redis.conversion_log import RevisionEntry
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.delivery_jobs import SENT_LIFE_SECONDS
from tributary_storage.redis.stream_entries import StreamEntry

CRM = declared("http://127.0.0.1:1/hook")


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


class Shop:
    """A workspace whose destinations change, and the planner of a replica that reads it."""

    def __init__(self, rig: Rig, lane: Lane, path: Path, spans: StoredSpans | None = None) -> None:
        self._rig = rig
        self._lane = lane
        self._path = path
        self._mapped = declared_batches(lane.destination, "http://127.0.0.1:1") if lane.destination != "crm" else CRM
        self._write(is_there=True)
        self._file = WorkspacesFile.load(path)
        clock, noted = SystemClock(), DestinationSpans(spans or StoredSpans(rig.clickhouse))
        lookup = WorkspaceLookup(self._file, clock, 0)
        self._planner = Planner(lookup, rig.stores.jobs, rig.stores.ledger, noted, clock, lambda lane: None)

    def change(self, *, is_there: bool) -> None:
        """Takes the destination out of the file, or puts it back."""
        self._write(is_there=is_there)
        assert self._file.reload_if_changed()

    async def publish(self, revisions: Sequence[Revision]) -> None:
        """Publishes revisions one by one, and plans them as the file says now."""
        for revision in revisions:
            [message] = await publish(self._rig, self._lane, [revision], is_planned=False)
            await self._planner.handle_single(RevisionEntry(StreamEntry("", "1-0", {}, 1)), message)

    async def waiting(self, destination: str = "") -> int:
        """Returns how many conversions wait for the destination, or another one."""
        return await self._rig.stores.jobs.waiting(Lane(self._lane.workspace, destination or self._lane.destination))

    def _write(self, *, is_there: bool) -> None:
        always = {**CRM, "id": "always"}
        known = {"id": self._lane.workspace, "pepper": {"value": "a pepper"}}
        known["destinations"] = [always, self._mapped] if is_there else [always]
        self._path.write_text(yaml.safe_dump({"workspaces": [known]}), encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "has", "becomes"),
    [
        pytest.param("google", [70], "adjusted", id="one that can be told"),
        pytest.param("meta", [90], "not_correctable", id="one that cannot"),
    ],
)
async def test_a_refund_while_a_destination_was_out_of_the_file_is_dealt_with_when_it_is_back(
    rig: Rig, workspace: str, tmp_path: Path, kind: str, has: list[int], becomes: str
) -> None:
    lane = Lane(workspace, kind)
    shop, told = Shop(rig, lane, tmp_path / "workspaces.yaml"), a_purchase(lane)
    with running_fake(kind) as server:
        await shop.publish([told])
        await deliver(rig, lane, server)
        shop.change(is_there=False)
        new = a_purchase(lane, 1)
        await shop.publish([told.then(value_micros=70_000_000), new, new.then(value_micros=60_000_000)])
        assert await shop.waiting() == 1, "what it never was told of is not captured"
        assert (await funnel(rig, lane))["captured"] == 1
        shop.change(is_there=True)
        await deliver(rig, lane, server)
        assert list(server.fake.values.values()) == has
    stands = await funnel(rig, lane)
    assert (stands["captured"], stands["accepted"], stands[becomes]) == (1, 1, 1)
    left = [one for one in await rig.deliveries(lane, "c1:0000") if one.HasField("residual")]
    if becomes == "not_correctable":
        assert [(one.state, one.residual.amount_micros) for one in left] == [
            (DELIVERY_STATE_UNDELIVERABLE_CORRECTION, 20_000_000)
        ]


async def test_what_waited_when_a_destination_was_taken_out_is_told_as_it_is_by_then(
    rig: Rig, workspace: str, tmp_path: Path
) -> None:
    lane = Lane(workspace, "google")
    shop, waits = Shop(rig, lane, tmp_path / "workspaces.yaml"), a_purchase(lane)
    await shop.publish([waits])
    shop.change(is_there=False)
    await shop.publish([waits.then(value_micros=70_000_000)])
    shop.change(is_there=True)
    with running_fake("google") as server:
        await deliver(rig, lane, server)
        assert list(server.fake.values.values()) == [70]
        assert len(server.asks) == 1
    assert (await funnel(rig, lane))["accepted"] == 1


async def test_a_replica_that_planned_nothing_for_a_destination_while_it_was_there_knows_that_it_is_gone(
    rig: Rig, workspace: str, tmp_path: Path
) -> None:
    lane = Lane(workspace, "google")
    one, another = (Shop(rig, lane, tmp_path / f"{name}.yaml") for name in ("one", "another"))
    another.change(is_there=False)
    earlier = a_purchase(lane, 7)
    await another.publish([earlier, earlier.then(value_micros=1)])
    another.change(is_there=True)
    told = a_purchase(lane)
    with running_fake("google") as server:
        await one.publish([told])
        await deliver(rig, lane, server)
    another.change(is_there=False)
    await another.publish([told.then(value_micros=70_000_000)])
    assert await another.waiting() == 1


class _Out(StoredSpans):
    """Does not answer who reads."""

    async def of(self, workspace: str) -> list[Span]:
        raise StorageUnavailableError("ClickHouse did not answer.")


async def test_a_change_is_not_acknowledged_while_nobody_can_tell_who_is_gone_but_waits_for_who_is_there(
    rig: Rig, workspace: str, tmp_path: Path
) -> None:
    lane, bought = Lane(workspace, "google"), a_purchase(Lane(workspace, "google"))
    shop = Shop(rig, lane, tmp_path / "workspaces.yaml", _Out(rig.clickhouse))
    await shop.publish([bought])
    with pytest.raises(StorageUnavailableError):
        await shop.publish([bought.then(value_micros=70_000_000)])
    assert await shop.waiting("always") == await shop.waiting() == 1


async def test_nothing_is_asked_of_who_is_gone_for_longer_than_anybody_knows_what_it_took(
    rig: Rig, workspace: str, tmp_path: Path
) -> None:
    now = SystemClock().unix_micros()
    long_ago, lately = (now - (SENT_LIFE_SECONDS + seconds) * 1_000_000 for seconds in (60, -60))
    stored = StoredSpans(rig.clickhouse)
    ended = [Span(workspace, "past", 1, long_ago), Span(workspace, "twice", 1, long_ago)]
    await stored.write([*ended, Span(workspace, "twice", 2, lately), Span(workspace, "open", 1)])
    known = {"id": workspace, "pepper": {"value": "a pepper"}, "destinations": [CRM]}
    (tmp_path / "workspaces.yaml").write_text(yaml.safe_dump({"workspaces": [known]}), encoding="utf-8")
    declaring = WorkspacesFile.load(tmp_path / "workspaces.yaml").get(workspace)
    assert await DestinationSpans(stored).gone(declaring, now - SENT_LIFE_SECONDS * 1_000_000) == ["open", "twice"]
