"""What happens around every call, with a real server: who may, what is told, what is logged."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from pydantic import SecretStr

from tests.support.eventually import eventually_async
from tests.unit.runtime.conftest import Keys, LogLines, ServeEcho
from tests.unit.runtime.echo_service import SERVICE
from tributary_runtime.errors import UnavailableError

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def status_of(failure: grpc.aio.AioRpcError) -> status_pb2.Status:
    for key, value in failure.trailing_metadata() or ():  # type: ignore[misc]
        if key == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value)
    raise AssertionError("no status details")


def reason_of(failure: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    assert status_of(failure).details[0].Unpack(info)
    return info.reason


async def refusal_of(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return refusal.value


async def test_a_caller_with_the_scope_gets_through_in_its_own_workspace(serve_echo: ServeEcho, keys: Keys) -> None:
    async with serve_echo(api_key=keys.ingest.key) as echo:
        assert await echo.unary("Echo", b"hi") == b"shop:hi"


@pytest.mark.parametrize(
    ("metadata", "code", "reason"),
    [
        pytest.param((), "UNAUTHENTICATED", "API_KEY_MISSING", id="no key"),
        pytest.param((("authorization", "Bearer trb_nobody_x"),), "UNAUTHENTICATED", "API_KEY_INVALID", id="wrong key"),
        pytest.param(None, "PERMISSION_DENIED", "SCOPE_MISSING", id="another scope"),
    ],
)
async def test_a_caller_without_the_right_is_refused(
    serve_echo: ServeEcho, keys: Keys, metadata: Any, code: str, reason: str
) -> None:
    if metadata is None:
        metadata = (("authorization", f"Bearer {keys.query.key.get_secret_value()}"),)
    async with serve_echo() as echo:
        refusal = await refusal_of(echo.unary("Echo", metadata=metadata))
    assert (refusal.code().name, reason_of(refusal)) == (code, reason)


async def test_a_caller_that_shows_two_keys_is_refused_though_both_are_right(serve_echo: ServeEcho, keys: Keys) -> None:
    shown = ("authorization", f"Bearer {keys.ingest.key.get_secret_value()}")
    async with serve_echo(token=None) as echo:
        assert await echo.unary("Echo", metadata=(shown, ("x-other", "1"), ("x-other", "2")))
        refusal = await refusal_of(echo.unary("Echo", metadata=(shown, shown)))
    assert (refusal.code().name, reason_of(refusal)) == ("UNAUTHENTICATED", "CREDENTIAL_REPEATED")


@pytest.mark.parametrize("method", ["Internal", "Slow"])
async def test_an_api_key_does_not_open_an_internal_method(serve_echo: ServeEcho, keys: Keys, method: str) -> None:
    async with serve_echo(token=None, api_key=keys.ingest.key) as echo:
        refusal = await refusal_of(echo.unary(method))
    assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_wrong_token_does_not_open_an_internal_method(serve_echo: ServeEcho) -> None:
    async with serve_echo(token=SecretStr("a-token-of-somebody-else")) as echo:
        refusal = await refusal_of(echo.unary("Internal"))
    assert reason_of(refusal) == "INTERNAL_TOKEN_INVALID"


async def test_a_method_without_a_rule_is_closed(serve_echo: ServeEcho, keys: Keys) -> None:
    async with serve_echo(api_key=keys.ingest.key) as echo:
        refusal = await refusal_of(echo.unary("Forgotten"))
    assert (refusal.code().name, reason_of(refusal)) == ("PERMISSION_DENIED", "METHOD_CLOSED")


async def test_a_method_that_does_not_exist_is_unimplemented(serve_echo: ServeEcho) -> None:
    async with serve_echo() as echo:
        refusal = await refusal_of(echo.unary("Nothing"))
    assert refusal.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("failure", "code", "reason", "detail"),
    [
        pytest.param(b"invalid", "INVALID_ARGUMENT", "INVALID_REQUEST", error_details_pb2.BadRequest, id="invalid"),
        pytest.param(b"not_found", "NOT_FOUND", "NOT_FOUND", error_details_pb2.ResourceInfo, id="not found"),
        pytest.param(b"moved", "ABORTED", "REVISION_MOVED", None, id="moved"),
        pytest.param(
            b"precondition", "FAILED_PRECONDITION", "NO_EPOCH", error_details_pb2.PreconditionFailure, id="precondition"
        ),
        pytest.param(b"overloaded", "RESOURCE_EXHAUSTED", "OVERLOADED", error_details_pb2.QuotaFailure, id="quota"),
        pytest.param(b"overloaded", "RESOURCE_EXHAUSTED", "OVERLOADED", error_details_pb2.RetryInfo, id="overloaded"),
        pytest.param(
            b"unavailable", "UNAVAILABLE", "STORAGE_UNAVAILABLE", error_details_pb2.RetryInfo, id="unavailable"
        ),
        pytest.param(b"ours", "INTERNAL", "INTERNAL", None, id="ours"),
    ],
)
async def test_an_error_reaches_the_caller_with_its_details(
    serve_echo: ServeEcho, failure: bytes, code: str, reason: str, detail: Any
) -> None:
    async with serve_echo() as echo:
        refusal = await refusal_of(echo.unary("Fail", failure))
    status = status_of(refusal)
    assert (refusal.code().name, reason_of(refusal)) == (code, reason)
    assert sum(one.Is(error_details_pb2.ErrorInfo.DESCRIPTOR) for one in status.details) == 1
    assert detail is None or any(one.Is(detail.DESCRIPTOR) for one in status.details)


async def test_an_unexpected_error_tells_the_caller_nothing_and_the_log_everything(
    serve_echo: ServeEcho, log_lines: LogLines
) -> None:
    async with serve_echo() as echo:
        refusal = await refusal_of(echo.unary("Fail", b"unexpected"))
    assert refusal.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in str(status_of(refusal))
    (line,) = log_lines
    assert (line["log_level"], str(line["exc_info"])) == ("error", "the secret is hunter2")


async def test_an_error_in_the_middle_of_a_stream_follows_what_was_sent(serve_echo: ServeEcho) -> None:
    async with serve_echo() as echo:
        call = echo.channel.unary_stream(f"/{SERVICE}/FailLater", None, None)(b"unavailable")
        assert await call.read() == b"first"
        refusal = await refusal_of(call.read())
    assert reason_of(refusal) == "STORAGE_UNAVAILABLE"


async def test_every_kind_of_call_gets_through(serve_echo: ServeEcho) -> None:
    async with serve_echo() as echo:
        channel = echo.channel
        counted = [part async for part in channel.unary_stream(f"/{SERVICE}/Count", None, None)(b"3")]
        joined = await channel.stream_unary(f"/{SERVICE}/Join", None, None)(iter([b"a", b"b"]))
        chatted = [part async for part in channel.stream_stream(f"/{SERVICE}/Chat", None, None)(iter([b"a", b"b"]))]
    assert (counted, joined, chatted) == ([b"0", b"1", b"2"], b"ab", [b"A", b"B"])


@pytest.mark.parametrize("method", ["Count", "Chat"])
async def test_a_streaming_method_is_closed_to_strangers(serve_echo: ServeEcho, method: str) -> None:
    async with serve_echo(token=None) as echo:
        if method == "Count":
            call = echo.channel.unary_stream(f"/{SERVICE}/Count", None, None)(b"3")
        else:  # nothing is written: grpc.aio calls a write that meets the refusal an internal error, now and then
            call = echo.channel.stream_stream(f"/{SERVICE}/Chat", None, None)()
        refusal = await refusal_of(call.read())
    assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_each_call_has_one_line_with_what_the_servicer_bound(
    serve_echo: ServeEcho, keys: Keys, log_lines: LogLines
) -> None:
    async with serve_echo(api_key=keys.ingest.key) as echo:
        await echo.unary("Echo", b"abc")
        await echo.unary("Internal")
    first, second = log_lines
    assert first.pop("duration_ms") >= 0
    assert first == {
        "event": "rpc_handled",
        "log_level": "info",
        "method": "Echo",
        "code": "OK",
        "workspace": "shop",
        "key": keys.ingest.id,
        "events": 3,
    }
    assert "workspace" not in second  # what one call binds, another does not see


@pytest.mark.parametrize(
    ("failure", "level"),
    [(b"invalid", "info"), (b"unavailable", "warning"), (b"overloaded", "warning"), (b"ours", "error")],
)
async def test_the_line_is_as_loud_as_the_code_is_bad(
    serve_echo: ServeEcho, log_lines: LogLines, failure: bytes, level: str
) -> None:
    async with serve_echo() as echo:
        await refusal_of(echo.unary("Fail", failure))
    assert [line["log_level"] for line in log_lines] == [level]


async def test_the_line_names_the_cause_that_the_caller_is_not_told(serve_echo: ServeEcho, log_lines: LogLines) -> None:
    async with serve_echo() as echo:
        refusal = await refusal_of(echo.unary("Fail", b"caused"))
    assert log_lines[0]["cause"] == "ConnectionResetError: by redis-log-0"
    assert "redis-log-0" not in str(status_of(refusal))


async def test_a_caller_that_leaves_stops_the_work(serve_echo: ServeEcho, log_lines: LogLines) -> None:
    async with serve_echo() as echo:
        call = asyncio.ensure_future(echo.unary("Slow"))
        await eventually_async(lambda: echo.servicer.running == 1)
        call.cancel()
        await eventually_async(lambda: echo.servicer.cancelled == 1)
        await eventually_async(lambda: len(log_lines) == 1)
    assert log_lines[0]["code"] == "CANCELLED"


async def test_a_stream_whose_caller_leaves_is_closed_at_once(serve_echo: ServeEcho, log_lines: LogLines) -> None:
    async with serve_echo() as echo:
        call = echo.channel.unary_stream(f"/{SERVICE}/Endless", None, None)(b"")
        assert await call.read() == b"0"
        call.cancel()
        await eventually_async(lambda: echo.servicer.cancelled == 1)
        await eventually_async(lambda: len(log_lines) == 1)
    assert log_lines[0]["code"] == "CANCELLED"


async def test_a_servicer_may_write_its_stream_itself(serve_echo: ServeEcho) -> None:
    async with serve_echo() as echo:
        call = echo.channel.unary_stream(f"/{SERVICE}/Write", None, None)(b"")
        assert [part async for part in call] == [b"written"]


async def test_a_code_that_a_servicer_sets_itself_is_logged(serve_echo: ServeEcho, log_lines: LogLines) -> None:
    async with serve_echo() as echo:
        refusal = await refusal_of(echo.unary("Abort"))
    assert refusal.code() is grpc.StatusCode.ALREADY_EXISTS
    assert log_lines[0]["code"] == "ALREADY_EXISTS"


async def test_more_calls_than_allowed_are_refused_at_once_and_only_those(serve_echo: ServeEcho) -> None:
    async with serve_echo(max_concurrent_calls=3) as echo:
        held = [asyncio.ensure_future(echo.unary("Slow", b"x")) for _ in range(3)]
        await eventually_async(lambda: echo.servicer.running == 3)
        refusal = await refusal_of(echo.unary("Internal"))
        assert (refusal.code().name, reason_of(refusal)) == ("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS")
        echo.servicer.let_go.set()
        assert await asyncio.gather(*held) == [b"x"] * 3
        assert await echo.unary("Internal") == b""


async def test_a_closed_gate_refuses_with_its_reason(serve_echo: ServeEcho) -> None:
    closed = UnavailableError("Not ready: Redis may forget.", reason="NOT_READY")
    async with serve_echo(gate=lambda: closed) as echo:
        refusal = await refusal_of(echo.unary("Internal"))
    assert (refusal.code().name, reason_of(refusal)) == ("UNAVAILABLE", "NOT_READY")


async def test_a_stranger_is_not_told_whether_the_gate_is_closed(serve_echo: ServeEcho) -> None:
    async with serve_echo(token=None, gate=lambda: UnavailableError("Redis may forget.")) as echo:
        refusal = await refusal_of(echo.unary("Internal"))
    assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        pytest.param(TRACEPARENT, TRACEPARENT, id="right"),
        pytest.param("hello", "", id="nonsense"),
        pytest.param("00-" + "0" * 32 + "-b7ad6b7169203331-01", "", id="no trace"),
    ],
)
async def test_a_traceparent_travels_on_though_nothing_is_traced(serve_echo: ServeEcho, sent: str, seen: str) -> None:
    async with serve_echo() as echo:
        assert await echo.unary("Internal", metadata=(("traceparent", sent),)) == seen.encode()


def test_the_status_is_what_grpc_status_understands() -> None:
    status = UnavailableError("Later.").status()
    assert rpc_status.to_status(status).code is grpc.StatusCode.UNAVAILABLE
