"""A webhook: POSTs each conversion and each change of it to an address of the workspace's, signed.

One message id per conversion and destination for its creation, and one per revision for each change: a receiver that
remembers `webhook-id`, as the specification asks, sees every one once. Redirects are failures, never followed.

What the receiver has not confirmed it may have taken all the same, and then it hears of every change that followed:
of a reversal too, although the creation was answered 500. Certain to be untaken, and never reversed, is

    what never reached it     no address, no connection, a TLS certificate or protocol that is refused
    3xx, 4xx                  but 408 and 409: a request that was cut off, one that is there already
    503 with Retry-After      a server that declines on purpose; without it, often a proxy that lost the answer
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Final

import httpx

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE
from tributary_delivery.destinations.addresses import Addresses, Lookup, RefusedAddressError
from tributary_delivery.destinations.destination import CONFIG, OK, RETRY, THROTTLED, Message, Outcome
from tributary_delivery.destinations.signature import sign, signing_key
from tributary_delivery.destinations.usual_answers import retry_after_seconds
from tributary_delivery.destinations.webhook_body import webhook_body
from tributary_runtime.clock import Clock, SystemClock
from tributary_runtime.destination_settings import WebhookDestination
from tributary_runtime.traces import TRACEPARENT, current_traceparent

_SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
_GONE: Final = 410
_UNAVAILABLE: Final = 503
_PERHAPS_TAKEN: Final = frozenset({408, 409})
_UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_MOST_ANSWER_BYTES: Final = 16_384
_ANSWER_SECONDS: Final = 0.5
_CONNECTIONS: Final = httpx.Limits(max_connections=256, max_keepalive_connections=32, keepalive_expiry=15.0)
_PASSING_TLS_ERRORS: Final = (
    *(ssl.SSLEOFError, ssl.SSLSyscallError, ssl.SSLZeroReturnError),
    *(ssl.SSLWantReadError, ssl.SSLWantWriteError),
)


class Webhook:
    """One webhook of one workspace.

    Args:
        settings: What `workspaces.yaml` says of it.
        call_seconds: How long one call may take, from the name's resolution to the status; half a second more if the
            answer's text is slow.
        clock: Tells for how long an address holds.
        tls: How certificates are checked; by the usual authorities unless given.
        lookup: Asks the name server; the system's unless given.
    """

    def __init__(
        self,
        settings: WebhookDestination,
        *,
        call_seconds: float,
        clock: Clock | None = None,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        """Prepares the client; nothing connects, and what is wrong shows when it is called."""
        self._settings = settings
        self._call_seconds = call_seconds
        self._fault = ""
        self._keys: list[bytes] = []
        self._url = httpx.URL("https://invalid")
        secrets = [settings.secret, *filter(None, [settings.previous_secret])]
        try:
            self._url = httpx.URL(settings.url)
            self._keys = [signing_key(secret.reveal()) for secret in secrets]
        except httpx.InvalidURL:
            self._fault = "The destination's url cannot be read."
        except ValueError as error:
            self._fault = f"The destination cannot be signed for: {error}."
        self._host = self._url.raw_host.decode("ascii")
        self._port = self._url.port or _DEFAULT_PORTS.get(self._url.scheme, 443)
        allow_private = settings.allow_private_addresses
        self._addresses = Addresses(
            self._host, self._port, clock or SystemClock(), allow_private=allow_private, lookup=lookup
        )
        self._client = httpx.AsyncClient(
            verify=tls or httpx.create_ssl_context(),
            # A handshake that the whole call's time-out cancels would leave its socket to the garbage collector.
            timeout=httpx.Timeout(call_seconds, connect=call_seconds / 3),
            limits=_CONNECTIONS,
            follow_redirects=False,
            trust_env=False,  # a proxy of the environment would connect past the address check
            headers={"user-agent": "Tributary-Webhooks/1", "accept-encoding": "identity"},
        )

    def visible_id(self, revised: ConversionRevised) -> str:
        """Returns the id of the conversion's creation."""
        return f"{revised.state.conversion_id}:{self._settings.id}"

    def message_id(self, message: Message) -> str:
        """Returns the header `webhook-id`: the conversion's for its creation, with the revision for a change."""
        visible_id = self.visible_id(message.revised)
        is_creation = message.operation == DELIVERY_OPERATION_CREATE
        return visible_id if is_creation else f"{visible_id}:{message.revised.revision}"

    async def send(self, message: Message) -> Outcome:
        """Makes one attempt."""
        if self._fault:
            return Outcome(CONFIG, message=self._fault, is_untaken=True)
        body, headers = self._sealed(message)
        try:
            async with asyncio.timeout(self._call_seconds):  # of all of it: httpx counts each read anew
                answer = await self._post(body, headers)
        except TimeoutError:
            return Outcome(RETRY, message="No answer in time.")
        except RefusedAddressError as error:
            return Outcome(CONFIG, message=str(error), is_untaken=True)
        except httpx.HTTPError as error:
            # Never the text of the error: it may hold the address with its query, where customers keep tokens.
            if is_tls_refusal(error):
                why = "The destination's TLS certificate or protocol is refused."
                return Outcome(CONFIG, message=why, is_untaken=True)
            is_untaken = isinstance(error, _UNREACHED)
            return Outcome(RETRY, message=f"No answer: {type(error).__name__}.", is_untaken=is_untaken)
        except OSError as error:
            why = f"The destination's host does not resolve: {type(error).__name__}."
            return Outcome(RETRY, message=why, is_untaken=True)
        await _finish(answer)
        return outcome_of(answer.status_code, answer.headers.get("retry-after", ""), message.now_seconds)

    async def aclose(self) -> None:
        """Closes its connections."""
        self._addresses.close()
        await self._client.aclose()

    def _sealed(self, message: Message) -> tuple[bytes, dict[str, str]]:
        name = self._settings.name_of(message.revised.state.name) or message.revised.state.name
        body = webhook_body(message.revised, message.operation, name)
        message_id = self.message_id(message)
        headers = {
            "host": self._url.netloc.decode("ascii"),
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(message.now_seconds),
            "webhook-signature": sign(self._keys, message_id, message.now_seconds, body),
        }
        if traceparent := current_traceparent():
            headers[TRACEPARENT] = traceparent
        return body, headers

    async def _post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Posts to an address that was checked: the next one where one cannot be connected to."""
        *others, last = await self._addresses.find()
        for address in others:
            with suppress(httpx.ConnectError):
                return await self._post_to(address, body, headers)
        return await self._post_to(last, body, headers)

    async def _post_to(self, address: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        url = self._url.copy_with(host=address, port=self._port, fragment=None)
        extensions = {"sni_hostname": self._host}
        request = self._client.build_request("POST", url, content=body, headers=headers, extensions=extensions)
        return await self._client.send(request, stream=True)


async def _finish(answer: httpx.Response) -> None:
    """Reads a short answer to its end, so that the connection can be used again; gives up on one that is not."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            read = 0
            async for piece in answer.aiter_raw():
                read += len(piece)
                if read > _MOST_ANSWER_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError):
        pass  # the status is there, and it says all
    with suppress(httpx.HTTPError):
        await answer.aclose()


