"""The lists behind channels: what kind of site a source or a referrer is, and which referrers are no touch.

Read once, from files beside this module; each says where it is from. The one rule: a host matches with its sub-domains,
except a search engine's, whose sub-domains are other products (docs.google.com is no search).
"""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from tributary_domain.sites import site_of


class Category(StrEnum):
    """What kind of site it is."""

    NONE = ""
    SEARCH = "search"
    SOCIAL = "social"
    VIDEO = "video"
    SHOPPING = "shopping"
    AI = "ai"


_SEARCH_PREFIXES = frozenset({"www", "m", "mobile", "amp", "search", "webcache"})
_SECOND_LEVEL = frozenset({"co", "com", "org", "net", "ac", "or", "ne", "gob", "gov"})


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((files("tributary_domain") / "data" / name).read_text(encoding="utf-8"))
    return content


def _sources() -> dict[str, Category]:
    categories: Mapping[str, list[str]] = _read("source_categories.json")["categories"]
    return {source: Category(category) for category, sources in categories.items() for source in sources}


def _referrers() -> tuple[dict[str, Category], dict[str, Category]]:
    """Returns host -> category, and the same for hosts of which only the country domain is missing."""
    listed: Mapping[str, Mapping[str, list[str]]] = _read("referrers.json")["hosts"]
    hosts: dict[str, Category] = {}
    stems: dict[str, Category] = {}
    for category in (Category.SEARCH, Category.SOCIAL, Category.AI):  # the last one wins
        for host in (host for group in listed[category].values() for host in group):
            if host.endswith(".{}"):
                stems[host.removesuffix(".{}").removeprefix("www.")] = category
            elif "{}" not in host:
                hosts[host.removeprefix("www.")] = category
    return hosts, stems


SOURCE_CATEGORIES: Final = _sources()
"""GA4's own list: names ("google") and hosts ("l.facebook.com") of sources."""

_HOSTS, _STEMS = _referrers()
_OURS: Final = {
    host: Category(category) for category, hosts in _read("further_referrers.json")["hosts"].items() for host in hosts
}

_IGNORED: Final[Mapping[str, list[str]]] = _read("ignored_referrers.json")["hosts"]

IGNORED_REFERRERS: Final = frozenset(host for group in _IGNORED.values() for host in group)
"""Payment, 3-D Secure, sign-on, mail and survey pages: a visitor only returns from there."""

MAIL_REFERRERS: Final = frozenset(_IGNORED["mail"])
"""Of these, mailboxes: from there a visitor returns to confirm an address, or comes by a link of a campaign."""


def is_within(host: str, domains: Iterable[str] | frozenset[str]) -> bool:
    """Tells whether a host is one of these domains, or below one.

    >>> is_within("www.paypal.com", frozenset({"paypal.com"})), is_within("notpaypal.com", frozenset({"paypal.com"}))
    (True, False)
    """
    while host:
        if host in domains:
            return True
        _, _, host = host.partition(".")
    return False


@lru_cache(16_384)
def category_of_source(source: str) -> Category:
    """Returns what kind of site a `utm_source` names, by GA4's list.

    Args:
        source: In lower case.
    """
    return SOURCE_CATEGORIES.get(source, Category.NONE)


@lru_cache(16_384)
def category_of_host(host: str) -> Category:
    """Returns what kind of site a referrer is.

    Args:
        host: In lower case, without port.

    >>> category_of_host("www.google.co.uk"), category_of_host("docs.google.com"), category_of_host("m.facebook.com")
    (<Category.SEARCH: 'search'>, <Category.NONE: ''>, <Category.SOCIAL: 'social'>)
    """
    rest, is_below = host, False
    while "." in rest:
        found = _OURS.get(rest)
        if found is not None:
            return found
        found = _HOSTS.get(rest)
        if found is not Category.AI:
            found = SOURCE_CATEGORIES.get(rest) or found or _STEMS.get(_without_country(rest))
        if found is not None and (found is not Category.SEARCH or not is_below):
            return found
        label, _, rest = rest.partition(".")
        is_below = is_below or not (label in _SEARCH_PREFIXES or len(label) == 2)
    return Category.NONE


def _without_country(host: str) -> str:
    """Cuts a country's domain off: google.co.uk -> google."""
    stem, _, last = host.rpartition(".")
    if last != "com" and len(last) != 2:
        return ""
    before, _, second = stem.rpartition(".")
    return before if before and second in _SECOND_LEVEL else stem


_POINTERS = frozenset({"www", "m", "l", "lm", "mobile", "amp", "out"})
"""Sub-domains that only say how a site was shown, or that a link led out of it."""

_SEARCH_APPS: Final = {
    "com.google.android.": "google",
    "com.microsoft.bing": "bing",
    "com.duckduckgo.": "duckduckgo",
    "com.ecosia.": "ecosia",
    "ru.yandex.": "yandex",
    "com.baidu.": "baidu",
    "com.nhn.android.": "naver",
}
"""How the apps of search engines begin -> the engine."""


@lru_cache(16_384)
def source_of_host(host: str) -> str:
    """Returns what a referrer is called as a source: a search engine by its name, anything else by its host.

    >>> source_of_host("www.google.co.uk"), source_of_host("l.facebook.com"), source_of_host("blog.example.org")
    ('google', 'facebook.com', 'blog.example.org')
    """
    if category_of_host(host) is Category.SEARCH:
        app = next((name for prefix, name in _SEARCH_APPS.items() if host.startswith(prefix)), "")
        return app or site_of(host).partition(".")[0]
    label, _, rest = host.partition(".")
    return rest if label in _POINTERS and "." in rest else host
