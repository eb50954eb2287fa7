"""Guards against request forgery: resolves a host once, refuses private addresses, and connects to what was checked.

A name that resolves to a public address when it is checked and to a private one when it is called (DNS rebinding) gets
nowhere: the call goes to the address, the name is only said in the Host header and in TLS.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedAddressError(Exception):
    """A host is, or resolves to, an address that no destination may have."""


async def resolve(host: str, port: int, *, allow_private: bool) -> str:
    """Returns the address to connect to.

    Raises:
        RefusedAddressError: One of the host's addresses is not public, and that is not allowed.
        OSError: The name does not resolve now.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not allow_private:
        # All of them: a host that mixes public and private addresses is up to something.
        for address in addresses:
            if not is_public(address):
                raise RefusedAddressError("The destination's host resolves to an address that is not public.")
    return str(addresses[0])


def is_public(address: Address) -> bool:
    """Tells whether an address may be called: global, unicast, and not a private one in IPv6 clothes."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is not None:
            return is_public(inner)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
