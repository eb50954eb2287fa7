"""`helm test`: its little program, run here against a real gRPC health service, says which service does not serve."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.chart.rendering import SERVICES, case, manifests, pod_specs

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def served() -> Iterator[tuple[str, health.HealthServicer]]:
    """The address of a health service, and what it answers from."""
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", servicer
    server.stop(grace=None).wait()


def run(address: str) -> subprocess.CompletedProcess[str]:
    """Runs the program of the test pod, with every service found at one address."""
    (container,) = pod_specs(manifests(case("trial")))["Pod/test"]["containers"]
    assert container["command"] == ["python", "-c"]
    program, *pairs = container["args"]
    assert [pair.partition("=")[2] for pair in pairs] == [f"shop-tributary-{name}:50051" for name in SERVICES]
    arguments = [f"{pair.partition('=')[0]}={address}" for pair in pairs]
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=200
    )


def names() -> list[str]:
    return [f"tributary.{name}.v1.{name.title()}Service" for name in SERVICES]


def test_it_succeeds_when_all_five_serve(served: tuple[str, health.HealthServicer]) -> None:
    address, servicer = served
    for name in names():
        servicer.set(name, SERVING)
    done = run(address)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("SERVING") == 5


def test_it_fails_and_names_the_service_that_does_not(served: tuple[str, health.HealthServicer]) -> None:
    address, servicer = served
    for name in names():
        servicer.set(name, NOT_SERVING if "dedup" in name else SERVING)
    done = run(address)
    assert done.returncode == 1
    assert f"tributary.dedup.v1.DedupService at {address}: NOT_SERVING" in done.stdout


def test_it_fails_for_a_service_that_is_not_there(served: tuple[str, health.HealthServicer]) -> None:
    address, servicer = served
    for name in names()[1:]:
        servicer.set(name, SERVING)
    done = run(address)
    assert done.returncode == 1
    assert "NOT_FOUND" in done.stdout
