"""Whoever was let in gets an answer: real processes, real signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.support.eventually import eventually, eventually_async
from tests.unit.runtime.conftest import INTERNAL_TOKEN
from tests.unit.runtime.echo_service import SERVICE
from tributary_runtime.channels import MAX_MESSAGE_BYTES, open_channel

METADATA = (("tributary-internal", INTERNAL_TOKEN.get_secret_value()),)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class EchoProcess:
    """The echo service as a process of its own."""

    def __init__(self, directory: Path, environ: Mapping[str, str] | None = None, **settings: str) -> None:
        self.directory = directory
        environ = {
            **(environ or {}),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.getcwd(),
            "TRIBUTARY_LISTEN": "127.0.0.1:0",
            "TRIBUTARY_INTERNAL_TOKEN": INTERNAL_TOKEN.get_secret_value(),
            "TRIBUTARY_DRAIN_DELAY_SECONDS": "0",
            "TRIBUTARY_INGESTION_DIRECTORY": str(directory),
            **{f"TRIBUTARY_{name}": value for name, value in settings.items()},
        }
        self._output = (directory / "output").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.runtime.echo_service"],
            env=environ,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self.channel: grpc.Channel | None = None

    def connect(self) -> grpc.Channel:
        eventually(lambda: self.has("port") or self.process.poll() is not None)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{(self.directory / 'port').read_text()}")
        return self.channel

    def has(self, name: str) -> bool:
        return (self.directory / name).exists()

    def leave(self, name: str) -> None:
        (self.directory / name).touch()

    def call(self, method: str, request: bytes = b"", *, wait_for_ready: bool = True) -> Any:
        assert self.channel is not None
        return self.channel.unary_unary(f"/{SERVICE}/{method}").future(
            request, metadata=METADATA, timeout=30, wait_for_ready=wait_for_ready
        )

    def health(self, service: str = SERVICE) -> int:
        assert self.channel is not None
        answer = health_pb2_grpc.HealthStub(self.channel).Check(health_pb2.HealthCheckRequest(service=service))
        return int(answer.status)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "output").read_text().splitlines()]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        if self.channel is not None:
            self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
        self._output.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., EchoProcess]]:
    started: list[EchoProcess] = []

    def start(**settings: str) -> EchoProcess:
        started.append(EchoProcess(tmp_path, **settings))
        return started[-1]

    yield start
    for process in started:
        process.close()


StartEcho = Callable[..., EchoProcess]


def ready(process: EchoProcess) -> EchoProcess:
    process.connect()
    eventually(lambda: process.health() == SERVING)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_calls_in_flight_are_answered_after_the_signal(start: StartEcho, number: int) -> None:
    echo = ready(start())
    calls = [echo.call("Slow", b"%d" % index) for index in range(20)]
    eventually(lambda: all(echo.has(f"began_{index}") for index in range(20)))
    echo.stop(number)
    eventually(lambda: "server_draining" in echo.events())
    echo.leave("let_go")
    assert [call.result() for call in calls] == [b"%d" % index for index in range(20)]
    assert echo.process.wait(60) == 0


def test_new_calls_are_answered_while_load_balancers_learn(start: StartEcho) -> None:
    echo = ready(start(DRAIN_DELAY_SECONDS="300"))
    echo.stop()
    eventually(lambda: echo.health() == NOT_SERVING)
    assert echo.health("") == SERVING  # alive, only leaving
    assert echo.call("Internal").result() == b""
    echo.stop()  # the second signal does not wait
    assert echo.process.wait(60) == 0


async def test_no_call_of_a_steady_stream_fails_while_one_of_two_replicas_leaves(tmp_path: Path) -> None:
    """What a rolling update looks like to our own channels."""
    echoes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        echoes.append(EchoProcess(tmp_path / name, DRAIN_DELAY_SECONDS="0.3"))
    try:
        for echo in echoes:
            await asyncio.to_thread(ready, echo)
        addresses = ",".join(f"127.0.0.1:{(echo.directory / 'port').read_text()}" for echo in echoes)
        answers: list[bytes] = []
        async with open_channel(f"ipv4:{addresses}", INTERNAL_TOKEN) as channel, asyncio.TaskGroup() as callers:
            call = channel.unary_unary(f"/{SERVICE}/Internal", None, None)
            has_left = asyncio.Event()

            async def keep_calling() -> None:
                after = 0
                while after < 50:
                    answers.append(await call(b"", wait_for_ready=not answers))
                    after += has_left.is_set()

            for _ in range(8):
                callers.create_task(keep_calling())
            await eventually_async(lambda: len(answers) > 200)
            echoes[0].stop()
            assert await asyncio.to_thread(echoes[0].process.wait, 60) == 0
            has_left.set()
        await eventually_async(lambda: sum(echo.events().count("rpc_handled") for echo in echoes) >= len(answers))
        handled = [echo.events().count("rpc_handled") for echo in echoes]
        assert min(handled) > 50  # both had their share
        assert len(answers) == sum(handled)
    finally:
        for echo in echoes:
            echo.close()


def test_a_caller_that_does_not_watch_health_is_told_to_come_back_and_nothing_is_cancelled(start: StartEcho) -> None:
    process = start()
    process.connect()
    process.call("Internal").result()
    failed: list[grpc.StatusCode] = []
    process.stop()
    while process.process.poll() is None:  # call after call, as a backend does
        try:
            process.call("Internal", wait_for_ready=False).result()
        except grpc.RpcError as error:
            call = cast("grpc.Call", error)
            failed.append(call.code())
            if "leaving" not in (call.details() or ""):
                break  # it has left
            time.sleep(1)  # what RetryInfo asks for
    assert process.process.wait(60) == 0
    assert failed, "it was never told"
    assert set(failed) == {grpc.StatusCode.UNAVAILABLE}


def test_an_endless_stream_ends_well_when_the_server_drains(start: StartEcho) -> None:
    echo = ready(start())
    assert echo.channel is not None
    stream = echo.channel.unary_stream(f"/{SERVICE}/Count")(b"", metadata=METADATA)
    assert next(stream) == b"for ever"
    watch = health_pb2_grpc.HealthStub(echo.channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
    assert next(watch).status == SERVING
    echo.stop()
    assert list(stream) == []
    assert [answer.status for answer in watch] == [NOT_SERVING]
    assert echo.process.wait(60) == 0


def test_loops_stop_last_and_the_process_ends_well(start: StartEcho) -> None:
    echo = ready(start())
    eventually(lambda: echo.has("loop_started"))
    echo.stop()
    assert echo.process.wait(60) == 0
    assert echo.has("loop_stopped")
    assert echo.events()[-1] == "server_stopped"


def test_a_failed_loop_brings_the_process_down_and_is_named(start: StartEcho) -> None:
    echo = start(INGESTION_BROKEN_LOOP="true")
    assert echo.process.wait(60) == 1
    failed = next(line for line in echo.lines() if line["event"] == "loop_failed")
    assert (failed["loop"], failed["level"]) == ("diary", "error")
    assert "the diary is full" in failed["exception"]


def test_a_failed_loop_takes_a_loop_that_cannot_be_cancelled_down_with_it(start: StartEcho, tmp_path: Path) -> None:
    echo = ready(start(INGESTION_BREAK_LATER="true", INGESTION_DEAF_LOOP="true"))
    assert echo.channel is not None
    watch = health_pb2_grpc.HealthStub(echo.channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
    assert next(watch).status == SERVING
    (tmp_path / "break").touch()
    assert next(watch).status == NOT_SERVING
    assert echo.process.wait(60) == 1
    assert {"loop_failed", "loop_hangs", "process_failed"} <= set(echo.events())


def test_a_loop_that_cannot_be_cancelled_does_not_hold_up_the_end(start: StartEcho) -> None:
    echo = ready(start(INGESTION_DEAF_LOOP="true"))
    echo.stop()
    assert echo.process.wait(60) == 1
    assert "loop_hangs" in echo.events()


def test_a_refusing_guard_keeps_the_door_and_the_loops_closed_until_it_passes(start: StartEcho, tmp_path: Path) -> None:
    (tmp_path / "refuse").touch()
    echo = start()
    echo.connect()
    eventually(lambda: "became_not_ready" in echo.events())
    assert echo.health() == NOT_SERVING
    assert echo.health("") == SERVING
    refusal = echo.call("Internal").exception()
    assert (refusal.code(), "PRECONDITION" in refusal.details()) == (grpc.StatusCode.UNAVAILABLE, True)
    assert not echo.has("loop_started")
    (tmp_path / "refuse").unlink()
    eventually(lambda: echo.health() == SERVING)
    assert echo.call("Internal").result() == b""
    eventually(lambda: echo.has("loop_started"))


def test_a_taken_port_ends_the_process_with_what_to_do(start: StartEcho) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        echo = start(LISTEN=f"127.0.0.1:{taken.getsockname()[1]}")
        assert echo.process.wait(60) == 1
    assert "TRIBUTARY_LISTEN" in (echo.directory / "output").read_text()


def test_wrong_settings_end_the_process_with_status_2(start: StartEcho) -> None:
    echo = start(LOGLEVEL="debug")
    assert echo.process.wait(60) == 2


def test_too_much_metadata_is_refused_every_time(start: StartEcho) -> None:
    """Between two limits gRPC would refuse at random; ours are one."""
    echo = ready(start())
    assert echo.channel is not None
    call = echo.channel.unary_unary(f"/{SERVICE}/Internal")
    assert call(b"", metadata=(*METADATA, ("x-much", "x" * 7_000))) == b""
    codes = set()
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as refusal:
            call(b"", metadata=(*METADATA, ("x-much", "x" * 9_000)))
        codes.add(refusal.value.code())
    assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_too_large_a_request_is_refused_also_when_it_is_compressed(start: StartEcho) -> None:
    echo = ready(start())
    assert echo.channel is not None
    call = echo.channel.unary_unary(f"/{SERVICE}/Internal")
    bomb = bytes(MAX_MESSAGE_BYTES + 1)
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with pytest.raises(grpc.RpcError) as refusal:
            call(bomb, metadata=METADATA, compression=compression)
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert call(b"", metadata=METADATA) == b""


@pytest.mark.parametrize("is_on", [False, True])
def test_reflection_answers_only_where_it_is_wanted(start: StartEcho, is_on: bool) -> None:
    echo = ready(start(REFLECTION=str(is_on).lower()))
    assert echo.channel is not None
    database = ProtoReflectionDescriptorDatabase(echo.channel)
    if is_on:
        assert SERVICE in database.get_services()
    else:
        with pytest.raises(grpc.RpcError) as refusal:
            database.get_services()
        assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_each_line_is_json_with_its_time_and_service(start: StartEcho) -> None:
    echo = ready(start())
    echo.call("Internal").result()
    echo.stop()
    assert echo.process.wait(60) == 0
    assert all({"event", "level", "timestamp", "service"} <= line.keys() for line in echo.lines())
    (handled,) = [line for line in echo.lines() if line["event"] == "rpc_handled"]
    assert (handled["method"], handled["code"], handled["service"]) == ("Internal", "OK", "ingestion")
