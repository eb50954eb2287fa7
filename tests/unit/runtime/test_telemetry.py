"""Traces and metrics leave the process where the standard variables ask for it, the last of them at its end."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.unit.runtime.test_server import EchoProcess, ready
from tributary_runtime.otlp import otlp_protocol


class Collector:
    """An OTLP collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: dict[str, set[str]] = {}
        self.metrics: set[str] = set()
        self.services: set[str] = set()
        self._server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), self._server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self), self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait(60)

    def name(self, resource: Any) -> None:
        self.services |= {one.value.string_value for one in resource.attributes if one.key == "service.name"}


class HttpCollector:
    """The same over HTTP, as `http/protobuf` speaks it."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.spans: set[str] = set()
        self.metrics: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, self.headers["Content-Type"], body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def take(self, path: str, content_type: str, body: bytes) -> None:
        assert content_type == "application/x-protobuf"
        self.paths.add(path)
        if path == "/v1/traces":
            spans = trace_service_pb2.ExportTraceServiceRequest.FromString(body).resource_spans
            self.spans |= {span.name for one in spans for scope in one.scope_spans for span in scope.spans}
        else:
            metrics = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body).resource_metrics
            self.metrics |= {metric.name for one in metrics for scope in one.scope_metrics for metric in scope.metrics}

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(60)
        self._server.server_close()


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            self._collector.name(resource.resource)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self._collector.spans.setdefault(span.trace_id.hex(), set()).add(span.name)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_metrics:
            self._collector.name(resource.resource)
            for scope in resource.scope_metrics:
                self._collector.metrics |= {metric.name for metric in scope.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture
def http_collector() -> Iterator[HttpCollector]:
    collector = HttpCollector()
    yield collector
    collector.stop()


def one_call(directory: Path, **environ: str) -> list[str]:
    echo = EchoProcess(directory, environ)
    try:
        ready(echo)
        assert echo.channel is not None
        traceparent = echo.call("Internal").result().decode()
        echo.stop()
        assert echo.process.wait(60) == 0
    finally:
        echo.close()
    return [traceparent, *echo.events()]


def test_spans_and_numbers_arrive_before_the_process_has_ended(tmp_path: Path, collector: Collector) -> None:
    traceparent, *_ = one_call(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert collector.spans == {traceparent[3:35]: {"test.v1.EchoService/Internal"}}
    assert {"tributary.rpc.duration", "tributary.process.ready"} <= collector.metrics
    assert collector.services == {"tributary-ingestion"}


def test_spans_and_numbers_go_over_http_where_that_is_the_protocol(
    tmp_path: Path, http_collector: HttpCollector
) -> None:
    one_call(
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=http_collector.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )
    assert http_collector.paths == {"/v1/traces", "/v1/metrics"}
    assert http_collector.spans == {"test.v1.EchoService/Internal"}
    assert {"tributary.rpc.duration", "tributary.process.ready"} <= http_collector.metrics


def test_a_signal_has_a_protocol_and_an_endpoint_of_its_own(
    tmp_path: Path, collector: Collector, http_collector: HttpCollector
) -> None:
    one_call(
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=http_collector.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=collector.endpoint,
    )
    assert http_collector.paths == {"/v1/traces"}
    assert {"tributary.rpc.duration", "tributary.process.ready"} <= collector.metrics
    assert collector.spans == {}


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
def test_a_protocol_that_cannot_be_spoken_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 'http/json'; grpc and http/protobuf are supported"):
        otlp_protocol({name: "http/json"}, "TRACES")


def test_the_standard_sampler_decides(tmp_path: Path, collector: Collector) -> None:
    one_call(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_TRACES_SAMPLER="always_off")
    assert collector.spans == {}
    assert collector.metrics


def test_nothing_leaves_where_nothing_asks(tmp_path: Path, collector: Collector) -> None:
    one_call(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_SDK_DISABLED="true")
    assert (collector.spans, collector.metrics) == ({}, set())


def test_a_collector_that_is_not_there_does_not_keep_the_process(tmp_path: Path, collector: Collector) -> None:
    collector.stop()
    events = one_call(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
    assert "server_stopped" in events
