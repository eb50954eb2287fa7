"""Hosts -> the site they belong to: what browsers call same-site, whoever runs its sub-domains.

The one rule: a site is the part of a host that somebody could register, by the Public Suffix List that browsers go by;
below the domain of a registry or of a builder of shops (`co.uk`, `myshopify.com`), everybody has a site of their own.
The list comes inside a package, so that what is one site changes with a release and never from one minute to the next.
"""

import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

import idna
from publicsuffixlist import PublicSuffixList

_SHARED: Final = frozenset(
    json.loads((files("tributary_domain") / "data" / "shared_sites.json").read_text(encoding="utf-8"))["domains"]
)
"""Domains of builders who are not on the list of browsers: it has only who asked to be."""

_DOT: Final = re.compile(r"[.\u3002\uff0e\uff61]")
"""A dot, as any keyboard writes it."""

_COPIES: Final = (".cdn.ampproject.org", ".bing-amp.com", ".translate.goog")
"""Where somebody else shows a page of a publisher, whose host is the first label."""


def plain_host(host: str) -> str:
    """Returns a host as browsers send it; for a page that a cache of AMP or a translator shows, its publisher's.

    Args:
        host: In lower case, without user and port.

    >>> plain_host("bücher.example"), plain_host("my--shop-example.cdn.ampproject.org")
    ('xn--bcher-kva.example', 'my-shop.example')
    """
    if not host.isascii():
        host = ".".join(map(_plain_label, _DOT.split(host)))
    for copy in _COPIES:
        label = host.removesuffix(copy)
        if label != host:
            publisher = label.replace("--", "\0").replace("-", ".").replace("\0", "-")
            return publisher if "." in publisher.strip(".") else host
    return host


def _plain_label(label: str) -> str:
    if label.isascii():
        return label
    try:
        return idna.encode(label, uts46=True).decode()
    except UnicodeError:  # no name of a host; whatever it is, it is nobody's site
        return label


@cache
def _public_suffixes() -> PublicSuffixList:
    """Reads the list, which takes longer than anything else here, when a host is first asked about."""
    return PublicSuffixList()


@lru_cache(16_384)
def cookie_domain(host: str) -> str:
    """Returns the widest domain that browsers keep a host's cookies for: the host itself where it is an address.

    >>> cookie_domain("blog.shop.example"), cookie_domain("www.shop.co.uk"), cookie_domain("203.0.113.7")
    ('shop.example', 'shop.co.uk', '203.0.113.7')
    """
    if is_address(host):
        return host
    return _public_suffixes().privatesuffix(host) or host  # the domain of many itself, one label, or no name of a host


def is_address(host: str) -> bool:
    """Tells whether a host is an IP address, and no name."""
    return ":" in host or host[host.rfind(".") + 1 :].isdecimal()


@lru_cache(16_384)
def site_of(host: str) -> str:
    """Returns the site of a host: the host itself where it is an address, or the domain of many.

    >>> site_of("blog.shop.example"), site_of("blog.shop.co.uk"), site_of("a.myshopify.com"), site_of("203.0.113.7")
    ('shop.example', 'shop.co.uk', 'a.myshopify.com', '203.0.113.7')
    """
    site = cookie_domain(host)
    if site in _SHARED:
        labels = site.count(".") + 2
        return ".".join(host.rsplit(".", labels)[-labels:])
    return site


def is_same_site(host: str, other: str) -> bool:
    """Tells whether two hosts are of one site.

    >>> is_same_site("blog.shop.example", "www.shop.example"), is_same_site("a.github.io", "b.github.io")
    (True, False)
    """
    return bool(host and other) and site_of(host) == site_of(other)
