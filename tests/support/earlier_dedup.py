"""Dedup as of an earlier version: passes on to a real one all calls but of methods that it does not know yet."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from tests.support.ports import free_address


class EarlierDedup(grpc.GenericRpcHandler):
    """A running one.

    Args:
        unknown: Names of the methods that it does not know.
    """

    def __init__(self, *unknown: str) -> None:
        self.address = free_address()
        self.real = ""
        """Address of the real one, once that is known."""
        self._unknown = unknown

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Returns how a method is served; None, if it is unknown."""
        method = handler_call_details.method
        if "/grpc.health." in method or method.endswith(self._unknown):
            return None  # who has no health is always called

        def pass_on(body: bytes, context: grpc.ServicerContext) -> bytes:
            with grpc.insecure_channel(self.real) as channel:
                call = channel.unary_unary(method)
                try:
                    answer: bytes = call(body, timeout=context.time_remaining(), metadata=_sent(context))
                except grpc.RpcError as error:
                    context.set_trailing_metadata(error.trailing_metadata())
                    context.abort(error.code(), error.details())
                return answer

        return grpc.unary_unary_rpc_method_handler(pass_on)


def _sent(context: grpc.ServicerContext) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in context.invocation_metadata() if key != "user-agent"]


@contextmanager
def running_earlier_dedup(*unknown: str) -> Iterator[EarlierDedup]:
    """Runs one that does not know these methods."""
    with ThreadPoolExecutor(4) as threads:
        earlier, server = EarlierDedup(*unknown), grpc.server(threads)
        server.add_generic_rpc_handlers((earlier,))
        server.add_insecure_port(earlier.address)
        server.start()
        try:
            yield earlier
        finally:
            server.stop(None).wait()
