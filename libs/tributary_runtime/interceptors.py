"""What happens around every call: who may, what went wrong, how long it took.

The one rule: a method without a rule is closed. Authentication, errors, the canonical line, the duration and the span
are one interceptor, because a unary call costs 130 microseconds in all and each interceptor would add its share.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from enum import Enum
from inspect import isasyncgenfunction
from typing import Any, NoReturn, TypeVar, cast

import grpc
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind
from structlog.contextvars import bind_contextvars

from tributary_runtime import metrics, patience, traces
from tributary_runtime.authentication import (
    AUTHORIZATION,
    INTERNAL_TOKEN,
    Authenticator,
    InternalDoor,
    set_caller,
    workspace_of_call,
)
from tributary_runtime.call_lines import NOTHING, fields_of, told, write_line
from tributary_runtime.clock import Clock
from tributary_runtime.errors import (
    OverloadedError,
    PermissionDeniedError,
    TributaryError,
    UnauthenticatedError,
)
from tributary_runtime.open_streams import OpenStreams
from tributary_runtime.rpc_handlers import (
    Behavior,
    Handler,
    behavior_of,
    code_of,
    handler_like,
    is_stream,
    reading,
    writing,
)
from tributary_runtime.workspaces import Scope


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

Gate = Callable[[], TributaryError | None]
_Answer = TypeVar("_Answer")


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Stands around every call of a server.

    Args:
        rules: Full method name (`/tributary.dedup.v1.DedupService/AdmitEvents`) to what it asks of its caller.
        authenticator: Knows API keys; None where no method asks for a scope.
        internal_door: Knows the token of the services.
        clock: Measures.
        gate: Says why nothing can be done now, or None; asked before each call that is not public.
        max_concurrent_calls: Further ones are refused at once: queueing them would only make them time out. Parts of
            streams are calls; streams themselves have the same limit, beside. Public calls do not count, so that an
            overloaded process stays alive to its probe.
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
        self._streams = OpenStreams(max_concurrent_calls)
        self.last_arrival_seconds = 0.0
        """When the last call that was not public came, by the monotonic clock."""
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}
        metrics.RPC_METHODS.declare(rules)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Returns the handler of a call, wrapped; runs in the call's own task and context."""
        details: Any = handler_call_details
        handler = await continuation(details)
        method: str = details.method
        access = self._rules.get(method)
        if handler is None or access is Door.PUBLIC:
            return handler
        self.last_arrival_seconds = self._clock.monotonic_seconds()
        metadata = dict(details.invocation_metadata)
        is_repeated = len(metadata) < len(details.invocation_metadata)
        traceparent = metadata.get(traces.TRACEPARENT)
        if traceparent:
            traces.pass_on(str(traceparent))
        try:
            if is_repeated:
                _refuse_two_credentials(details.invocation_metadata)
            self.admit(access, metadata)
            if is_stream(handler):
                self._streams.check(workspace_of_call())
                _parts.set(Parts(self, method, access, metadata))
        except TributaryError as error:
            return self._refusing(method, handler, error)
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, self._wrap(method, handler))
        return known[1]

    def admit(self, access: Access | None, metadata: Mapping[str, Any], *, itself: int = 0) -> None:
        """Lets a caller in, or raises why not. Reading the request comes after it.

        Args:
            access: What the method asks for.
            metadata: What the caller shows.
            itself: 1 if this very call is counted already.
        """
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
        if self._running - itself >= self._max_concurrent_calls:
            raise OverloadedError("Too many calls at once; send the same again.", reason="TOO_MANY_CALLS")

    def _refusing(self, method: str, handler: Handler, error: TributaryError) -> Handler:
        """Returns a handler that reads nothing and answers with the error."""

        async def refuse(_request: Any, _context: Any) -> NoReturn:
            raise error

        return handler_like(handler, self._around(method, refuse), reads=False)

    def _wrap(self, method: str, handler: Handler) -> Handler:
        inner: Any = behavior_of(handler)
        if handler.response_streaming and isasyncgenfunction(inner):
            inner = writing(inner)
        parse = None if handler.request_streaming else handler.request_deserializer
        if parse is not None:
            inner = reading(inner, parse)
        around = self._around_stream if is_stream(handler) else self._around
        return handler_like(handler, around(method, inner), reads=parse is None)

    def _around(self, method: str, inner: Behavior) -> Behavior:
        """Wraps the behaviour of one method."""
        named = _Named(method)

        async def handle(request: Any, context: Any) -> Any:
            patience.heed(context.time_remaining)
            response, error = await self.account(
                named, lambda: inner(request, context), lambda: code_of(context), NOTHING
            )
            if error is not None:
                await context.abort_with_status(rpc_status.to_status(error.status()))
            return response

        return handle

    async def account(
        self,
        method: "_Named",
        work: Callable[[], Awaitable[_Answer]],
        find_code: Callable[[], str],
        about: Mapping[str, Any],
    ) -> tuple[_Answer | None, TributaryError | None]:
        """Does the work of a call: counted, traced, measured, and written down; returns what to answer or the error."""
        started = self._clock.monotonic_seconds()
        self._running += 1
        spanning = (
            traces.span(method.path, SpanKind.SERVER, **method.span_attributes)
            if traces.is_tracing()
            else nullcontext()
        )
        with spanning as span:
            code, fields = "OK", NOTHING
            try:
                response = await work()
                code = find_code()
                return response, None
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except grpc.aio.AbortError:
                code = find_code()
                raise
            except Exception as failure:
                error = told(failure)
                code, fields = error.code.name, fields_of(error, failure)
                return None, error
            finally:
                self._running -= 1
                seconds = self._clock.monotonic_seconds() - started
                metrics.RPC_DURATION.record(seconds, method=method.full, code=code)
                if span is not None:
                    span.set_attribute("rpc.grpc.status_code", code)
                write_line("rpc_handled", method.name, code, seconds, {**about, **fields})

    def _around_stream(self, method: str, inner: Behavior) -> Behavior:
        """Wraps a method of which both sides are streams: its parts are accounted for, and of itself only the end."""
        named = _Named(method)

        async def handle(requests: Any, context: Any) -> None:
            started, parts = self._clock.monotonic_seconds(), current_parts()
            workspace = workspace_of_call()
            self._streams.open(workspace)
            code, fields, error = "OK", NOTHING, None
            try:
                await inner(requests, context)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except Exception as failure:
                error = told(failure)
                code, fields = error.code.name, fields_of(error, failure)
            finally:
                self._streams.close(workspace)
                seconds = self._clock.monotonic_seconds() - started
                write_line("stream_ended", named.name, code, seconds, {"parts": parts.count, **fields})
            if error is not None:
                await context.abort_with_status(rpc_status.to_status(error.status()))

        return handle


