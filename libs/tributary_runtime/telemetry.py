"""The three signals of a process, started and flushed together.

The one rule: logs always, traces and metrics only where the standard `OTEL_*` variables ask for them.
"""

import asyncio
import os

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricReader, PeriodicExportingMetricReader

import tributary_runtime.metrics  # noqa: F401 - declares the catalogue
from tributary_runtime.instruments import bind_all, unbind_all
from tributary_runtime.logs import configure_logs
from tributary_runtime.settings import LogLevel
from tributary_runtime.traces import configure_traces, flush_traces, is_asked_for, resource_of

FLUSH_SECONDS = 5.0
"""How long a process that stops waits for its last spans and numbers to leave."""

_meters: MeterProvider | None = None


def configure_telemetry(service: str, level: LogLevel = LogLevel.INFO) -> None:
    """Starts logs, and traces and metrics where asked for. Once per process, first thing in `__main__`.

    Args:
        service: `ingestion`, `dedup`, ...
        level: The least severe log line that is written.
    """
    configure_logs(service, level)
    configure_traces(service)
    configure_metrics(service)


def configure_metrics(service: str, reader: MetricReader | None = None) -> None:
    """Connects the catalogue to an exporter, if one is asked for.

    Args:
        service: Names the process.
        reader: Asks for metrics whatever the environment says; for tests.
    """
    global _meters
    if reader is None:
        if not is_asked_for(os.environ, "METRICS"):
            return
        reader = _reader(os.environ.get("OTEL_METRICS_EXPORTER", "otlp"))
    _meters = MeterProvider([reader], resource=resource_of(service))
    bind_all(_meters.get_meter("tributary"))


def _reader(name: str) -> MetricReader:
    if name == "console":
        return PeriodicExportingMetricReader(ConsoleMetricExporter())
    if name != "otlp":
        raise ValueError(f"OTEL_METRICS_EXPORTER is {name!r}; otlp, console and none are supported.")
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

    return PeriodicExportingMetricReader(OTLPMetricExporter())


def _flush() -> None:
    global _meters
    flush_traces()
    if _meters is not None:
        unbind_all()
        _meters.shutdown(FLUSH_SECONDS * 1000)
    _meters = None


async def flush_telemetry() -> None:
    """Sends what was not sent yet; gives up after a few seconds. The last thing a process does."""
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await asyncio.to_thread(_flush)
    except TimeoutError:
        return
