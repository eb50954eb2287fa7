"""Client addresses: read, made coarse, and looked up in lists of networks.

A list may have hundreds of thousands of networks, so all lists of a workspace become one row of sorted, disjoint
spans, in which one bisection finds an address; what is exempt is cut out of it when it is made. The one rule: an
exemption wins over every list, and of two lists the first.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from ipaddress import AddressValueError, IPv6Address, ip_network
from typing import Final, NamedTuple

_EXEMPT: Final = 0
_MAPPED: Final = 0xFFFF << 32
"""::ffff:0:0/96, IPv4 within IPv6."""


class Address(NamedTuple):
    """A client address that was read."""

    version: int
    """4 or 6; IPv4 within IPv6 is 4."""
    number: int
    coarse: str
    """What one household has: the address, of IPv6 its /64."""


_address: Final[Callable[..., Address]] = tuple.__new__  # in place of the one that takes arguments: half the time


class Span(NamedTuple):
    """The addresses of one network."""

    version: int
    first: int
    last: int
    """Included."""


def read_address(text: str) -> Address | None:
    """Reads a client address; `None` if it is none.

    >>> read_address("203.0.113.7"), read_address("203.0.113.7:443")
    (Address(version=4, number=3405803783, coarse='203.0.113.7'), None)
    >>> read_address("2001:DB8::1").coarse, read_address("::ffff:203.0.113.7").coarse
    ('20010db800000000', '203.0.113.7')
    """
    text = text.strip()
    if ":" not in text:
        number = _read_v4(text)
        return None if number is None else _address(Address, (4, number, text))
    try:
        number = int(IPv6Address(text.partition("%")[0]))
    except AddressValueError:
        return None
    if number >> 32 == _MAPPED >> 32:
        number &= 0xFFFFFFFF
        return Address(4, number, ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0)))
    return Address(6, number, f"{number >> 64:016x}")


_OCTETS: Final = {str(octet): octet for octet in range(256)}


def _read_v4(text: str) -> int | None:
    parts = text.split(".")
    if len(parts) != 4:
        return None
    first, second, third, fourth = parts
    try:
        return _OCTETS[first] << 24 | _OCTETS[second] << 16 | _OCTETS[third] << 8 | _OCTETS[fourth]
    except KeyError:
        return None


def read_networks(text: str) -> tuple[list[Span], list[int]]:
    """Reads a list of networks.

    Args:
        text: One network or address a line; `#` begins a comment. Only the first column of a table counts, as in the
            lists that Apple publishes for Private Relay.

    Returns:
        (The networks, the numbers of the lines that are none).
    """
    spans: list[Span] = []
    bad: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        network = line.partition("#")[0].partition(",")[0].strip().strip('"')
        if not network:
            continue
        span = read_network(network)
        if span is None:
            bad.append(number)
        else:
            spans.append(span)
    return spans, bad


def read_network(text: str) -> Span | None:
    """Reads a network in CIDR notation, or one address; bits behind the prefix do not count."""
    address, slash, length = text.partition("/")
    number = _read_v4(address)
    if number is not None and (not slash or (length.isascii() and length.isdigit() and int(length) <= 32)):
        rest = (1 << 32 - int(length)) - 1 if slash else 0
        return Span(4, number & ~rest, number | rest)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    return Span(network.version, int(network.network_address), int(network.broadcast_address))


class AddressBook:
    """Lists of networks, ready to be asked.

    Args:
        lists: (Name, its networks); of two that hold an address the first is named.
        exempt: What is on no list, whatever they say.
    """

    __slots__ = ("_names", "_starts", "spans")

    def __init__(self, lists: Sequence[tuple[str, Iterable[Span]]] = (), exempt: Iterable[Span] = ()) -> None:
        by_version: dict[int, list[tuple[int, int, int]]] = {4: [], 6: []}
        for rank, spans in enumerate((exempt, *(spans for _, spans in lists))):
            for version, first, last in spans:
                by_version[version] += ((first, rank, 1), (last + 1, rank, -1))
        names = ("", *(name for name, _ in lists))
        self._starts: dict[int, list[int]] = {}
        self._names: dict[int, list[str]] = {}
        for version, edges in by_version.items():
            self._starts[version], self._names[version] = _flatten(edges, names)
        self.spans = sum(bool(name) for names_found in self._names.values() for name in names_found)
        """How many spans are listed."""

    def __bool__(self) -> bool:
        return bool(self.spans)

    def find(self, address: Address) -> str:
        """Returns the name of the list that an address is on; empty if it is on none."""
        at = bisect_right(self._starts[address.version], address.number)
        return self._names[address.version][at - 1] if at else ""


def _flatten(edges: list[tuple[int, int, int]], names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Turns the edges of spans that overlap, (where, whose, +1 or -1), into where each stretch starts and its name."""
    edges.sort()
    open_spans = [0] * len(names)
    starts: list[int] = []
    found: list[str] = []
    for at, (where, rank, change) in enumerate(edges):
        open_spans[rank] += change
        if at + 1 < len(edges) and edges[at + 1][0] == where:
            continue
        name = ""
        if not open_spans[_EXEMPT]:
            name = next((names[rank] for rank, count in enumerate(open_spans) if count), "")
        if name != (found[-1] if found else ""):
            starts.append(where)
            found.append(name)
    return starts, found


NO_ADDRESSES: Final = AddressBook()
