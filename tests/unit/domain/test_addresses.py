"""Addresses are found in lists of networks, whatever overlaps, and what is exempt is on none."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network

import pytest

from tributary_domain.addresses import AddressBook, Span, read_address, read_network, read_networks


def spans(*networks: str) -> list[Span]:
    found = [read_network(network) for network in networks]
    assert None not in found
    return [span for span in found if span is not None]


def listed(book: AddressBook, text: str) -> str:
    address = read_address(text)
    assert address is not None
    return book.find(address)


BOOK = AddressBook(
    [
        ("hosting", spans("203.0.113.0/24", "198.51.100.7", "2001:db8::/32")),
        ("proxies", spans("203.0.112.0/22", "10.0.0.0/8")),
    ],
    spans("203.0.113.64/26", "2001:db8:1::/48"),
)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("203.0.113.0", "hosting"),
        ("203.0.113.63", "hosting"),
        ("203.0.113.64", ""),
        ("203.0.113.127", ""),
        ("203.0.113.128", "hosting"),
        ("203.0.113.255", "hosting"),
        ("203.0.114.0", "proxies"),
        ("203.0.112.0", "proxies"),
        ("203.0.111.255", ""),
        ("203.0.116.0", ""),
        ("198.51.100.7", "hosting"),
        ("198.51.100.8", ""),
        ("10.255.255.255", "proxies"),
        ("0.0.0.1", ""),
        ("255.255.255.255", ""),
        ("2001:db8::1", "hosting"),
        ("2001:db8:1::1", ""),
        ("2001:db9::", ""),
        ("::ffff:203.0.113.7", "hosting"),
    ],
)
def test_an_address_is_on_the_first_list_that_holds_it_unless_it_is_exempt(address: str, name: str) -> None:
    assert listed(BOOK, address) == name


def test_the_answers_are_those_of_going_through_every_network() -> None:
    rng = random.Random(7)
    networks = [f"10.{rng.randrange(4)}.{rng.randrange(8)}.0/{rng.randrange(12, 27)}" for _ in range(60)]
    lists = {"a": networks[:20], "b": networks[20:40]}
    exempt = networks[40:]
    book = AddressBook([(name, spans(*found)) for name, found in lists.items()], spans(*exempt))
    for _ in range(2_000):
        address = f"10.{rng.randrange(5)}.{rng.randrange(9)}.{rng.randrange(256)}"
        holds = {
            name: any(ip_address(address) in ip_network(network, strict=False) for network in found)
            for name, found in {**lists, "exempt": exempt}.items()
        }
        expected = "" if holds["exempt"] else "a" if holds["a"] else "b" if holds["b"] else ""
        assert listed(book, address) == expected, address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4:80",
        "1.2.3.\u0664",
        "[::1]",
        "::1::",
        "1.2.3.4, 5.6.7.8",
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert read_address(text) is None


def test_lists_are_read_as_they_are_published() -> None:
    text = """
    # data centres
    203.0.113.0/24  # one
    172.224.226.0/27,GB,GB-EN,London,
    "2a04:4e41:1::/64",US
    198.51.100.7
    """
    found, bad = read_networks(text)
    assert (len(found), bad) == (4, [])
    assert read_networks("203.0.113.0/24\nnonsense\n1.2.3.4/33\n")[1] == [2, 3]


def test_an_empty_book_lists_nothing() -> None:
    assert not AddressBook()
    assert listed(AddressBook(), "203.0.113.7") == ""
    assert not AddressBook([("hosting", spans("203.0.113.0/24"))], spans("0.0.0.0/0"))
