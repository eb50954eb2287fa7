"""HTTP to one host that was checked: never to a private address, never after a redirect, never through a proxy.

The one rule: whatever calls an address of `workspaces.yaml` calls it through this.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import httpx

from tributary_runtime.clock import Clock, SystemClock
from tributary_runtime.public_addresses import Addresses, Lookup

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout)
"""Of an address that nothing was sent to: it refuses connections, or lets packets vanish."""
_LEAVE: Final = 2 / 3
"""In which part of a call's time its request must begin to leave; the rest is for the answer."""
_FIRST_BYTE: Final = ".send_request_headers.started"
"""How the event ends that httpcore tells of before it writes the first byte of a request."""
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
            timeout=call_seconds,
            limits=_CONNECTIONS,
            follow_redirects=False,
            trust_env=False,  # a proxy of the environment would connect past the address check
            headers={"user-agent": agent, "accept-encoding": "identity"},
        )

    async def post(
        self, url: httpx.URL, body: bytes, headers: Mapping[str, str], method: str = "POST"
    ) -> httpx.Response:
        """Posts to an address that was checked, the next one where one cannot be connected to; the body is unread.

        Those that could not be connected to before come last: what drops packets would cost every call its time. They
        share the time in which a request must begin to leave, so that whatever is over by then has certainly not left.

        Args:
            url: Of the host that the client is for.
            body: What is posted.
            headers: Beside those that every call has.
            method: Of HTTP, where posting has another name.

        Raises:
            RefusedAddressError: The host is at an address that is not public.
            httpx.ConnectTimeout: Nothing was sent in two thirds of the call's time.
            httpx.HTTPError: There is no answer.
            OSError: The host's name does not resolve, or not in a third of the time: nothing was sent.
        """
        try:
            async with asyncio.timeout(_LEAVE * self._call_seconds) as leaving:
                return await self._post(url, body, headers, method, leaving)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("nothing was sent in time") from error

    async def _post(
        self, url: httpx.URL, body: bytes, headers: Mapping[str, str], method: str, leaving: asyncio.Timeout
    ) -> httpx.Response:
        found = await self._find()
        self._unreached.intersection_update(found)
        addresses = sorted(found, key=lambda address: address in self._unreached)
        for number, address in enumerate(addresses[:-1]):
            with suppress(*_UNREACHED):
                share = _left_seconds(leaving) / (len(addresses) - number)
                return await self._post_to(address, url, body, headers, method, leaving, share)
        return await self._post_to(addresses[-1], url, body, headers, method, leaving, _left_seconds(leaving))

    async def _find(self) -> list[str]:
        try:
            async with asyncio.timeout(self._call_seconds / 3):
                return await self._addresses.find()
        except TimeoutError as error:
            raise OSError("no answer of the name server") from error

    async def _post_to(
        self,
        address: str,
        url: httpx.URL,
        body: bytes,
        headers: Mapping[str, str],
        method: str,
        leaving: asyncio.Timeout,
        connect_seconds: float,
    ) -> httpx.Response:
        named = {"host": url.netloc.decode("ascii"), **headers}
        target = url.copy_with(host=address, port=self._port, fragment=None)
        # A handshake that another time-out than its own cancels would leave its socket to the garbage collector.
        limits = httpx.Timeout(self._call_seconds, connect=connect_seconds / 2)  # once for TCP, once for TLS

        async def trace(event: str, _about: Mapping[str, Any]) -> None:
            if event.endswith(_FIRST_BYTE):
                leaving.reschedule(None)

        extensions = {"sni_hostname": self._host, "trace": trace}
        request = self._client.build_request(
            method, target, content=body, headers=named, extensions=extensions, timeout=limits
        )
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


def _left_seconds(leaving: asyncio.Timeout) -> float:
    """Returns how much is left of a time-out that has one."""
    ends = leaving.when()
    return 0.0 if ends is None else max(0.0, ends - asyncio.get_running_loop().time())


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
