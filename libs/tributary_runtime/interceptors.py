"""What happens around every call: who may, what went wrong, how long it took.

The one rule: a method without a rule is closed. Authentication, errors, the canonical line, the duration and the span
are one interceptor, because a unary call costs 130 microseconds in all and each interceptor would add its share.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, nullcontext
from enum import Enum
from inspect import isasyncgenfunction
from typing import Any, NoReturn, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind
from structlog.contextvars import bind_contextvars

from tributary_runtime import metrics, traces
from tributary_runtime.authentication import (
    AUTHORIZATION,
    INTERNAL_TOKEN,
    Authenticator,
    InternalDoor,
    set_caller,
)
from tributary_runtime.clock import Clock
from tributary_runtime.errors import (
    InvalidRequestError,
    OverloadedError,
    PermissionDeniedError,
    TributaryError,
    UnauthenticatedError,
)
from tributary_runtime.remote_errors import error_of
from tributary_runtime.workspaces import Scope

log = structlog.get_logger(__name__)


class Door(Enum):
    """Who may call a method without an API key."""

    INTERNAL = "internal"
    """Tributary's own services."""
    PUBLIC = "public"
    """Anybody; such calls are neither logged nor measured: probes."""


Access = Scope | Door
"""What a method asks of its caller: a scope of an API key, or another door."""

INTERNAL = Door.INTERNAL
PUBLIC = Door.PUBLIC

MAX_CAUSE = 500
"""Characters of a cause in the canonical line."""

_FAULTS = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS"})
_DEGRADED = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"})
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
_UNEXPECTED = TributaryError("Something went wrong on our side; the log has the details. Send the same again.")

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Gate = Callable[[], TributaryError | None]
_Behavior = Callable[[Any, Any], Awaitable[Any]]


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Stands around every call of a server.

    Args:
        rules: Full method name (`/tributary.dedup.v1.DedupService/AdmitEvents`) to what it asks of its caller.
        authenticator: Knows API keys; None where no method asks for a scope.
        internal_door: Knows the token of the services.
        clock: Measures.
        gate: Says why nothing can be done now, or None; asked before each call that is not public.
        max_concurrent_calls: Further ones are refused at once: queueing them would only make them time out. Public
            calls do not count, so that an overloaded process stays alive to its probe.
    """

    def __init__(
        self,
        rules: Mapping[str, Access],
        authenticator: Authenticator | None,
        internal_door: InternalDoor,
        clock: Clock,
        gate: Gate = lambda: None,
        max_concurrent_calls: int = 1_000_000,
    ) -> None:
        self._rules = dict(rules)
        self._authenticator = authenticator
        self._internal_door = internal_door
        self._clock = clock
        self._gate = gate
        self._max_concurrent_calls = max_concurrent_calls
        self._running = 0
        self.last_arrival_seconds = 0.0
        """When the last call that was not public came, by the monotonic clock."""
        self._wrapped: dict[str, tuple[_Handler, _Handler]] = {}
        metrics.RPC_METHODS.declare(rules)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        """Returns the handler of a call, wrapped; runs in the call's own task and context."""
        details: Any = handler_call_details
        handler = await continuation(details)
        method: str = details.method
        access = self._rules.get(method)
        if handler is None or access is Door.PUBLIC:
            return handler
        self.last_arrival_seconds = self._clock.monotonic_seconds()
        metadata = dict(details.invocation_metadata)
        traceparent = metadata.get(traces.TRACEPARENT)
        if traceparent:
            traces.pass_on(str(traceparent))
        try:
            self._admit(access, metadata)
        except TributaryError as error:
            return self._refusing(method, handler, error)
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, self._wrap(method, handler))
        return known[1]

    def _admit(self, access: Access | None, metadata: Mapping[str, Any]) -> None:
        """Lets a caller in, or raises why not. Reading the request comes after it."""
        if isinstance(access, Scope):
            if self._authenticator is None:
                raise UnauthenticatedError("This server knows no API keys.")
            caller = self._authenticator.authenticate(str(metadata.get(AUTHORIZATION, "")))
            bind_contextvars(workspace=caller.workspace_id, key=caller.key_id)
            caller.require(access)
            set_caller(caller)
        elif access is Door.INTERNAL:
            self._internal_door.check(metadata.get(INTERNAL_TOKEN, ""))
        else:
            raise PermissionDeniedError("Nobody may call this method: it has no rule.", reason="METHOD_CLOSED")
        closed = self._gate()
        if closed is not None:
            raise closed
        if self._running >= self._max_concurrent_calls:
            raise OverloadedError("Too many calls at once; send the same again.", reason="TOO_MANY_CALLS")

    def _refusing(self, method: str, handler: _Handler, error: TributaryError) -> _Handler:
        """Returns a handler that reads nothing and answers with the error."""

        async def refuse(_request: Any, _context: Any) -> NoReturn:
            raise error

        return _handler_like(handler, self._around(method, refuse), reads=False)

    def _wrap(self, method: str, handler: _Handler) -> _Handler:
        inner: Any = _behavior_of(handler)
        if handler.response_streaming and isasyncgenfunction(inner):
            inner = _writing(inner)
        parse = None if handler.request_streaming else handler.request_deserializer
        if parse is not None:
            inner = _reading(inner, parse)
        return _handler_like(handler, self._around(method, inner), reads=parse is None)

    def _around(self, method: str, inner: _Behavior) -> _Behavior:
        """Wraps the behaviour of one method."""
        service, _, name = method[1:].partition("/")
        span_attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        clock = self._clock

        async def handle(request: Any, context: Any) -> Any:
            started = clock.monotonic_seconds()
            self._running += 1
            spanning = (
                traces.span(method[1:], SpanKind.SERVER, **span_attributes) if traces.is_tracing() else nullcontext()
            )
            with spanning as span:
                code, fields = "OK", _NOTHING
                try:
                    response = await inner(request, context)
                    code = _code_of(context)
                    return response
                except asyncio.CancelledError:
                    code = "CANCELLED"
                    raise
                except grpc.aio.AbortError:
                    code = _code_of(context)
                    raise
                except Exception as failure:
                    error = _told(failure)
                    code, fields = error.code.name, _fields_of(error, failure)
                    await context.abort_with_status(rpc_status.to_status(error.status()))
                finally:
                    self._running -= 1
                    seconds = clock.monotonic_seconds() - started
                    metrics.RPC_DURATION.record(seconds, method=method, code=code)
                    if span is not None:
                        span.set_attribute("rpc.grpc.status_code", code)
                    _write_line(name, code, seconds, fields)

        return handle