def is_tls_refusal(error: BaseException) -> bool:
    """Tells whether a connection failed for what TLS found, and will again: not for a line that broke or was slow."""
    seen: BaseException | None = error if isinstance(error, httpx.ConnectError) else None
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return not isinstance(seen, _PASSING_TLS_ERRORS)
        seen = seen.__cause__ or seen.__context__
    return False


def outcome_of(status: int, retry_after: str, now_seconds: int) -> Outcome:
    """Returns what a status means: only 2xx is success, 3xx is not."""
    if 200 <= status < 300:
        return Outcome(OK, status_code=status)
    if status == _GONE:
        return Outcome(CONFIG, status_code=status, message="The destination is gone (410).", is_untaken=True)
    is_untaken = _is_untaken(status, retry_after)
    if status in _SLOW_DOWN:
        wait = retry_after_seconds(retry_after, now_seconds)
        return Outcome(THROTTLED, status, f"HTTP {status}", wait, is_untaken=is_untaken)
    return Outcome(RETRY, status, f"HTTP {status}", is_untaken=is_untaken)


def _is_untaken(status: int, retry_after: str) -> bool:
    """Tells whether a status that is no success leaves no doubt that nothing was taken."""
    if status == _UNAVAILABLE:
        return bool(retry_after)
    return 300 <= status < 500 and status not in _PERHAPS_TAKEN
