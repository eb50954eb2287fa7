"""Channels to other services: one address, all its replicas.

The one rule: nobody retries behind the caller's back. A call is sent again only where gRPC knows that no server has
seen it; whether an answer was lost is the caller's to decide (SEMANTICS section 3: the committer counts its re-sends).

A channel watches the health of each replica and sends calls only to ready ones. That is also what makes a replica leave
without failing a call: gRPC's server cancels what has arrived but is not begun when it is told to stop, so by then
nobody may be sending.

A channel shows the certificate that it was opened with, for as long as it lives. So where its files change another one
takes its place for all further calls; what is under way is finished on the old one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

import grpc
import structlog
from pydantic import SecretStr

from tributary_runtime import traces
from tributary_runtime.authentication import AUTHORIZATION, INTERNAL_TOKEN
from tributary_runtime.patience import patience_seconds
from tributary_runtime.readiness import READINESS
from tributary_runtime.tls import IN_THE_CLEAR, Stamp, Tls

log = structlog.get_logger(__name__)

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Of one message between services; 1000 events of 4 KiB and their neighbours fit."""

DEFAULT_DEADLINE_SECONDS = 10.0
"""Of a unary call that sets none."""

RENEW_SECONDS = 5.0
"""Between looks at the files of TLS."""

FINISH_SECONDS = 60.0
"""How long calls under way may take when the certificate is renewed."""

REACH_SECONDS = 20.0
"""How long a process that starts waits for one that it cannot work without."""

_SERVICE_CONFIG = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": READINESS}}

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.service_config_disable_resolution", 1),  # a DNS record must not switch retries on
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.dns_min_time_between_resolutions_ms", 2_000),  # new replicas of a headless Service are found soon
)


@asynccontextmanager
async def open_channel(
    target: str,
    internal_token: SecretStr | None = None,
    *,
    api_key: SecretStr | None = None,
    deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
    is_forwarding: bool = False,
    tls: Tls = IN_THE_CLEAR,
) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel that balances over all addresses of its target; connects at the first call.

    Args:
        target: host:port or dns:///name:port.
        internal_token: Shown as one of Tributary's own services.
        api_key: Shown as a caller from outside.
        deadline_seconds: For unary calls that set no timeout; streams have none of their own.
        is_forwarding: Whether calls are made for the caller of the one being handled, and so may take as long as that
            caller waits, where one says; a timeout of their own only shortens that.
        tls: Of this process.

    Raises:
        OSError: A file of TLS cannot be read.
    """
    credentials: list[tuple[str, str]] = []
    if internal_token is not None:
        credentials.append((INTERNAL_TOKEN, internal_token.get_secret_value()))
    if api_key is not None:
        credentials.append((AUTHORIZATION, f"Bearer {api_key.get_secret_value()}"))

    def open_one() -> grpc.aio.Channel:
        secure = tls.channel_credentials()
        if secure is None:
            return grpc.aio.insecure_channel(target, options=_OPTIONS)
        return grpc.aio.secure_channel(target, secure, options=[*_OPTIONS, *tls.channel_options()])

    channel = _CarryingChannel(open_one, tuple(credentials), deadline_seconds, is_forwarding=is_forwarding)
    renewing = None if tls.ca_file is None else asyncio.create_task(channel.renew(tls, tls.channel_stamp()))
    try:
        yield channel
    finally:
        if renewing is not None:
            renewing.cancel()
        await channel.close(grace=None)


async def reach(channel: grpc.aio.Channel, target: str, patience_seconds: float = REACH_SECONDS) -> bool:
    """Waits until a replica at the other end says that it is ready; tells whether one did.

    For a process that starts and can answer nobody alone: one that says it is ready while its channel still waits for
    its next try to connect fails the first calls. Where nobody is reached in time it goes on: callers are told so in
    words then, which beats a port that is closed.

    Args:
        channel: Made by `open_channel`.
        target: Its, for the log.
        patience_seconds: How long to wait.
    """
    try:
        async with asyncio.timeout(patience_seconds):
            await channel.channel_ready()
    except TimeoutError:
        log.warning("not_reached", target=target, waited_seconds=patience_seconds)
        return False
    return True


class _CarryingChannel(grpc.aio.Channel):
    """Adds credentials, traceparent and deadline to each call, and makes it on the channel of this moment.

    Not an interceptor: those of grpc.aio start a task per call, which costs more than all we add.
    """

    def __init__(
        self,
        open_one: Callable[[], grpc.aio.Channel],
        carried: tuple[tuple[str, str], ...],
        deadline_seconds: float,
        *,
        is_forwarding: bool,
    ) -> None:
        self._open_one = open_one
        self._channel = open_one()
        self._carried = carried
        self._deadline_seconds = deadline_seconds
        self._is_forwarding = is_forwarding
        self._leaving: set[asyncio.Task[None]] = set()

    async def renew(self, tls: Tls, seen: Stamp) -> None:
        """Opens another channel whenever the files look different, until cancelled.

        Args:
            tls: Where they are.
            seen: How they looked when the channel was opened.
        """
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                stamp = tls.channel_stamp()
                if stamp == seen:
                    continue
                tls.require_pair()
                fresh = self._open_one()
            except OSError as error:  # they are being replaced
                log.warning("certificate_unreadable", reason=str(error))
                continue
            seen, old, self._channel = stamp, self._channel, fresh
            leaving = asyncio.create_task(old.close(grace=FINISH_SECONDS))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            log.info("certificate_reloaded")

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._carrying(lambda channel: channel.unary_unary(*args, **kwargs), self._deadline_seconds)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._carrying(lambda channel: channel.unary_stream(*args, **kwargs), None)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._carrying(lambda channel: channel.stream_unary(*args, **kwargs), None)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._carrying(lambda channel: channel.stream_stream(*args, **kwargs), None)

    def _carrying(
        self, make: Callable[[grpc.aio.Channel], Callable[..., Any]], deadline_seconds: float | None
    ) -> Callable[..., Any]:
        carried, is_forwarding = self._carried, self._is_forwarding
        made_for = self._channel
        call = make(made_for)

        def start(
            *args: Any, timeout: float | None = None, metadata: Any = None, **kwargs: Any
        ) -> Any:  # as grpc.aio's multi-callables, which also take the request by name
            nonlocal made_for, call
            if made_for is not self._channel:
                made_for = self._channel
                call = make(made_for)
            traceparent = traces.current_traceparent()
            trace = ((traces.TRACEPARENT, traceparent),) if traceparent else ()
            asked = patience_seconds() if is_forwarding and deadline_seconds is not None else None
            if asked is not None:
                timeout = asked if timeout is None else min(timeout, asked)
            return call(
                *args,
                timeout=deadline_seconds if timeout is None else timeout,
                metadata=(*carried, *trace, *(metadata or ())),
                **kwargs,
            )

        return start

    async def close(self, grace: float | None = None) -> None:
        for leaving in tuple(self._leaving):
            leaving.cancel()
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def __aenter__(self) -> grpc.aio.Channel:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self._channel.close(None)
