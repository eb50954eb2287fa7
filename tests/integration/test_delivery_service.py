"""Delivery as a process: from the conversion log to the receiver, and what it says of its destinations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from pydantic import SecretStr

from tests.support.delivery import INTERNAL_TOKEN, Rig, a_rig, declared, delivery_process, running
from tests.support.destinations import Answer, Endpoint, running_endpoint
from tests.support.eventually import eventually_async
from tests.support.revisions import Revision
from tests.support.stores import Stores, create_test_epoch
from tributary.delivery.v1 import delivery_service_pb2_grpc
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_ACCEPTED,
    INELIGIBLE_REASON_NOT_MAPPED,
    OUTCOME_CLASS_CONFIG,
    OUTCOME_CLASS_OK,
)
from tributary.delivery.v1.delivery_service_pb2 import DestinationStatus, ListDestinationsRequest
from tributary_cli.stack.services import ServiceProcess
from tributary_runtime.channels import open_channel
from tributary_storage.redis import keys
from tributary_storage.redis.client import connect
from tributary_storage.redis.delivery_job import Lane


@pytest.fixture
async def rig(migrated_redis_url: str, clickhouse_url: str) -> AsyncIterator[Rig]:
    async with a_rig(migrated_redis_url, clickhouse_url) as opened:
        yield opened


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with running_endpoint() as opened:
        yield opened


async def publish(rig: Rig, *revisions: Revision) -> None:
    await rig.publisher.store(*[await rig.publisher.publish(one, stored=False) for one in revisions])


async def destinations(process: ServiceProcess, workspace: str, size: int = 0) -> list[DestinationStatus]:
    async with open_channel(process.address, SecretStr(INTERNAL_TOKEN)) as channel:
        stub = delivery_service_pb2_grpc.DeliveryServiceStub(channel)
        found: list[DestinationStatus] = []
        request = ListDestinationsRequest(workspace=workspace, page_size=size)
        while True:
            response = await stub.ListDestinations(request)
            found += response.destinations
            if not response.next_page_token:
                return found
            request.page_token = response.next_page_token


async def test_what_was_published_reaches_every_destination_and_each_says_how_it_is(
    rig: Rig, endpoint: Endpoint, migrated_redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path
) -> None:
    async with running_endpoint() as gone:
        gone.usual = Answer(410)
        declarations = [
            declared(endpoint.url, "erp"),
            declared(gone.url, "gone"),
            declared(endpoint.url, "held", paused=True),
            declared(endpoint.url, "leads", conversions={"lead": {}}),
        ]
        process = delivery_process(tmp_path, migrated_redis_url, clickhouse_url, {workspace: declarations})
        with running(process):
            await publish(rig, Revision(workspace=workspace), Revision(workspace=workspace, conversion_id="c1:two"))
            await eventually_async(lambda: len(endpoint.created) == 2)

            async def told() -> list[DestinationStatus]:
                found = await destinations(process, workspace, size=3)
                assert [one.last_outcome for one in found[:2]] == [OUTCOME_CLASS_OK, OUTCOME_CLASS_CONFIG]
                assert found[0].pending == 0
                return found

            erp, closed, held, leads = await eventually_async(told)
            assert [one.destination_id for one in (erp, closed, held, leads)] == ["erp", "gone", "held", "leads"]
            assert (erp.paused, erp.pending, erp.type) == (False, 0, "webhook")
            assert (closed.paused, closed.pending) == (True, 2)
            assert closed.pause_reason == "The destination is gone (410)."
            assert (held.paused, held.pending) == (True, 2)
            assert held.oldest_plan_time.ToMicroseconds() > 0
            assert not erp.HasField("oldest_plan_time")
            assert (leads.pending, leads.last_outcome) == (0, 0)
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await destinations(process, "no-such-workspace")
            assert refusal.value.code() == grpc.StatusCode.NOT_FOUND
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await destinations(process, workspace, size=-1)
            assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert len(gone.calls) <= 2
    [line] = await rig.deliveries(Lane(workspace, "leads"), "c1:two")
    assert line.ineligible_reason == INELIGIBLE_REASON_NOT_MAPPED
    log = (tmp_path / "delivery.log").read_text()
    assert endpoint.url not in log
    assert "whsec_" not in log


async def test_a_destination_added_to_the_file_gets_what_follows_and_one_taken_away_nothing(
    rig: Rig, endpoint: Endpoint, migrated_redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path
) -> None:
    process = delivery_process(
        tmp_path, migrated_redis_url, clickhouse_url, {workspace: [declared(endpoint.url, "old")]}
    )
    async with running_endpoint() as added:
        with running(process):
            first = Revision(workspace=workspace)
            await publish(rig, first)
            await eventually_async(lambda: len(endpoint.calls) == 1)
            _declare(tmp_path, declared(added.url, "new"))

            async def is_taken() -> bool:
                return [one.destination_id for one in await destinations(process, workspace)] == ["new"]

            await eventually_async(is_taken)
            await publish(rig, first.then(value_micros=1_000_000))
            await eventually_async(lambda: len(added.calls) == 1)
    assert len(endpoint.calls) == 1
    assert added.types("c1:one") == ["created"], "to this destination it is new"


def _declare(directory: Path, *declarations: dict[str, Any]) -> None:
    file = directory / "workspaces.yaml"
    content = yaml.safe_load(file.read_text())
    content["workspaces"][0]["destinations"] = list(declarations)
    file.write_text(yaml.safe_dump(content))


async def test_another_redis_of_the_jobs_is_noticed(
    rig: Rig, endpoint: Endpoint, migrated_redis_url: str, stores: Stores, workspace: str, tmp_path: Path
) -> None:
    jobs_url = stores.empty_redis_url()
    await create_test_epoch(jobs_url)
    settings = {"TRIBUTARY_JOBS_URL": jobs_url}
    process = delivery_process(
        tmp_path, migrated_redis_url, stores.clickhouse_url, {workspace: [declared(endpoint.url)]}, settings
    )
    with running(process):
        async with connect(jobs_url, name="tests") as jobs:
            await jobs.hset(keys.EPOCH, "epoch_id", "of-another-installation")

        def is_noticed() -> bool:
            return "The Redis of role jobs holds other data" in (tmp_path / "delivery.log").read_text()

        await eventually_async(is_noticed)
        with pytest.raises(grpc.aio.AioRpcError):
            await destinations(process, workspace)


async def test_a_stop_finishes_the_calls_under_way_and_leaves_nothing_to_repeat(
    rig: Rig, endpoint: Endpoint, migrated_redis_url: str, clickhouse_url: str, workspace: str, tmp_path: Path
) -> None:
    answered = asyncio.Event()
    endpoint.answers.append(Answer(waits_for=answered))
    settings = {"TRIBUTARY_DELIVERY_CALL_SECONDS": "10"}
    process = delivery_process(
        tmp_path, migrated_redis_url, clickhouse_url, {workspace: [declared(endpoint.url)]}, settings
    )
    with running(process):
        await publish(rig, Revision(workspace=workspace))
        await eventually_async(lambda: endpoint.calls)
        process.ask_to_stop()
        stopping = asyncio.create_task(asyncio.to_thread(process.stop))
        await eventually_async(lambda: "server_draining" in (tmp_path / "delivery.log").read_text())
        answered.set()
        await stopping
    [delivery] = await rig.deliveries(Lane(workspace, "crm"), "c1:one")
    assert (delivery.state, delivery.attempts) == (DELIVERY_STATE_ACCEPTED, 1)
    assert await rig.stores.jobs.waiting(Lane(workspace, "crm")) == 0
    assert len(endpoint.calls) == 1
