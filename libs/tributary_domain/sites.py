"""Hosts -> the site they belong to: what browsers call same-site, whoever runs its sub-domains.

The one rule: a site is the part of a host that somebody could register; below the domain of a builder of shops or a
registry of a country (`myshopify.com`, `co.uk`), everybody has a site of their own.
"""

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Final

import idna

_REGISTRIES: Final = frozenset({"co", "com", "org", "net", "ac", "or", "ne", "gob", "gov", "edu", "go", "gv", "nom"})
"""Second labels below which the registries of countries sell names."""

_SHARED: Final = frozenset(
    json.loads((files("tributary_domain") / "data" / "shared_sites.json").read_text(encoding="utf-8"))["domains"]
)

_DOT: Final = re.compile(r"[.\u3002\uff0e\uff61]")
"""A dot, as any keyboard writes it."""

_LABELS: Final = 5
"""So many decide at most."""

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


@lru_cache(16_384)
def site_of(host: str) -> str:
    """Returns the site of a host: the host itself where it is an address, or the domain of many.

    >>> site_of("blog.shop.example"), site_of("blog.shop.co.uk"), site_of("a.myshopify.com"), site_of("203.0.113.7")
    ('shop.example', 'shop.co.uk', 'a.myshopify.com', '203.0.113.7')
    """
    labels = host.rsplit(".", _LABELS)
    if ":" in host or labels[-1].isdecimal():
        return host
    known = 1
    if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _REGISTRIES:
        known = 2
    for start in range(len(labels) - known):
        if ".".join(labels[start:]) in _SHARED:
            known = len(labels) - start
            break
    return ".".join(labels[-known - 1 :])


def is_same_site(host: str, other: str) -> bool:
    """Tells whether two hosts are of one site.

    >>> is_same_site("blog.shop.example", "www.shop.example"), is_same_site("a.github.io", "b.github.io")
    (True, False)
    """
    return bool(host and other) and site_of(host) == site_of(other)
