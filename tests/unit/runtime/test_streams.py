"""Streams of batches, with a real server: bounded, answered when ready, ended well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.eventually import eventually_async
from tests.unit.runtime.conftest import INTERNAL_TOKEN, Keys, LogLines, workspaces_content
from tests.unit.runtime.test_interceptors import reason_of, refusal_of
from tributary_runtime import traces
from tributary_runtime.authentication import Authenticator, InternalDoor, NewKey, current_caller
from tributary_runtime.clock import SystemClock
from tributary_runtime.errors import InvalidRequestError, TributaryError, UnavailableError
from tributary_runtime.interceptors import CallInterceptor, current_parts
from tributary_runtime.streams import BatchStreams, StreamLimits
from tributary_runtime.traces import current_traceparent
from tributary_runtime.workspaces import Scope
from tributary_runtime.workspaces_file import WorkspacesFile

METHOD = "/test.v1.StreamService/Stream"
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Service:
    """Answers a batch `<command> <text>` with what the command makes of it."""

    def __init__(self, limits: StreamLimits) -> None:
        self.streams = BatchStreams(limits)
        self.let_go = asyncio.Event()
        self.working = 0
        self.seen: list[bytes] = []
        self.closed: TributaryError | None = None

    async def stream(self, _requests: Any, context: Any) -> None:
        await self.streams.serve(context, self.answer)

    async def answer(self, body: bytes) -> bytes:
        self.seen.append(body)
        if body == b"nonsense":
            raise InvalidRequestError("This is no batch.", reason="REQUEST_MALFORMED")
        command, _, text = body.partition(b" ")
        traceparent = text.decode() if command == b"trace" else ""
        answer = await current_parts().handle(lambda: self.work(command, text), traceparent, batch=len(self.seen))
        return answer.status().SerializeToString() if isinstance(answer, TributaryError) else answer

    async def work(self, command: bytes, text: bytes) -> bytes:
        if command == b"slow":
            self.working += 1
            try:
                await self.let_go.wait()
            finally:
                self.working -= 1
        if command == b"long":
            return text * 1_000_000
        if command == b"fail":
            raise UnavailableError("The log is out.", retry_delay_seconds=2)
        if command == b"trace":
            return current_traceparent().encode()
        return current_caller().workspace_id.encode() + b":" + text


class Served:
    """The service, and how to open a stream to it."""

    def __init__(self, service: Service, channel: grpc.aio.Channel, keys: Keys) -> None:
        self.service = service
        self._channel = channel
        self._key = f"Bearer {keys.ingest.key.get_secret_value()}"

    def open(self, key: NewKey | None = None) -> Any:
        shown = self._key if key is None else f"Bearer {key.key.get_secret_value()}"
        return self._channel.stream_stream(METHOD)(metadata=(("authorization", shown),))

    async def ask(self, *bodies: bytes) -> list[bytes]:
        call = self.open()
        for body in bodies:
            await call.write(body)
        await call.done_writing()
        return [answer async for answer in call]


@asynccontextmanager
async def serving(
    workspaces: WorkspacesFile, keys: Keys, max_concurrent_calls: int = 100, **limits: Any
) -> AsyncIterator[Served]:
    service, clock = Service(StreamLimits(**limits)), SystemClock()
    interceptor = CallInterceptor(
        {METHOD: Scope.INGEST},
        Authenticator(workspaces, clock),
        InternalDoor(INTERNAL_TOKEN),
        clock,
        lambda: service.closed,
        max_concurrent_calls,
    )
    server = grpc.aio.server(interceptors=[interceptor])
    handlers = {"Stream": grpc.stream_stream_rpc_method_handler(service.stream)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.v1.StreamService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Served(service, channel, keys)
    finally:
        service.let_go.set()
        await server.stop(grace=5)


def status_in(answer: bytes) -> status_pb2.Status:
    return status_pb2.Status.FromString(answer)


async def test_each_batch_is_answered_in_the_callers_workspace(workspaces_file: WorkspacesFile, keys: Keys) -> None:
    async with serving(workspaces_file, keys) as served:
        assert sorted(await served.ask(b"echo a", b"echo b")) == [b"shop:a", b"shop:b"]


async def test_a_batch_that_is_ready_does_not_wait_for_one_before_it(
    workspaces_file: WorkspacesFile, keys: Keys
) -> None:
    async with serving(workspaces_file, keys) as served:
        call = served.open()
        await call.write(b"slow a")
        await call.write(b"echo b")
        assert await call.read() == b"shop:b"
        served.service.let_go.set()
        assert await call.read() == b"shop:a"
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK


async def test_a_batch_that_fails_fails_alone_with_its_status(workspaces_file: WorkspacesFile, keys: Keys) -> None:
    async with serving(workspaces_file, keys, batches=1) as served:
        failed, echoed = await served.ask(b"fail", b"echo a")
    assert echoed == b"shop:a"
    retry = error_details_pb2.RetryInfo()
    status = status_in(failed)
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert [detail.Unpack(retry) for detail in status.details].count(True) == 1
    assert retry.retry_delay.seconds == 2


@pytest.mark.parametrize("limits", [{"batches": 2}, {"bytes": 12}], ids=["batches", "bytes"])
async def test_no_more_is_begun_than_the_limits_allow(
    workspaces_file: WorkspacesFile, keys: Keys, limits: dict[str, int]
) -> None:
    async with serving(workspaces_file, keys, **limits) as served:
        call = served.open()
        for text in (b"a", b"b", b"c", b"d"):
            await call.write(b"slow " + text)
        await eventually_async(lambda: served.service.working == 2)
        assert len(served.service.seen) == 2
        served.service.let_go.set()
        await call.done_writing()
        assert sorted([answer async for answer in call]) == [b"shop:a", b"shop:b", b"shop:c", b"shop:d"]


async def test_a_caller_that_reads_no_answers_is_read_no_further(workspaces_file: WorkspacesFile, keys: Keys) -> None:
    async with serving(workspaces_file, keys, batches=2) as served:
        call = served.open()
        for _ in range(40):
            await call.write(b"long x")
        await eventually_async(lambda: len(served.service.seen) >= 2)
        await served.ask(b"echo", b"echo", b"echo")  # others go on, and by then it had every chance
        assert served.service.seen.count(b"long x") < 20, "the network holds a few megabytes, and no more is begun"
        await call.done_writing()
        assert [len(answer) async for answer in call] == [1_000_000] * 40


async def test_a_batch_beyond_the_calls_allowed_at_once_is_refused_and_its_stream_goes_on(
    workspaces_file: WorkspacesFile, keys: Keys
) -> None:
    async with serving(workspaces_file, keys, max_concurrent_calls=1) as served:
        call = served.open()
        await call.write(b"slow a")
        await call.write(b"echo b")
        assert status_in(await call.read()).code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        served.service.let_go.set()
        assert await call.read() == b"shop:a"
        await call.write(b"echo c")
        assert await call.read() == b"shop:c"


async def test_streams_beyond_the_limit_are_refused(workspaces_file: WorkspacesFile, keys: Keys) -> None:
    async with serving(workspaces_file, keys, max_concurrent_calls=1) as served:
        first = served.open()
        await first.write(b"echo a")
        assert await first.read() == b"shop:a"
        assert reason_of(await refusal_of(served.open().read())) == "TOO_MANY_STREAMS"


async def test_a_workspace_that_holds_its_share_of_the_streams_leaves_the_rest_to_others(
    workspaces_file: WorkspacesFile, keys: Keys
) -> None:
    async with serving(workspaces_file, keys, max_concurrent_calls=4) as served:
        held = [served.open() for _ in range(2)]
        for call in held:
            await call.write(b"echo a")
            assert await call.read() == b"shop:a"
        refusal = await refusal_of(served.open().read())
        assert (refusal.code(), reason_of(refusal)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
        other = served.open(keys.other)
        await other.write(b"echo b")
        assert await other.read() == b"blog:b"
        await held[0].done_writing()
        assert await held[0].code() is grpc.StatusCode.OK
        assert await served.ask(b"echo c") == [b"shop:c"]


async def test_a_draining_service_answers_what_it_began_and_begins_no_more(
    workspaces_file: WorkspacesFile, keys: Keys
) -> None:
    async with serving(workspaces_file, keys) as served:
        call = served.open()
        await call.write(b"slow a")
        await eventually_async(lambda: served.service.working == 1)
        served.service.streams.drain()
        await call.write(b"echo late")
        served.service.let_go.set()
        assert await call.read() == b"shop:a"
        refusal = await refusal_of(call.read())
        assert (refusal.code(), reason_of(refusal)) == (grpc.StatusCode.UNAVAILABLE, "LEAVING")
        assert served.service.seen == [b"slow a"]
        assert reason_of(await refusal_of(served.open().read())) == "LEAVING"


async def test_an_old_stream_sends_its_caller_to_open_another(workspaces_file: WorkspacesFile, keys: Keys) -> None:
    async with serving(workspaces_file, keys, life_seconds=0.05) as served:
        call = served.open()
        await call.write(b"echo a")
        assert await call.read() == b"shop:a"
        refusal = await refusal_of(call.read())
        assert (refusal.code(), reason_of(refusal)) == (grpc.StatusCode.UNAVAILABLE, "STREAM_AGED")


async def test_a_message_that_is_no_batch_ends_the_stream_after_the_answers_before_it(
    workspaces_file: WorkspacesFile, keys: Keys
) -> None:
    async with serving(workspaces_file, keys) as served:
        call = served.open()
        await call.write(b"slow a")
        await call.write(b"nonsense")
        await eventually_async(lambda: len(served.service.seen) == 2)
        served.service.let_go.set()
        assert await call.read() == b"shop:a"
        assert reason_of(await refusal_of(call.read())) == "REQUEST_MALFORMED"


async def test_a_key_that_is_taken_away_ends_the_streams_it_opened(
    workspaces_file: WorkspacesFile, keys: Keys, tmp_path: Path
) -> None:
    async with serving(workspaces_file, keys) as served:
        call = served.open()
        await call.write(b"echo a")
        assert await call.read() == b"shop:a"
        content = workspaces_content(keys)
        content["workspaces"][0]["api_keys"].pop(0)
        stop = asyncio.Event()
        reloading = asyncio.ensure_future(workspaces_file.run(stop))
        (tmp_path / "workspaces.yaml").write_text(yaml.safe_dump(content))
        await eventually_async(lambda: keys.ingest.id not in workspaces_file.current.by_key_id)
        stop.set()
        await reloading
        await call.write(b"echo b")
        assert (await refusal_of(call.read())).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_closed_gate_refuses_batches_of_open_streams(workspaces_file: WorkspacesFile, keys: Keys) -> None:
    async with serving(workspaces_file, keys) as served:
        call = served.open()
        await call.write(b"echo a")
        assert await call.read() == b"shop:a"
        served.service.closed = UnavailableError("Redis may forget.", reason="NOT_READY")
        await call.write(b"echo b")
        assert status_in(await call.read()).message == "Redis may forget."


async def test_a_caller_that_leaves_stops_the_work(
    workspaces_file: WorkspacesFile, keys: Keys, log_lines: LogLines
) -> None:
    async with serving(workspaces_file, keys) as served:
        call = served.open()
        await call.write(b"slow a")
        await eventually_async(lambda: served.service.working == 1)
        call.cancel()
        await eventually_async(lambda: served.service.working == 0)
        await eventually_async(lambda: len(log_lines) == 2)
    assert [(line["event"], line["code"]) for line in log_lines] == [
        ("stream_ended", "CANCELLED"),
        ("rpc_handled", "CANCELLED"),
    ]


async def test_each_batch_has_a_line_and_the_stream_has_its_end(
    workspaces_file: WorkspacesFile, keys: Keys, log_lines: LogLines
) -> None:
    async with serving(workspaces_file, keys, batches=1) as served:
        await served.ask(b"echo a", b"fail")
    assert all(line.pop("duration_ms") >= 0 for line in log_lines)
    named = {"method": "Stream", "workspace": "shop", "key": keys.ingest.id}
    failed = {"reason": "UNAVAILABLE", "message": "The log is out."}
    assert log_lines == [
        {"event": "rpc_handled", "log_level": "info", "code": "OK", "batch": 1, **named},
        {"event": "rpc_handled", "log_level": "warning", "code": "UNAVAILABLE", "batch": 2, **failed, **named},
        {"event": "stream_ended", "log_level": "info", "code": "OK", "parts": 2, **named},
    ]


async def test_a_batch_belongs_to_its_own_trace(workspaces_file: WorkspacesFile, keys: Keys) -> None:
    async with serving(workspaces_file, keys) as served:
        assert await served.ask(b"trace " + TRACEPARENT) == [TRACEPARENT]


async def test_each_batch_has_a_span_below_its_own_trace(workspaces_file: WorkspacesFile, keys: Keys) -> None:
    exporter = InMemorySpanExporter()
    traces.configure_traces("test", exporter)
    try:
        async with serving(workspaces_file, keys) as served:
            answers = await served.ask(b"trace " + TRACEPARENT, b"echo a")
    finally:
        traces.flush_traces()
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["test.v1.StreamService/Stream"] * 2
    below = [span for span in spans if span.parent is not None]
    assert [f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" for span in below if span.parent] == [
        TRACEPARENT.decode()[3:52]
    ]
    assert f"{below[0].context.span_id:016x}".encode() in b"".join(answers)


def test_the_status_of_a_batch_is_what_grpc_status_understands() -> None:
    assert rpc_status.to_status(UnavailableError("Later.").status()).code is grpc.StatusCode.UNAVAILABLE