def _refuse_two_credentials(metadata: Sequence[tuple[str, Any]]) -> None:
    """Refuses a call that shows a credential twice: which of them counts would depend on who reads it.

    Raises:
        UnauthenticatedError: It does.
    """
    names = [name for name, _ in metadata]
    if any(names.count(name) > 1 for name in (AUTHORIZATION, INTERNAL_TOKEN)):
        raise UnauthenticatedError("Send one credential, once.", reason="CREDENTIAL_REPEATED")


class _Named:
    """A method by its names."""

    __slots__ = ("full", "name", "path", "span_attributes")

    def __init__(self, full: str) -> None:
        self.full = full
        self.path = full[1:]
        service, _, self.name = self.path.partition("/")
        self.span_attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": self.name}


class Parts:
    """What the stream being handled is made of.

    The one rule: a part is accounted for as a call is. It is let in by the credential the stream was opened with, which
    is looked at anew; it counts towards the limit of calls at once; it has its own span, duration, and line.
    """

    __slots__ = ("_access", "_interceptor", "_metadata", "_method", "count")

    def __init__(
        self, interceptor: CallInterceptor, method: str, access: Access | None, metadata: Mapping[str, Any]
    ) -> None:
        self._interceptor = interceptor
        self._method = _Named(method)
        self._access = access
        self._metadata = metadata
        self.count = 0
        """How many there were."""

    async def handle(
        self, work: Callable[[], Awaitable[_Answer]], traceparent: str = "", **about: Any
    ) -> _Answer | TributaryError:
        """Does the work of one part; runs in a task of its own.

        Args:
            work: Runs once the part is let in; may raise what a call may.
            traceparent: Of the part; empty: that of the stream.
            about: For the line: which part it is.

        Returns:
            What the work did, or the error to tell the caller about this part.

        Raises:
            UnauthenticatedError: The credential is not good any more: the stream must end.
            PermissionDeniedError: Likewise, for this method.
        """
        self.count += 1
        if traceparent:
            traces.pass_on(traceparent)
        unwelcome: TributaryError | None = None

        async def let_in_and_work() -> _Answer:
            nonlocal unwelcome
            try:
                self._interceptor.admit(self._access, self._metadata, itself=1)
            except (UnauthenticatedError, PermissionDeniedError) as error:
                unwelcome = error
                raise
            return await work()

        response, error = await self._interceptor.account(self._method, let_in_and_work, lambda: "OK", about)
        if unwelcome is not None:
            raise unwelcome
        return cast("_Answer", response) if error is None else error


_parts: ContextVar[Parts] = ContextVar("parts")


def current_parts() -> Parts:
    """Returns the parts of the stream being handled; for methods of which both sides are streams."""
    return _parts.get()
