"""One answer of why a conversion has its credit is of one revision, also while ClickHouse does not have it yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from tests.support.attribution import DAY, NOON, Admitted, Attribution, Events, entry, running_attribution
from tests.support.ports import free_address
from tributary.attribution.v1 import attribution_service_pb2_grpc as attribution_grpc
from tributary.query.v1.query_service_pb2 import ExplainConversionRequest, ExplainConversionResponse
from tributary_attribution.servicer import AttributionServicer
from tributary_query.explanations import Explanations
from tributary_query.naming import ConversionNames
from tributary_runtime.channels import open_channel
from tributary_storage.clickhouse.conversion_history import ConversionHistory
from tributary_storage.clickhouse.past_events import PastEvents
from tributary_storage.clickhouse.quarantine import QuarantinedEvents


class RecorderPausedError(Exception):
    """What was published is stored nowhere yet."""


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace) as running:
        yield running


@pytest.fixture
async def explanations(attribution: Attribution) -> AsyncIterator[Explanations]:
    """What asks attribution over a wire, and ClickHouse."""
    not_asked: Any = None
    servicer = AttributionServicer(attribution.journeys, attribution.explainer, *([not_asked] * 4))
    server, address = grpc.aio.server(), free_address()
    servicer.add_to(server)
    server.add_insecure_port(address)
    await server.start()
    history = ConversionHistory(attribution.clickhouse)
    try:
        async with open_channel(address) as channel:
            yield Explanations(
                attribution_grpc.AttributionServiceStub(channel),
                history,
                ConversionNames(history, lambda _, ids: ids),
                PastEvents(attribution.clickhouse),
                QuarantinedEvents(attribution.clickhouse),
            )
    finally:
        await server.stop(None)


@pytest.fixture
def events(workspace: str) -> Events:
    return Events(workspace)


async def publish(attribution: Attribution, *events: Admitted) -> None:
    """Publishes what events change, and stops before it is stored."""

    def pause() -> None:
        raise RecorderPausedError

    with pytest.raises(RecorderPausedError):
        await attribution.attributor.handle([entry(attribution.workspace.id, events)], published=pause)


async def test_an_answer_is_of_one_revision_before_clickhouse_has_it_and_after(
    attribution: Attribution, explanations: Explanations, events: Events
) -> None:
    workspace, conversion_id = attribution.workspace.id, events.conversion_id()

    async def explain() -> ExplainConversionResponse:
        answer = await explanations.explain(ExplainConversionRequest(conversion_id=conversion_id), workspace)
        assert answer.newest.revision == answer.revisions[-1].revision == answer.explanation.revision
        assert answer.explanation.reproduces_revision
        shares = next(model.shares for model in answer.explanation.models if model.name == "linear")
        assert [one.event_id for one in shares] == [one.event_id for one in answer.newest.state.touches]
        return answer

    bought = [events.touch("visitor:a", channel="Email", event_id="mail"), events.order("visitor:a")]
    late = [events.touch("visitor:a", at=NOON - DAY // 2, channel="SMS", event_id="late")]
    refund = [events.refund(1_000_000, event_id="refund")]
    await publish(attribution, *bought)
    unstored = await explain()  # nothing of it is in ClickHouse
    assert not await attribution.stored_revisions(conversion_id)
    await attribution.handle(*bought)
    first = await explain()
    assert first == unstored
    await publish(attribution, *late)
    await publish(attribution, *refund)
    unstored = await explain()
    assert await attribution.stored_revisions(conversion_id) == [first.newest.revision]
    assert len(unstored.revisions) == 3
    assert list(unstored.newest.causing_event_ids) == ["refund"]
    await attribution.handle(*late, *refund)
    assert await explain() == unstored
    assert len(await attribution.stored_revisions(conversion_id)) == 3