_NOTHING: dict[str, Any] = {}


def _write_line(method: str, code: str, seconds: float, fields: dict[str, Any]) -> None:
    write = log.error if code in _FAULTS else log.warning if code in _DEGRADED else log.info
    write("rpc_handled", method=method, code=code, duration_ms=round(seconds * 1000, 3), **fields)


def _told(failure: Exception) -> TributaryError:
    """Returns what the caller is told about a failure."""
    if isinstance(failure, TributaryError):
        return failure
    if isinstance(failure, grpc.aio.AioRpcError):
        return error_of(failure)
    return _UNEXPECTED


def _fields_of(error: TributaryError, failure: Exception) -> dict[str, Any]:
    """Returns what the canonical line says about a failure, the cause included, which the caller is not told."""
    fields: dict[str, Any] = {"reason": error.reason}
    if error is _UNEXPECTED:
        return {**fields, "exc_info": failure}
    cause = failure.__cause__ if failure is error else failure
    if isinstance(cause, grpc.aio.AioRpcError):
        fields["cause"] = f"{cause.code().name}: {cause.details()}"[:MAX_CAUSE]
    elif cause is not None:
        fields["cause"] = f"{type(cause).__name__}: {cause}"[:MAX_CAUSE]
    return {**fields, "message": error.message}


def _code_of(context: Any) -> str:
    code = context.code()
    return code.name if isinstance(code, grpc.StatusCode) else _CODES.get(code or 0, "UNKNOWN")


def _behavior_of(handler: _Handler) -> Any:
    if handler.request_streaming:
        return handler.stream_stream if handler.response_streaming else handler.stream_unary
    return handler.unary_stream if handler.response_streaming else handler.unary_unary


def _writing(generator: Callable[[Any, Any], AsyncIterator[Any]]) -> _Behavior:
    """Turns a generator of responses into a coroutine that writes them, which ends at once when it is cancelled."""

    async def write(request: Any, context: Any) -> None:
        responses: Any = generator(request, context)
        async with aclosing(responses):
            async for response in responses:
                await context.write(response)

    return write


def _reading(inner: _Behavior, parse: Callable[[bytes], Any]) -> _Behavior:
    """Parses the request here and not in gRPC, which answers UNKNOWN, without details, to bytes that are none."""

    async def read(body: bytes, context: Any) -> Any:
        try:
            request = parse(body)
        except DecodeError as error:
            message = "The bytes are no request of this method: not protobuf, or a text that is not UTF-8."
            raise InvalidRequestError(message, reason="REQUEST_MALFORMED") from error
        return await inner(request, context)

    return read


def _handler_like(handler: _Handler, behavior: _Behavior, *, reads: bool = True) -> _Handler:
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
    made: _Handler = make(behavior, handler.request_deserializer if reads else None, handler.response_serializer)
    return made
