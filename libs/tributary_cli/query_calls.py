"""Calls of the query service, by commands that make several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tributary_cli.local import resolve_api_key, resolve_target
from tributary_cli.rpc import explaining_calls, metadata_of, open_channel

if TYPE_CHECKING:
    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub


@contextmanager
def calling_query(connection: dict[str, Any]) -> Iterator[tuple[QueryServiceStub, Any]]:
    """Opens a stub; turns what its calls raise into what the user needs to know."""
    from tributary.query.v1.query_service_pb2_grpc import QueryServiceStub

    data: Path = connection["data"]
    address = resolve_target(connection["target"], "query", data)
    api_key = resolve_api_key(connection["api_key"], data)
    with explaining_calls(address), open_channel(address, tls=connection["tls"]) as channel:
        yield QueryServiceStub(channel), metadata_of(api_key)
