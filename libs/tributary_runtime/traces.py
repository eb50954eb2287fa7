"""Traces: one from the caller's request, through the streams, to the last effect.

The one rule: nothing is traced unless the standard `OTEL_*` variables ask for it, and then their sampler decides. But
the caller's `traceparent` always travels on, traced or not: a trace is whole even if a process in between is silent.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer
from opentelemetry.util.types import AttributeValue
from structlog.contextvars import bind_contextvars

from tributary_domain.traceparents import is_traceparent
from tributary_runtime.otlp import otlp_protocol, span_exporter

TRACEPARENT = "traceparent"
"""Metadata key, and field of an admission (W3C Trace Context)."""

MAX_LINKS = 128
"""Links of one span at most; OpenTelemetry's own default."""

_passing: ContextVar[str] = ContextVar("traceparent", default="")
_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def is_asked_for(environ: Mapping[str, str], signal: str) -> bool:
    """Tells whether the `OTEL_*` variables ask for a signal.

    Args:
        environ: Normally `os.environ`.
        signal: `TRACES` or `METRICS`.
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get(f"OTEL_{signal}_EXPORTER", "")
    if exporter:
        return exporter != "none"
    return bool(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))


def resource_of(service: str) -> Resource:
    """Names the process to who collects its signals; `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` come first."""
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": f"tributary-{service}"}
    return Resource.create(named)


def configure_traces(service: str, exporter: SpanExporter | None = None) -> None:
    """Starts tracing if it is asked for; called once per process, before the first call.

    Args:
        service: `ingestion`, `dedup`, ...
        exporter: Asks for tracing whatever the environment says; for tests.
    """
    global _provider, _tracer
    if exporter is None:
        if not is_asked_for(os.environ, "TRACES"):
            return
        exporter = _exporter(os.environ.get("OTEL_TRACES_EXPORTER", "otlp"))
    # Sampler and limits come from OTEL_* variables; `flush_traces` shuts it down, so that it cannot hang at exit.
    _provider = TracerProvider(resource=resource_of(service), shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("tributary")


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter()
    if name != "otlp":
        raise ValueError(f"OTEL_TRACES_EXPORTER is {name!r}; otlp, console and none are supported.")
    return span_exporter(otlp_protocol(os.environ, "TRACES"))


def flush_traces() -> None:
    """Sends what was not sent yet, and stops. May block for seconds: call it off the loop."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        provider.shutdown()


def is_tracing() -> bool:
    """Tells whether spans are made in this process."""
    return _tracer is not None


def current_traceparent() -> str:
    """Returns the W3C traceparent that what happens next belongs to; empty if nobody gave one and nothing is traced."""
    if _tracer is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return _format(context)
    return _passing.get()


def trace_ids() -> tuple[str, str]:
    """Returns the ids of the trace and the span being worked on, in hex; empty if there are none."""
    traceparent = current_traceparent()
    return (traceparent[3:35], traceparent[36:52]) if traceparent else ("", "")


def pass_on(traceparent: str) -> None:
    """Makes a received traceparent the current one of this call, without a span of its own."""
    if parse_traceparent(traceparent) is not None:
        _passing.set(traceparent)


def parse_traceparent(traceparent: str) -> SpanContext | None:
    """Reads a W3C traceparent; None if it is not one."""
    if not is_traceparent(traceparent):
        return None
    context = SpanContext(
        trace_id=int(traceparent[3:35], 16),
        span_id=int(traceparent[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(traceparent[53:], 16)),
    )
    return context if not traceparent.startswith("ff") and context.is_valid else None


def _format(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@contextmanager
def span(name: str, kind: SpanKind = SpanKind.INTERNAL, **attributes: AttributeValue) -> Iterator[Span]:
    """Works within a span below the current one; no span, and no cost to speak of, where nothing is traced."""
    if _tracer is None:
        yield trace.INVALID_SPAN
        return
    with _tracer.start_as_current_span(name, _parent(_passing.get()), kind, attributes=attributes) as started:
        yield started


@contextmanager
def linked_span(name: str, traceparents: Iterable[str], **attributes: AttributeValue) -> Iterator[Span]:
    """Works within the span of a worker that serves several calls at once.

    If all calls belong to one span, the work is its child: the trace is one. Else the work is a trace of its own,
    linked to each of them. The line that is written of the batch once the span has ended names it too.

    Args:
        name: `attribute batch`; no ids.
        traceparents: Of what is worked on, in order; empty ones are passed over.
        attributes: Of the span.
    """
    distinct = dict.fromkeys(traceparent for traceparent in traceparents if traceparent)
    if _tracer is None:
        token = _passing.set(next(iter(distinct)) if len(distinct) == 1 else "")
        _name_in_log()
        try:
            yield trace.INVALID_SPAN
        finally:
            _passing.reset(token)
        return
    contexts = [context for context in map(parse_traceparent, distinct) if context is not None]
    links = [Link(context) for context in contexts[:MAX_LINKS]]
    parent = _parent(next(iter(distinct))) if len(contexts) == 1 == len(distinct) else Context()
    with _tracer.start_as_current_span(name, parent, SpanKind.CONSUMER, attributes=attributes, links=links) as started:
        _name_in_log()
        yield started


def _name_in_log() -> None:
    trace_id, span_id = trace_ids()
    if trace_id:
        bind_contextvars(trace_id=trace_id, span_id=span_id)


def _parent(traceparent: str) -> Context | None:
    """Returns the context below a received traceparent; None, the current context, if a span is open or none came."""
    if not traceparent or trace.get_current_span().get_span_context().is_valid:
        return None
    remote = parse_traceparent(traceparent)
    return None if remote is None else trace.set_span_in_context(NonRecordingSpan(remote))
