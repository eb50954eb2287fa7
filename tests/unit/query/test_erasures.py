"""Who does not hear whether an erasure was begun is told that it may have been, and what to do."""

from __future__ import annotations

import grpc
import pytest

from tests.support.ports import free_port
from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceStub
from tributary.query.v1.query_service_pb2 import ErasePersonRequest
from tributary_query.erasures import Erasures
from tributary_runtime.channels import open_channel
from tributary_runtime.errors import UnavailableError


async def test_an_erasure_that_may_have_been_begun_is_said_to_go_on() -> None:
    async with open_channel(f"127.0.0.1:{free_port()}") as channel:
        erasures = Erasures(AttributionServiceStub(channel))
        with pytest.raises(UnavailableError, match=r"it goes on by itself\. To ask again does no harm"):
            await erasures.erase(ErasePersonRequest(person_id="p1:x"), "shop", "key", 60.0)


async def test_what_is_only_looked_at_begins_nothing() -> None:
    async with open_channel(f"127.0.0.1:{free_port()}") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await Erasures(AttributionServiceStub(channel)).erase(
                ErasePersonRequest(person_id="p1:x", dry_run=True), "shop", "key", 60.0
            )
