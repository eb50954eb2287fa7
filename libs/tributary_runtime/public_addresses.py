"""Guards against request forgery: resolves a host, refuses private addresses, and says which address to connect to.

A name that resolves to a public address when it is checked and to a private one when it is called (DNS rebinding) gets
nowhere: the call goes to the address, the name is only said in the Host header and in TLS.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tributary_runtime.clock import Clock

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Lookup = Callable[[str, int], Iterable[tuple[Any, ...]]]
"""As `socket.getaddrinfo`: blocks, raises OSError."""

_KEEP_SECONDS: Final = 10.0
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_REFUSED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (  # what Python 3.11 does not know to be special, or knows too well
        "192.0.0.0/24",  # IETF protocol assignments
        "168.63.129.16/32",  # Azure's platform: a public address that answers each machine from within
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "::/96",  # IPv4-compatible, obsolete: an IPv4 address in disguise
        "::ffff:0:0:0/96",  # IPv4-translated (SIIT)
        "64:ff9b:1::/48",  # NAT64 of somebody's own network
        "100::/64",  # discard
        "fec0::/10",  # site-local, obsolete: a private network
    )
)


class RefusedAddressError(Exception):
    """A host is, or resolves to, an address that no destination may have."""


class Addresses:
    """The addresses of one host.

    Asks for them in a thread of its own: a name server that does not answer holds up this host and no other.

    Args:
        host: Name or address.
        port: Where to connect.
        clock: Tells for how long an answer holds.
        allow_private: Whether any address will do.
        lookup: Asks the name server.
    """

    def __init__(
        self, host: str, port: int, clock: Clock, *, allow_private: bool, lookup: Lookup | None = None
    ) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._allow_private = allow_private
        self._lookup = lookup or _look_up
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="resolve")
        self._asking = asyncio.Lock()
        self._known: list[str] = []
        self._known_until_seconds = 0.0

    async def find(self) -> list[str]:
        """Returns the addresses to connect to, the best first; at least one. Remembers them for some seconds.

        Raises:
            RefusedAddressError: One of the host's addresses is not public, and that is not allowed.
            OSError: The name does not resolve now.
        """
        async with self._asking:
            if not self._known or self._clock.monotonic_seconds() >= self._known_until_seconds:
                self._known = []
                loop = asyncio.get_running_loop()
                entries = await loop.run_in_executor(self._thread, self._lookup, self._host, self._port)
                self._known = self._checked(entries)
                self._known_until_seconds = self._clock.monotonic_seconds() + _KEEP_SECONDS
            return self._known

    def close(self) -> None:
        """Waits for nobody."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _checked(self, entries: Iterable[tuple[Any, ...]]) -> list[str]:
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries]
        # All of them: a host that mixes public and private addresses is up to something.
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise RefusedAddressError("The destination's host resolves to an address that is not public.")
        if not addresses:
            raise OSError("no address")
        return list(dict.fromkeys(map(str, addresses)))


def is_public(address: Address) -> bool:
    """Tells whether an address may be called: global, unicast, and not a private one in IPv6 clothes."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    if any(address.version == network.version and address in network for network in _REFUSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _look_up(host: str, port: int) -> Iterable[tuple[Any, ...]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of the name is too long
        raise OSError("no name of a host") from error
