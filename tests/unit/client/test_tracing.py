"""W3C trace context of batches, with a real tracer."""

from __future__ import annotations

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tributary_client import tracing

A = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
B = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203332-01"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Collects the spans of a provider that is this test's alone."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(otel, "get_tracer", provider.get_tracer)
    return exporter


def test_an_event_belongs_to_the_current_span(exporter: InMemorySpanExporter) -> None:
    assert tracing.current_traceparent() == ""
    with otel.get_tracer("test").start_as_current_span("checkout") as span:
        context = span.get_span_context()
        assert tracing.current_traceparent().startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")


@pytest.mark.parametrize(("events", "batch"), [(["", ""], ""), (["", A, A], A)])
def test_a_batch_of_one_trace_belongs_to_it(exporter: InMemorySpanExporter, events: list[str], batch: str) -> None:
    traced = tracing.trace(events)
    traced.end()
    assert traced.traceparent == batch
    assert exporter.get_finished_spans() == ()


def test_a_batch_of_several_traces_is_one_of_its_own_linked_to_each(exporter: InMemorySpanExporter) -> None:
    traced = tracing.trace([A, B, A, "nonsense"])
    assert exporter.get_finished_spans() == ()
    traced.end()
    (span,) = exporter.get_finished_spans()
    assert span.parent is None
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [A[3:35], B[3:35]]
    assert traced.traceparent.startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")


def test_where_nobody_records_a_batch_belongs_to_its_first_trace() -> None:
    assert tracing.trace(["", B, A]).traceparent == B
