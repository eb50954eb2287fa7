"""HTTP to one host that was checked: never to a private address, never after a redirect, never through a proxy.

The one rule: whatever calls an address of `workspaces.yaml` calls it through this.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import httpx

from tributary_runtime.clock import Clock, SystemClock
from tributary_runtime.public_addresses import Addresses, Lookup

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout)
"""Of an address that nothing was sent to: it refuses connections, or lets packets vanish."""
_CONNECTIONS: Final = httpx.Limits(max_connections=256, max_keepalive_connections=32, keepalive_expiry=15.0)


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
        self._call_seconds = call_seconds
        self._host = url.raw_host.decode("ascii")
        self._port = url.port or _DEFAULT_PORTS.get(url.scheme, 443)
        self._addresses = Addresses(
            self._host, self._port, clock or SystemClock(), allow_private=allow_private, lookup=lookup
        )
        self._unreached: set[str] = set()
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

        Those that could not be connected to before come last: what drops packets would cost every call its time.

        Args:
            url: Of the host that the client is for.
            body: What is posted.
            headers: Beside those that every call has.
            method: Of HTTP, where posting has another name.

        Raises:
            RefusedAddressError: The host is at an address that is not public.
            httpx.HTTPError: There is no answer.
            OSError: The host's name does not resolve, or not in a third of the time: nothing was sent.
        """
        found = await self._find()
        self._unreached.intersection_update(found)
        *others, last = sorted(found, key=lambda address: address in self._unreached)
        for address in others:
            with suppress(*_UNREACHED):
                return await self._post_to(address, url, body, headers, method)
        return await self._post_to(last, url, body, headers, method)

    async def _find(self) -> list[str]:
        try:
            async with asyncio.timeout(self._call_seconds / 3):
                return await self._addresses.find()
        except TimeoutError as error:
            raise OSError("no answer of the name server") from error

    async def _post_to(
        self, address: str, url: httpx.URL, body: bytes, headers: Mapping[str, str], method: str
    ) -> httpx.Response:
        named = {"host": url.netloc.decode("ascii"), **headers}
        target = url.copy_with(host=address, port=self._port, fragment=None)
        extensions = {"sni_hostname": self._host}
        request = self._client.build_request(method, target, content=body, headers=named, extensions=extensions)
        try:
            answer = await self._client.send(request, stream=True)
        except _UNREACHED:
            self._unreached.add(address)
            raise
        self._unreached.discard(address)
        return answer

    async def aclose(self) -> None:
        """Closes its connections."""
        self._addresses.close()
        await self._client.aclose()


async def read_body(answer: httpx.Response, most_bytes: int) -> bytes:
    """Returns the beginning of an answer's body, at most so many bytes, and ends the answer.

    Raises:
        httpx.HTTPError: It broke off.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in answer.aiter_raw():
            pieces.append(piece)
            size += len(piece)
            if size >= most_bytes:
                break
    finally:
        await answer.aclose()
    return b"".join(pieces)[:most_bytes]
