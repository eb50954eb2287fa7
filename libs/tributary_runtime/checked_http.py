"""HTTP to one host that was checked: never to a private address, never after a redirect, never through a proxy.

The one rule: an error says what kind it is and never the address, whose query may hold a token.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import httpx

from tributary_delivery.destinations.addresses import Addresses, Lookup, RefusedAddressError
from tributary_delivery.destinations.destination import CONFIG, RETRY, Outcome
from tributary_runtime.clock import Clock, SystemClock

_UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_CONNECTIONS: Final = httpx.Limits(max_connections=256, max_keepalive_connections=32, keepalive_expiry=15.0)
_PASSING_TLS_ERRORS: Final = (
    *(ssl.SSLEOFError, ssl.SSLSyscallError, ssl.SSLZeroReturnError),
    *(ssl.SSLWantReadError, ssl.SSLWantWriteError),
)


class CheckedHttp:
    """A client for one host.

    Args:
        url: What is called, or the beginning of it.
        call_seconds: How long one call may take.
        allow_private: Whether any address will do.
        agent: Who calls.
        clock: Tells for how long an address holds.
        tls: How certificates are checked; by the usual authorities unless given.
        lookup: Asks the name server; the system's unless given.
    """

    def __init__(
        self,
        url: httpx.URL,
        *,
        call_seconds: float,
        allow_private: bool,
        agent: str,
        clock: Clock | None = None,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        """Prepares the client; nothing connects."""
        self._host = url.raw_host.decode("ascii")
        self._port = url.port or _DEFAULT_PORTS.get(url.scheme, 443)
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
            headers={"user-agent": agent, "accept-encoding": "identity"},
        )

    async def post(
        self, url: httpx.URL, body: bytes, headers: Mapping[str, str], method: str = "POST"
    ) -> httpx.Response:
        """Posts to an address that was checked, the next one where one cannot be connected to; the body is unread.

        Args:
            url: Of the host that the client is for.
            body: What is posted.
            headers: Beside those that every call has.
            method: Of HTTP, where posting has another name.

        Raises:
            RefusedAddressError: The host is at an address that is not public.
            httpx.HTTPError: There is no answer.
            OSError: The host's name does not resolve.
        """
        *others, last = await self._addresses.find()
        for address in others:
            with suppress(httpx.ConnectError):
                return await self._post_to(address, url, body, headers, method)
        return await self._post_to(last, url, body, headers, method)

    async def _post_to(
        self, address: str, url: httpx.URL, body: bytes, headers: Mapping[str, str], method: str
    ) -> httpx.Response:
        named = {"host": url.netloc.decode("ascii"), **headers}
        target = url.copy_with(host=address, port=self._port, fragment=None)
        extensions = {"sni_hostname": self._host}
        request = self._client.build_request(method, target, content=body, headers=named, extensions=extensions)
        return await self._client.send(request, stream=True)

    async def aclose(self) -> None:
        """Closes its connections."""
        self._addresses.close()
        await self._client.aclose()


UNANSWERED: Final = (TimeoutError, RefusedAddressError, httpx.HTTPError, OSError)
"""What a call may raise that got no answer."""


def unanswered(error: BaseException) -> Outcome:
    """Returns what a call comes to that got no answer: one of `UNANSWERED` was raised."""
    if isinstance(error, TimeoutError):
        return Outcome(RETRY, message="No answer in time.")
    if isinstance(error, RefusedAddressError):
        return Outcome(CONFIG, message=str(error), is_untaken=True)
    if isinstance(error, httpx.HTTPError):
        # Never the text of the error: it may hold the address with its query, where customers keep tokens.
        if is_tls_refusal(error):
            why = "The destination's TLS certificate or protocol is refused."
            return Outcome(CONFIG, message=why, is_untaken=True)
        is_untaken = isinstance(error, _UNREACHED)
        return Outcome(RETRY, message=f"No answer: {type(error).__name__}.", is_untaken=is_untaken)
    why = f"The destination's host does not resolve: {type(error).__name__}."
    return Outcome(RETRY, message=why, is_untaken=True)


def is_tls_refusal(error: BaseException) -> bool:
    """Tells whether a connection failed for what TLS found, and will again: not for a line that broke or was slow."""
    seen: BaseException | None = error if isinstance(error, httpx.ConnectError) else None
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return not isinstance(seen, _PASSING_TLS_ERRORS)
        seen = seen.__cause__ or seen.__context__
    return False
