"""Exporters that speak OTLP, over the protocol that the standard variables ask for.

The one rule: what cannot be spoken is refused at start. A signal that is sent in another protocol than its collector
speaks is lost without a word. Imports are late: only who exports pays for them, 0.1 s.
"""

from collections.abc import Mapping
from enum import StrEnum

from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace.export import SpanExporter


class OtlpProtocol(StrEnum):
    """A protocol of OTLP, as `OTEL_EXPORTER_OTLP_PROTOCOL` names it."""

    GRPC = "grpc"
    HTTP_PROTOBUF = "http/protobuf"


def otlp_protocol(environ: Mapping[str, str], signal: str) -> OtlpProtocol:
    """Returns the protocol of a signal: its own, else that of all, else gRPC.

    Args:
        environ: Normally `os.environ`.
        signal: `TRACES` or `METRICS`.

    Raises:
        ValueError: Another one is asked for.
    """
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        asked = environ.get(name, "").strip()
        if asked:
            try:
                return OtlpProtocol(asked)
            except ValueError:
                raise ValueError(f"{name} is {asked!r}; grpc and http/protobuf are supported.") from None
    return OtlpProtocol.GRPC


def span_exporter(protocol: OtlpProtocol) -> SpanExporter:
    """Returns the exporter of spans; endpoint, headers and certificates come from `OTEL_EXPORTER_OTLP_*`."""
    if protocol is OtlpProtocol.HTTP_PROTOBUF:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

        return HttpSpanExporter()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def metric_exporter(protocol: OtlpProtocol) -> MetricExporter:
    """Returns the exporter of metrics; likewise."""
    if protocol is OtlpProtocol.HTTP_PROTOBUF:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter

        return HttpMetricExporter()
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter()
