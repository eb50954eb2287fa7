"""A webhook: POSTs each conversion and each change of it to an address of the workspace's, signed.

One message id per conversion and destination for its creation, and one per revision for each change: a receiver that
remembers `webhook-id`, as the specification asks, sees every one once. Redirects are failures, never followed.
"""

from __future__ import annotations

import ssl
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx

from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE
from tributary_delivery.destinations.addresses import RefusedAddressError, resolve
from tributary_delivery.destinations.destination import CONFIG, OK, RETRY, THROTTLED, Message, Outcome
from tributary_delivery.destinations.signature import sign, signing_key
from tributary_delivery.destinations.webhook_body import webhook_body
from tributary_runtime.destination_settings import WebhookDestination
from tributary_runtime.traces import TRACEPARENT, current_traceparent

_SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
_GONE: Final = 410
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_MOST_RETRY_AFTER_SECONDS: Final = 24 * 3600.0


class Webhook:
    """One webhook of one workspace."""

    def __init__(self, settings: WebhookDestination, *, call_seconds: float) -> None:
        """Prepares the client; nothing connects."""
        self._settings = settings
        self._url = urlsplit(settings.url)
        secrets = [settings.secret, *filter(None, [settings.previous_secret])]
        self._keys = [signing_key(secret.reveal()) for secret in secrets]
        self._client = httpx.AsyncClient(
            timeout=call_seconds,
            follow_redirects=False,
            trust_env=False,  # a proxy of the environment would connect past the address check
            headers={"user-agent": "Tributary-Webhooks/1"},
        )

    def visible_id(self, message: Message) -> str:
        """Returns the message id: the conversion's for its creation, with the revision for a change."""
        stable = f"{message.revised.state.conversion_id}:{self._settings.id}"
        if message.operation == DELIVERY_OPERATION_CREATE:
            return stable
        return f"{stable}:{message.revised.revision}"

    async def send(self, message: Message) -> Outcome:
        """Makes one attempt."""
        name = self._settings.name_of(message.revised.state.name) or message.revised.state.name
        body = webhook_body(message.revised, message.operation, name)
        message_id = self.visible_id(message)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(message.now_seconds),
            "webhook-signature": sign(self._keys, message_id, message.now_seconds, body),
            "host": self._url.netloc,
        }
        if traceparent := current_traceparent():
            headers[TRACEPARENT] = traceparent
        try:
            answer = await self._post(body, headers)
        except RefusedAddressError as error:
            return Outcome(CONFIG, message=str(error))
        except httpx.HTTPError as error:
            # The text of the error may hold the address with its query, where customers keep tokens.
            is_tls = isinstance(error.__cause__, ssl.SSLError) or isinstance(error.__context__, ssl.SSLError)
            return Outcome(CONFIG if is_tls else RETRY, message=f"No answer: {type(error).__name__}.")
        except OSError as error:
            return Outcome(RETRY, message=f"The destination's host does not resolve: {type(error).__name__}.")
        return _outcome(answer, message.now_seconds)

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._client.aclose()

    async def _post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Posts to the address that was checked."""
        host = self._url.hostname or ""
        port = self._url.port or _DEFAULT_PORTS[self._url.scheme]
        address = await resolve(host, port, allow_private=self._settings.allow_private_addresses)
        literal = f"[{address}]" if ":" in address else address
        url = self._url._replace(netloc=f"{literal}:{port}", fragment="").geturl()
        request = self._client.build_request("POST", url, content=body, headers=headers)
        request.extensions = {**request.extensions, "sni_hostname": host}
        answer = await self._client.send(request, stream=True)
        await answer.aclose()  # the status says all; a body may be endless
        return answer


def _outcome(answer: httpx.Response, now_seconds: int) -> Outcome:
    """Returns what a status means: only 2xx is success, 3xx is not."""
    status = answer.status_code
    if answer.is_success:
        return Outcome(OK, status_code=status)
    if status == _GONE:
        return Outcome(CONFIG, status_code=status, message="The destination is gone (410).")
    if status in _SLOW_DOWN:
        wait = _retry_after_seconds(answer.headers.get("retry-after", ""), now_seconds)
        return Outcome(THROTTLED, status_code=status, message=f"HTTP {status}", retry_after_seconds=wait)
    return Outcome(RETRY, status_code=status, message=f"HTTP {status}")


def _retry_after_seconds(header: str, now_seconds: int) -> float:
    """Returns what `Retry-After` asks for, seconds or a date; 0 where it is absent or unreadable."""
    if header.isdigit():
        return min(float(header), _MOST_RETRY_AFTER_SECONDS)
    try:
        wait = parsedate_to_datetime(header).timestamp() - now_seconds
    except (TypeError, ValueError):
        return 0.0
    return min(max(0.0, wait), _MOST_RETRY_AFTER_SECONDS)
