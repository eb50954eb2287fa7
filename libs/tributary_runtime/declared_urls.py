"""Addresses that `workspaces.yaml` names: what is no address that may be called is refused when the file is read."""

import re
from typing import Final
from urllib.parse import urlsplit

_PLAIN: Final = re.compile(r"https?://[A-Za-z][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[!-~]*)?")
"""A name of a host, not an address, whatever its spelling."""


def check_url(name: str, text: str, *, allow_http: bool) -> None:
    """Refuses an address that nothing may be sent to.

    Args:
        name: Of the setting.
        text: The address.
        allow_http: Whether http will do: on a laptop.

    Raises:
        ValueError: It is no address, not https, or holds a password.
    """
    allowed = ("https", "http") if allow_http else ("https",)
    try:
        url = urlsplit(text)
        is_address = url.scheme in allowed and bool(url.hostname) and url.port != 0 and _is_callable(text)
    except ValueError:  # of the port, or of brackets
        is_address = False
    if not is_address:
        raise ValueError(f"{name} must begin with {' or '.join(f'{scheme}://' for scheme in allowed)} and name a host")
    if url.username or url.password:
        raise ValueError(f"{name} must not contain a user or password")


def _is_callable(text: str) -> bool:
    """Tells whether the HTTP client reads it as an address too: of plain names that is known."""
    if _PLAIN.fullmatch(text):
        return True
    if not text.isprintable() or " " in text:
        return False
    import httpx  # not at the top: services that call nobody need not load it

    try:
        httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return True
