"""The three signals of a process, started and flushed together.

The one rule: logs always, traces and metrics only where the standard `OTEL_*` variables ask for them.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress

import structlog
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricReader, PeriodicExportingMetricReader

import tributary_runtime.metrics  # noqa: F401 - declares the catalogue
from tributary_runtime.instruments import bind_all, unbind_all
from tributary_runtime.logs import configure_logs
from tributary_runtime.otlp import metric_exporter, otlp_protocol
from tributary_runtime.settings import LogLevel
from tributary_runtime.traces import configure_traces, flush_traces, is_asked_for, resource_of

log = structlog.get_logger(__name__)

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
    _meters = MeterProvider([reader], resource=resource_of(service), shutdown_on_exit=False)
    bind_all(_meters.get_meter("tributary"))


def _reader(name: str) -> MetricReader:
    if name == "console":
        return PeriodicExportingMetricReader(ConsoleMetricExporter())
    if name != "otlp":
        raise ValueError(f"OTEL_METRICS_EXPORTER is {name!r}; otlp, console and none are supported.")
    return PeriodicExportingMetricReader(metric_exporter(otlp_protocol(os.environ, "METRICS")))


def _flush_metrics() -> None:
    global _meters
    meters, _meters = _meters, None
    unbind_all()
    if meters is not None:
        meters.shutdown(FLUSH_SECONDS * 1000)


async def flush_telemetry() -> None:
    """Sends what was not sent yet; gives up after a few seconds. The last thing a process does."""
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await asyncio.gather(_in_daemon(flush_traces), _in_daemon(_flush_metrics))
    except TimeoutError:
        log.warning("telemetry_lost", after_seconds=FLUSH_SECONDS)


async def _in_daemon(work: Callable[[], None]) -> None:
    """Works in a thread that does not keep the process from ending, as one of an executor would."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        try:
            work()
        finally:
            with suppress(RuntimeError):  # the loop has not waited
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="telemetry", daemon=True).start()
    await done.wait()
