"""Meta's cookie of a click: `fb.<index>.<milliseconds>.<fbclid>`, as the browser has it or as a server may write it.

Meta's own builder adds a fifth part that tells what it did; both forms are taken. A cookie is written anew only where
its click id is not the newest. The index says for which domain the browser keeps it: `com` 0, `example.com` 1.
"""

from __future__ import annotations

from string import digits
from typing import Final
from urllib.parse import urlsplit

from tributary_domain.sites import cookie_domain, is_address, plain_host

_UNKNOWN_INDEX: Final = 1
"""What Meta asks of a server that keeps no cookie of its own: the index of most sites."""
_PARTS: Final = 4


def fbc(cookie: str, fbclid: str, click_micros: int, index: int = _UNKNOWN_INDEX) -> str:
    """Returns the cookie to send; "": no click is known.

    Args:
        cookie: The browser's `_fbc`; "": none.
        fbclid: The newest click id of the person; "": none.
        click_micros: When that click was made.
        index: Of the domain that it would be kept for, if it is written anew.

    >>> fbc("fb.1.1554763741205.Old.AQIAAQMC", "Old", 1_762_902_353_123_000)
    'fb.1.1554763741205.Old.AQIAAQMC'
    >>> fbc("fb.1.1554763741205.Old", "New", 1_762_902_353_123_000)
    'fb.1.1762902353123.New'
    """
    click_ms = click_micros // 1_000
    parts = cookie.split(".")
    if len(parts) >= _PARTS and parts[2].isdigit() and parts[3]:
        is_newest = parts[3] == fbclid or int(parts[2]) >= click_ms
        if not fbclid or is_newest:
            return cookie
    return f"fb.{index}.{click_ms}.{fbclid}" if fbclid else ""


def index_of(cookies: tuple[str, ...], page_url: str) -> int:
    """Returns the index that a cookie of the person's would have.

    As the browser has it in another of Meta's cookies, which it keeps for the same domain; else as Meta's builder makes
    it of the page's host: dots in the widest domain that may keep cookies.

    Args:
        cookies: The browser's `_fbc` and `_fbp`; "": none.
        page_url: A page of the site's; "": not known.

    >>> index_of(("", "fb.2.1554763741205.55"), "https://shop.example/"), index_of(("",), "https://www.shop.co.uk/x")
    (2, 2)
    >>> index_of((), "https://localhost:8080"), index_of((), "https://203.0.113.7/"), index_of((), "")
    (0, 0, 1)
    """
    for cookie in cookies:
        parts = cookie.split(".")
        if len(parts) >= _PARTS and parts[0] == "fb" and len(parts[1]) == 1 and parts[1] in digits:
            return int(parts[1])
    host = plain_host((urlsplit(page_url).hostname or "").rstrip("."))
    if not host:
        return _UNKNOWN_INDEX
    return 0 if is_address(host) else cookie_domain(host).count(".")
