"""W3C trace context: which trace an event belongs to, and which one the batch it travels with.

The one rule: OpenTelemetry is used where the application has it, and nothing is needed where it has not. A batch of
events of one trace belongs to that trace. A batch of several is a trace of its own, linked to each, where OpenTelemetry
records one; else it belongs to the trace of its first event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tributary_domain.traceparents import is_traceparent

try:
    from opentelemetry import trace as _otel
    from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags
except ImportError:  # the base install has none
    _otel = None  # type: ignore[assignment]

_MAX_LINKS = 128


def current_traceparent() -> str:
    """Returns the W3C traceparent of OpenTelemetry's current span; empty if there is none."""
    if _otel is None:
        return ""
    return _format(_otel.get_current_span().get_span_context())


def readable(traceparent: str) -> str:
    """Returns a traceparent, or an empty text for what is none: with that no batch could ever be sent."""
    return traceparent if is_traceparent(traceparent) else ""


class Traced:
    """A batch within its trace."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, traceparent: str, span: Any = None) -> None:
        self.traceparent = traceparent
        """What the server is told."""
        self._span = span

    def end(self) -> None:
        """Ends the batch's own span, if it has one."""
        if self._span is not None:
            self._span.end()


_UNTRACED = Traced("")


def trace(traceparents: Sequence[str]) -> Traced:
    """Returns the trace of a batch.

    Args:
        traceparents: One per event; empty where it belongs to no trace.
    """
    distinct = dict.fromkeys(traceparents)
    distinct.pop("", None)
    if not distinct:
        return _UNTRACED
    first = next(iter(distinct))
    if len(distinct) == 1 or _otel is None:
        return Traced(first)
    links = [Link(context) for context in map(_parse, list(distinct)[:_MAX_LINKS]) if context is not None]
    parent = _otel.set_span_in_context(NonRecordingSpan(_otel.INVALID_SPAN_CONTEXT))
    span = _otel.get_tracer("tributary_client").start_span("tributary send", parent, SpanKind.CLIENT, links=links)
    return Traced(_format(span.get_span_context()) or first, span)


def _format(context: SpanContext) -> str:
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _parse(traceparent: str) -> SpanContext | None:
    try:
        version, trace_id, span_id, flags = (int(part, 16) for part in traceparent.split("-"))
    except ValueError:
        return None
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return context if version != 0xFF and context.is_valid else None
