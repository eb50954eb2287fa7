"""An OTLP collector that keeps what it is sent: real gRPC on a loopback port, as OpenTelemetry's own speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """A span that has ended."""

    service: str
    """`ingestion`, `dedup`, ..."""
    name: str
    trace_id: str
    """In hex, as all ids here."""
    span_id: str
    parent_id: str
    """Empty for a root."""
    attributes: dict[str, str]
    links: tuple[str, ...]
    """Trace ids."""


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer, metrics_service_pb2_grpc.MetricsServiceServicer):
    """What arrived so far."""

    endpoint: str = ""
    spans: list[CollectedSpan] = field(default_factory=list)
    metrics: dict[str, set[str]] = field(default_factory=dict)
    """Service -> names of its metrics."""
    bodies: list[bytes] = field(default_factory=list)
    """Every request as it came."""

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process send everything here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        }

    def trace(self, trace_id: str) -> list[CollectedSpan]:
        """Returns the spans of a trace so far."""
        return [span for span in list(self.spans) if span.trace_id == trace_id]

    def Export(self, request, context):  # type: ignore[no-untyped-def]
        """Is the method of both services: the request tells which it is."""
        self.bodies.append(request.SerializeToString())
        if isinstance(request, metrics_service_pb2.ExportMetricsServiceRequest):
            self._take_metrics(request)
            return metrics_service_pb2.ExportMetricsServiceResponse()
        self._take_spans(request)
        return trace_service_pb2.ExportTraceServiceResponse()

    def _take_spans(self, request: trace_service_pb2.ExportTraceServiceRequest) -> None:
        for part in request.resource_spans:
            service = _service(part.resource.attributes)
            for scope in part.scope_spans:
                self.spans += [
                    CollectedSpan(
                        service=service,
                        name=span.name,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        attributes={one.key: _text(one) for one in span.attributes},
                        links=tuple(link.trace_id.hex() for link in span.links),
                    )
                    for span in scope.spans
                ]

    def _take_metrics(self, request: metrics_service_pb2.ExportMetricsServiceRequest) -> None:
        for part in request.resource_metrics:
            names = self.metrics.setdefault(_service(part.resource.attributes), set())
            names.update(metric.name for scope in part.scope_metrics for metric in scope.metrics)


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Listens on a free port."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(collector, server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(grace=None).wait()


def _service(attributes: list[KeyValue]) -> str:
    named = next((_text(one) for one in attributes if one.key == "service.name"), "")
    return named.removeprefix("tributary-")


def _text(attribute: KeyValue) -> str:
    value = attribute.value
    kind = value.WhichOneof("value")
    return str(getattr(value, kind)) if kind else ""
