"""Nobody retries behind the caller's back, and every call carries what it must."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from pydantic import SecretStr

from tests.support.certificates import Authority
from tests.support.eventually import eventually_async
from tests.support.ports import free_port
from tests.unit.runtime.conftest import INTERNAL_TOKEN, Keys, ServeEcho
from tests.unit.runtime.echo_service import FAILURES, SERVICE
from tributary_runtime import channels, patience
from tributary_runtime.channels import open_channel, reach
from tributary_runtime.errors import TributaryError, UnavailableError
from tributary_runtime.readiness import Health
from tributary_runtime.remote_errors import error_of
from tributary_runtime.tls import Tls


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    return failure.value


async def test_a_call_without_a_deadline_gets_one(serve_echo: ServeEcho) -> None:
    async with serve_echo(deadline_seconds=0.2) as echo:
        failure = await failure_of(echo.unary("Slow"))
    assert failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_call_with_a_deadline_keeps_it(serve_echo: ServeEcho) -> None:
    async with serve_echo(deadline_seconds=0.01) as echo:
        call = asyncio.ensure_future(echo.unary("Slow", b"x", timeout=60))
        asyncio.get_running_loop().call_later(0.2, echo.servicer.let_go.set)
        assert await call == b"x"


@pytest.mark.parametrize(
    ("caller", "own", "default", "least", "most"),
    [
        pytest.param(1000.0, None, 10, 900, 1000, id="as-long-as-the-caller-waits"),
        pytest.param(100.0, None, 1000, 0, 100, id="no-longer-than-that"),
        pytest.param(1000.0, 100.0, 10, 10, 100, id="a-timeout-shortens-it"),
        pytest.param(100.0, 1000.0, 10, 10, 100, id="and-never-lengthens-it"),
        pytest.param(None, None, 100, 10, 100, id="the-caller-did-not-say"),
        pytest.param(None, 1000.0, 10, 100, 1000, id="nor-does-that-change-a-timeout"),
    ],
)
async def test_a_call_that_is_forwarded_may_take_as_long_as_its_caller_waits(
    serve_echo: ServeEcho, caller: float | None, own: float | None, default: float, least: float, most: float
) -> None:
    """What the other side is told of it is a little less each time, for the way back."""
    async with serve_echo(deadline_seconds=default, is_forwarding=True) as echo:
        patience.heed(lambda: caller)
        seconds = float(await echo.unary("Patience", timeout=own))
    assert least < seconds < most


async def test_a_call_of_its_own_takes_no_heed_of_whose_call_is_being_handled(serve_echo: ServeEcho) -> None:
    async with serve_echo(deadline_seconds=10_000) as echo:
        patience.heed(lambda: 1.0)
        assert float(await echo.unary("Patience")) > 1


async def test_a_stream_has_no_deadline_of_its_own(serve_echo: ServeEcho) -> None:
    async with serve_echo(deadline_seconds=0.000_001) as echo:
        call = echo.channel.unary_stream(f"/{SERVICE}/Count", None, None)(b"2")
        assert [part async for part in call] == [b"0", b"1"]


async def test_what_the_caller_adds_travels_with_the_credentials(serve_echo: ServeEcho, keys: Keys) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with serve_echo(api_key=keys.ingest.key) as echo:
        assert await echo.unary("Internal", metadata=(("traceparent", traceparent),)) == traceparent.encode()


async def test_a_failed_call_is_not_sent_again(serve_echo: ServeEcho) -> None:
    async with serve_echo() as echo:
        await failure_of(echo.unary("Fail", b"unavailable"))
        call = asyncio.ensure_future(echo.unary("Slow", timeout=0.2))
        await failure_of(call)
    assert echo.servicer.running == 1


@pytest.mark.parametrize("name", sorted(FAILURES.keys() - {b"unexpected"}))
async def test_what_another_service_refused_is_passed_on_as_it_was(serve_echo: ServeEcho, name: bytes) -> None:
    async with serve_echo() as echo:
        failure = await failure_of(echo.unary("Fail", name))
    original = FAILURES[name]
    passed_on = error_of(failure)
    assert isinstance(original, TributaryError)
    assert isinstance(original, type(passed_on))
    assert passed_on.status() == original.status()


async def test_who_is_reached_answers_the_first_call_though_it_started_later() -> None:
    health = Health([SERVICE])
    port = free_port()
    async with open_channel(f"127.0.0.1:{port}", SecretStr("x" * 16)) as channel:
        await failure_of(channel.unary_unary("/grpc.health.v1.Health/Check", None, None)(b""))  # now it waits to retry
        reached = asyncio.create_task(reach(channel, "late"))
        server = grpc.aio.server()
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        try:
            await asyncio.sleep(0.1)
            assert not reached.done(), "it listens, and is not ready"
            await health.set_ready(True)
            assert await reached
            assert await channel.unary_unary("/grpc.health.v1.Health/Check", None, None)(b"")
        finally:
            await health.close()
            await server.stop(0)


async def test_who_cannot_be_reached_is_not_waited_for_for_ever() -> None:
    async with open_channel(f"127.0.0.1:{free_port()}", SecretStr("x" * 16)) as channel:
        assert not await reach(channel, "nobody", patience_seconds=0.1)


async def test_no_answer_means_unknown() -> None:
    async with open_channel(f"127.0.0.1:{free_port()}", SecretStr("x" * 16)) as channel:
        failure = await failure_of(channel.unary_unary(f"/{SERVICE}/Echo", None, None)(b""))
    assert isinstance(error_of(failure), UnavailableError)


class _Echo(grpc.GenericRpcHandler):
    """Answers what it was sent, and that it is ready."""

    def service(self, details: Any) -> Any:
        if details.method.endswith("/Echo"):
            return grpc.unary_unary_rpc_method_handler(_echo)
        return None


async def _echo(request: bytes, _: Any) -> bytes:
    return request


async def _serve(address: str, tls: Tls) -> grpc.aio.Server:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Echo(),))
    health = Health([])
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    await health.set_ready(is_ready=True)
    server.add_secure_port(address, tls.server_credentials())
    await server.start()
    return server


async def test_a_channel_shows_a_certificate_that_was_renewed_since_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "RENEW_SECONDS", 0.05)
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    own, caller, renewed = first.issue("server"), first.issue("caller"), second.issue("renewed")
    trusted = tmp_path / "callers.pem"
    trusted.write_bytes(first.file.read_bytes())
    serving = Tls(own.certificate, own.key, client_ca_file=trusted)
    calling = Tls(caller.certificate, caller.key, ca_file=first.file)
    address = f"127.0.0.1:{free_port()}"
    server = await _serve(address, serving)
    async with open_channel(address, tls=calling) as channel:
        call = channel.unary_unary(f"/{SERVICE}/Echo", None, None)
        assert await call(b"one") == b"one"
        caller.key.write_bytes(renewed.key.read_bytes())  # half of it: the old one is shown still
        trusted.write_bytes(second.file.read_bytes())
        caller.certificate.write_bytes(renewed.certificate.read_bytes())
        await server.stop(None)  # who comes back is asked for a certificate of the second authority
        server = await _serve(address, serving)

        async def answered() -> None:
            try:
                assert await call(b"two", timeout=20) == b"two"
            except grpc.aio.AioRpcError as error:
                raise AssertionError(error.details()) from error

        await eventually_async(answered)
    await server.stop(None)


async def test_a_wrong_token_between_services_is_our_fault_not_the_callers(serve_echo: ServeEcho) -> None:
    async with serve_echo(token=SecretStr(INTERNAL_TOKEN.get_secret_value() + "x")) as echo:
        failure = await failure_of(echo.unary("Internal"))
    assert error_of(failure).code is grpc.StatusCode.INTERNAL
