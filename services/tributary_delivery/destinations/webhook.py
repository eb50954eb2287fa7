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
from tributary_delivery.destinations.destination import CONFIG, OK, RETRY, THROTTLED, Message, Outcome
from tributary_delivery.destinations.signature import sign, signing_key
from tributary_delivery.destinations.unanswered import UNANSWERED, unanswered
from tributary_delivery.destinations.usual_answers import retry_after_seconds
from tributary_delivery.destinations.webhook_body import test_body, webhook_body
from tributary_runtime.checked_http import CheckedHttp
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import WebhookDestination
from tributary_runtime.public_addresses import Lookup
from tributary_runtime.traces import TRACEPARENT, current_traceparent

_SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
_GONE: Final = 410
_UNAVAILABLE: Final = 503
_PERHAPS_TAKEN: Final = frozenset({408, 409})
_MOST_ANSWER_BYTES: Final = 16_384
_ANSWER_SECONDS: Final = 0.5


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
        self._url = httpx.URL(settings.url)
        secrets = [settings.secret, *filter(None, [settings.previous_secret])]
        try:
            self._keys = [signing_key(secret.reveal()) for secret in secrets]
        except ValueError as error:
            self._fault = f"The destination cannot be signed for: {error}."
        self._http = CheckedHttp(
            self._url,
            call_seconds=call_seconds,
            allow_private=settings.allow_private_addresses,
            agent="Tributary-Webhooks/1",
            clock=clock,
            tls=tls,
            lookup=lookup,
        )

    def visible_id(self, revised: ConversionRevised) -> str:
        """Returns the id of the conversion's creation."""
        return f"{revised.state.conversion_id}:{self._settings.id}"

    def message_id(self, message: Message) -> str:
        """Returns the header `webhook-id`: the conversion's for its creation, with the revision for a change."""
        visible_id = self.visible_id(message.revised)
        is_creation = message.operation == DELIVERY_OPERATION_CREATE
        return visible_id if is_creation else f"{visible_id}:{message.revised.revision}"

    @property
    def fault(self) -> str:
        """What is wrong with the settings; "": nothing."""
        return self._fault

    async def send(self, message: Message) -> Outcome:
        """Makes one attempt."""
        name = self._settings.name_of(message.revised.state.name) or message.revised.state.name
        body = webhook_body(message.revised, message.operation, name)
        return await self._post(body, self.message_id(message), message.now_seconds)

    async def try_out(self, now_micros: int) -> Outcome:
        """Posts a signed message that is about no conversion, under an id of its own."""
        message_id = f"test:{self._settings.id}:{now_micros}"
        return await self._post(test_body(self._settings.id, now_micros), message_id, now_micros // 1_000_000)

    async def _post(self, body: bytes, message_id: str, now_seconds: int) -> Outcome:
        if self._fault:
            return Outcome(CONFIG, message=self._fault, is_untaken=True, is_unsent=True)
        headers = self._headers(body, message_id, now_seconds)
        try:
            async with asyncio.timeout(self._call_seconds):  # of all of it: httpx counts each read anew
                answer = await self._http.post(self._url, body, headers)
        except UNANSWERED as error:
            return unanswered(error)
        await _finish(answer)
        return outcome_of(answer.status_code, answer.headers.get("retry-after", ""), now_seconds)

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    def _headers(self, body: bytes, message_id: str, now_seconds: int) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now_seconds),
            "webhook-signature": sign(self._keys, message_id, now_seconds, body),
        }
        if traceparent := current_traceparent():
            headers[TRACEPARENT] = traceparent
        return headers


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
