"""The shapes of gRPC's handlers: how to look into one, and how to make one like another.

The one rule: a request is parsed and a generator is drained inside of what is accounted for, never before or after.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from tributary_runtime.errors import InvalidRequestError

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behavior = Callable[[Any, Any], Awaitable[Any]]
"""What a handler does with a request, or the requests, and the context of the call."""

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def is_stream(handler: Handler) -> bool:
    """Tells whether both sides of a method are streams."""
    return bool(handler.request_streaming and handler.response_streaming)


def code_of(context: Any) -> str:
    """Returns the name of the code a call ends with."""
    code = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else _CODES.get(code or 0, "UNKNOWN")


def behavior_of(handler: Handler) -> Any:
    """Returns what a handler does, whatever its kind."""
    if handler.request_streaming:
        return handler.stream_stream if handler.response_streaming else handler.stream_unary
    return handler.unary_stream if handler.response_streaming else handler.unary_unary


def writing(generator: Callable[[Any, Any], AsyncIterator[Any]]) -> Behavior:
    """Turns a generator of responses into a coroutine that writes them, which ends at once when it is cancelled."""

    async def write(request: Any, context: Any) -> None:
        responses: Any = generator(request, context)
        async with aclosing(responses):
            async for response in responses:
                await context.write(response)

    return write


def reading(inner: Behavior, parse: Callable[[bytes], Any]) -> Behavior:
    """Parses the request here and not in gRPC, which answers UNKNOWN, without details, to bytes that are none."""

    async def read(body: bytes, context: Any) -> Any:
        try:
            request = parse(body)
        except DecodeError as error:
            message = "The bytes are no request of this method: not protobuf, or a text that is not UTF-8."
            raise InvalidRequestError(message, reason="REQUEST_MALFORMED") from error
        return await inner(request, context)

    return read


def handler_like(handler: Handler, behavior: Behavior, *, reads: bool = True) -> Handler:
    """Returns a handler of the same kind that does something else; its requests stay bytes unless it reads."""
    if handler.request_streaming:
        make: Any = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
    else:
        make = (
            grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
        )
    made: Handler = make(behavior, handler.request_deserializer if reads else None, handler.response_serializer)
    return made
