"""One trace from the caller to the last effect, whether or not a process in between is silent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.contextvars import get_contextvars

from tests.unit.runtime.conftest import ServeEcho
from tributary_runtime import traces
from tributary_runtime.traces import current_traceparent, is_asked_for, linked_span, parse_traceparent, span

ONE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TWO = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"


class Spans(InMemorySpanExporter):
    """What was traced."""

    def finished(self) -> list[ReadableSpan]:
        traces.flush_traces()
        return list(self.get_finished_spans())


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    exporter = Spans()
    traces.configure_traces("dedup", exporter)
    yield exporter
    traces.flush_traces()


def trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


@pytest.mark.parametrize(
    ("environ", "is_asked"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, True, id="endpoint"),
        pytest.param({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4317"}, True, id="endpoint of traces"),
        pytest.param({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4317"}, False, id="endpoint of metrics"),
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp"}, True, id="exporter"),
        pytest.param({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "x"}, False, id="none"),
        pytest.param({"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"}, False, id="disabled"),
    ],
)
def test_tracing_begins_only_where_the_environment_asks(environ: dict[str, str], is_asked: bool) -> None:
    assert is_asked_for(environ, "TRACES") is is_asked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        ONE[:-1],
        ONE.replace("-", "_"),
        "ff" + ONE[2:],
        ONE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        ONE.replace("b7ad6b7169203331", "x" * 16),
        ONE.upper(),
        ONE.replace("0af7", "0a_7"),
        ONE.replace("0af7", "\naf7"),
        ONE.replace("0af7", "\u0660af7"),
        ONE.replace("-01", "-+1"),
    ],
)
def test_what_is_no_traceparent_is_not_taken_for_one(text: str) -> None:
    assert parse_traceparent(text) is None


def test_untraced_a_traceparent_passes_through() -> None:
    with linked_span("record batch", ["", ONE, ONE]):
        assert current_traceparent() == ONE
        with span("inner"):
            assert current_traceparent() == ONE
    assert current_traceparent() == ""


def test_untraced_a_batch_of_several_calls_belongs_to_none() -> None:
    with linked_span("record batch", [ONE, TWO]):
        assert current_traceparent() == ""


def test_work_for_one_call_is_part_of_its_trace(spans: Spans) -> None:
    with linked_span("record batch", [ONE, ONE, ""]), span("insert"):
        inner = current_traceparent()
    insert, batch = spans.finished()
    assert trace_id(insert) == trace_id(batch) == ONE[3:35] == inner[3:35]
    assert batch.parent is not None
    assert f"{batch.parent.span_id:016x}" == ONE[36:52]


def test_work_for_several_calls_is_linked_to_each(spans: Spans) -> None:
    with linked_span("record batch", [ONE, TWO, ONE]):
        pass
    (batch,) = spans.finished()
    assert batch.parent is None
    assert [f"{link.context.trace_id:032x}" for link in batch.links] == [ONE[3:35], TWO[3:35]]


def test_an_unsampled_caller_is_not_traced_but_passed_on(spans: Spans) -> None:
    unsampled = ONE[:-2] + "00"
    with linked_span("record batch", [unsampled]):
        assert current_traceparent()[3:35] == ONE[3:35]
        assert current_traceparent().endswith("-00")
    assert spans.finished() == []


async def test_a_call_continues_the_trace_of_its_caller(serve_echo: ServeEcho, spans: Spans) -> None:
    async with serve_echo() as echo:
        seen = await echo.unary("Internal", metadata=(("traceparent", ONE),))
    (server,) = spans.finished()
    assert trace_id(server) == ONE[3:35] == seen[3:35].decode()
    assert server.parent is not None
    assert f"{server.parent.span_id:016x}" == ONE[36:52]
    assert server.name == "test.v1.EchoService/Internal"
    assert server.attributes is not None
    assert server.attributes["rpc.grpc.status_code"] == "OK"


async def test_a_call_made_within_a_span_is_its_child(serve_echo: ServeEcho, spans: Spans) -> None:
    async with serve_echo() as echo:
        with span("outer"):
            await echo.unary("Internal")
    server, outer = spans.finished()
    assert server.parent is not None
    assert outer.context is not None
    assert server.parent.span_id == outer.context.span_id


@pytest.mark.parametrize("is_traced", [False, True])
def test_the_line_of_a_batch_names_its_trace_after_the_span_has_ended(
    request: pytest.FixtureRequest, is_traced: bool
) -> None:
    if is_traced:
        request.getfixturevalue("spans")
    with linked_span("record batch", [ONE, ONE]):
        pass
    fields = get_contextvars()
    assert fields["trace_id"] == ONE[3:35]
    assert (fields["span_id"] == ONE[36:52]) is not is_traced
