"""One trace runs from the caller's request through the streams to the ClickHouse insert and the webhook call."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from tests.e2e.conftest import Observed
from tests.support.eventually import eventually
from tests.support.inbox import Webhook
from tests.support.shop import Shop, a_visit, an_order, open_shop
from tributary_cli.stack.health import SERVICES
from tributary_client import Tributary
from tributary_runtime import metrics  # noqa: F401 - declares the catalogue
from tributary_runtime.instruments import catalogue

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE_ID}-00f067aa0ba902b7-01"

EDGES = {
    "the-call": ("ingestion", "tributary.ingestion.v1.IngestionService/IngestEvents", {}),
    "the-claim": ("dedup", "tributary.dedup.v1.DedupService/AdmitEvents", {}),
    "the-recorder": ("dedup", "record batch", {}),
    "the-event's-row": ("dedup", "clickhouse insert", {"table": "events"}),
    "the-attributor": ("attribution", "attribute batch", {}),
    "the-revision's-row": ("attribution", "clickhouse insert", {"table": "conversion_revisions"}),
    "the-planner": ("delivery", "plan deliveries", {}),
    "the-delivery": ("delivery", "deliver", {}),
}
"""Edge -> the service, the span and what it says."""


@dataclass(frozen=True)
class Traced:
    """One order that a client sent within its own trace."""

    observed: Observed
    shop: Shop
    webhook: Webhook


@pytest.fixture(scope="module")
def traced(observed: Observed) -> Iterator[Traced]:
    """Sends the order, and waits until it was delivered."""
    workspace = observed.workspaces["traced"]
    target = observed.stack.addresses["ingestion"]
    with (
        open_shop(observed.stack.addresses, workspace, observed.inbox) as shop,
        Tributary(target, api_key=workspace.api_key, traceparent=lambda: CALLER) as client,
    ):
        shop.wait_until_logs_are_read()  # what is handled in one batch with others may hang on a trace of theirs
        order_id = f"traced-{secrets.token_hex(4)}"  # another one each time
        (verdict,) = client.ingest([an_order(order_id, customer_id=f"c-{order_id}")])
        (webhook,) = shop.wait_for_webhooks(
            verdict.conversion_id, shop.wait_for_value(order_id, 100_000_000).newest.revision
        )
        yield Traced(observed, shop, webhook)


@pytest.mark.parametrize("edge", EDGES)
def test_every_edge_has_a_span_of_the_callers_trace(traced: Traced, edge: str) -> None:
    service, name, attributes = EDGES[edge]

    def found() -> None:
        spans = traced.observed.collector.trace(TRACE_ID)
        seen = [(span.service, span.name, span.attributes) for span in spans]
        assert [span for span in seen if span[:2] == (service, name) and attributes.items() <= span[2].items()], seen

    eventually(found)


def test_every_span_of_the_trace_hangs_on_another_or_on_the_caller(traced: Traced) -> None:
    def whole() -> None:
        spans = traced.observed.collector.trace(TRACE_ID)
        known = {CALLER.split("-")[2], *(span.span_id for span in spans)}
        assert {service for service, _, _ in EDGES.values()} <= {span.service for span in spans}
        assert [span for span in spans if span.parent_id not in known] == []

    eventually(whole)


def test_the_webhook_carries_the_trace(traced: Traced) -> None:
    traceparent = traced.webhook.headers["traceparent"]
    assert traceparent.split("-")[1] == TRACE_ID

    def sent_by_a_span() -> None:
        assert traceparent.split("-")[2] in {span.span_id for span in traced.observed.collector.trace(TRACE_ID)}

    eventually(sent_by_a_span)


@pytest.mark.parametrize("service", ["ingestion", "dedup", "attribution", "delivery"])
def test_the_log_of_a_service_names_the_trace(traced: Traced, service: str) -> None:
    log = traced.observed.stack.services[service].log_file

    def named() -> None:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        assert [line for line in lines if line.get("trace_id") == TRACE_ID]

    eventually(named)


@pytest.mark.parametrize("service", SERVICES)
def test_the_metrics_of_a_service_are_those_of_the_catalogue(traced: Traced, service: str) -> None:
    known = {instrument.name for instrument in catalogue()}

    def arrived() -> None:
        names = traced.observed.collector.metrics.get(service, set())
        assert "tributary.rpc.duration" in names or names & known, names
        assert names <= known

    eventually(arrived)


def test_events_of_several_callers_are_traced_though_they_are_handled_together(traced: Traced) -> None:
    workspace = traced.observed.workspaces["traced"]
    trace_ids = [f"{number:032x}" for number in range(1, 9)]
    target = traced.observed.stack.addresses["ingestion"]
    remaining = iter(trace_ids)
    with Tributary(
        target, api_key=workspace.api_key, traceparent=lambda: f"00-{next(remaining)}-00f067aa0ba902b7-01"
    ) as client:
        for trace_id in trace_ids:
            client.ingest([a_visit(timedelta(hours=1), visitor_id=trace_id)])

    def reached() -> None:
        spans = list(traced.observed.collector.spans)
        attributed = [span for span in spans if span.name == "attribute batch"]
        reached = {trace_id for span in attributed for trace_id in (span.trace_id, *span.links)}
        assert set(trace_ids) <= reached

    eventually(reached)
