"""What several tests of the runtime need: a workspaces file with keys, a server around the echo service, its log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
import yaml
from pydantic import SecretStr
from structlog.testing import capture_logs

from tests.unit.runtime.echo_service import SERVICE, EchoServicer
from tributary_runtime.authentication import Authenticator, InternalDoor, NewKey, new_key
from tributary_runtime.channels import open_channel
from tributary_runtime.clock import SystemClock
from tributary_runtime.interceptors import CallInterceptor, Gate
from tributary_runtime.workspaces_file import WorkspacesFile

INTERNAL_TOKEN = SecretStr("a-token-of-the-services")

LogLines = list[MutableMapping[str, Any]]


@dataclass(frozen=True)
class Keys:
    """API keys of the workspaces file."""

    ingest: NewKey
    query: NewKey
    expired: NewKey
    other: NewKey


@pytest.fixture(autouse=True)
def no_log_fields() -> Iterator[None]:
    """What one test adds to the lines of its context ends with it."""
    yield
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def keys() -> Keys:
    return Keys(new_key(), new_key("analysts"), new_key(), new_key())


def workspaces_content(keys: Keys) -> dict[str, Any]:
    def entry(key: NewKey, *scopes: str, **more: Any) -> dict[str, Any]:
        return {"id": key.id, "sha256": key.sha256, "scopes": list(scopes), **more}

    return {
        "workspaces": [
            {
                "id": "shop",
                "pepper": {"value": "salt"},
                "api_keys": [
                    entry(keys.ingest, "ingest"),
                    entry(keys.query, "query", expires_on=date(2999, 12, 31)),
                    entry(keys.expired, "ingest", expires_on=date(2020, 1, 1)),
                ],
            },
            {"id": "blog", "pepper": {"value": "and pepper"}, "api_keys": [entry(keys.other, "ingest", "backfill")]},
        ]
    }


@pytest.fixture
def workspaces_file(tmp_path: Path, keys: Keys) -> WorkspacesFile:
    path = tmp_path / "workspaces.yaml"
    path.write_text(yaml.safe_dump(workspaces_content(keys)))
    return WorkspacesFile(path, poll_seconds=0.02)


@pytest.fixture
def log_lines() -> Iterator[LogLines]:
    """The log lines of the test, with what was bound around them."""
    structlog.reset_defaults()
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines
    structlog.reset_defaults()


class Echo:
    """The echo service, served, and how to call it."""

    def __init__(self, servicer: EchoServicer, channel: grpc.aio.Channel) -> None:
        self.servicer = servicer
        self.channel = channel

    async def unary(self, method: str, request: bytes = b"", **options: Any) -> bytes:
        answer: bytes = await self.channel.unary_unary(f"/{SERVICE}/{method}", None, None)(request, **options)
        return answer


ServeEcho = Callable[..., AbstractAsyncContextManager[Echo]]


@pytest.fixture
def serve_echo(workspaces_file: WorkspacesFile) -> ServeEcho:
    """Serves the echo service behind the interceptor, as `serve` would, and opens a channel to it."""

    @asynccontextmanager
    async def serving(
        *,
        token: SecretStr | None = INTERNAL_TOKEN,
        api_key: SecretStr | None = None,
        gate: Gate = lambda: None,
        max_concurrent_calls: int = 100,
        deadline_seconds: float = 10,
        is_forwarding: bool = False,
    ) -> AsyncIterator[Echo]:
        servicer = EchoServicer()
        clock = SystemClock()
        interceptor = CallInterceptor(
            {f"/{SERVICE}/{method}": access for method, access in servicer.rules.items()},
            Authenticator(workspaces_file, clock),
            InternalDoor(INTERNAL_TOKEN),
            clock,
            gate,
            max_concurrent_calls,
        )
        server = grpc.aio.server(interceptors=[interceptor])
        servicer.add_to(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            options = {"deadline_seconds": deadline_seconds, "is_forwarding": is_forwarding}
            async with open_channel(f"127.0.0.1:{port}", token, api_key=api_key, **options) as channel:
                yield Echo(servicer, channel)
        finally:
            servicer.let_go.set()
            await server.stop(grace=5)

    return serving
