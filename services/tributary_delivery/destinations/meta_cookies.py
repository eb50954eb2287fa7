"""Meta's cookie of a click: `fb.<index>.<milliseconds>.<fbclid>`, as the browser has it or as a server may write it.

Meta's own builder adds a fifth part that tells what it did; both forms are taken. A cookie is written anew only where
its click id is not the newest.
"""

from __future__ import annotations

from typing import Final

_SERVER_INDEX: Final = 1
"""What Meta asks of a server that keeps no cookie of its own."""
_PARTS: Final = 4


def fbc(cookie: str, fbclid: str, click_micros: int) -> str:
    """Returns the cookie to send; "": no click is known.

    Args:
        cookie: The browser's `_fbc`; "": none.
        fbclid: The newest click id of the person; "": none.
        click_micros: When that click was made.

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
    return f"fb.{_SERVER_INDEX}.{click_ms}.{fbclid}" if fbclid else ""
