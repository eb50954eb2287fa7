"""What tells a person's device in an id: a whole network address, or a user agent, alone or as part of it.

An id is often built of one (`203.0.113.7-1795000000`), so it is looked for within. The one rule: four numbers with dots
are an address where a moment stands beside them; else a version where the word before them says so ("build-10.2.1.4"),
something longer where more numbers or a letter stand next to them ("1.2.3.4.5", "v1.2.3.4"), and an address everywhere
else. The number of an order is known to others by its text, who match by it, and may be a date and a count
("25.11.27.104"): there four numbers are an address only with a moment, or where the event came from it.
"""

from collections.abc import Callable

from tributary_domain.network_addresses import VERSIONS, Dotted, dotted_in, holds_sixth
from tributary_domain.personal_names import plainer
from tributary_domain.personal_values import shows_agent


def may_hold_device(text: str) -> bool:
    """Tells whether a text has what an address or a user agent has; false for nearly all ids, and quick."""
    return "." in text or ":" in text or "/" in text or "%" in text


def holds_device(text: str) -> bool:
    """Tells whether a text holds a whole network address, or a user agent.

    >>> [holds_device(text) for text in ("203.0.113.7-1", "203.0.113.7.1795000000", "u:2001:db8::7:1795000000")]
    [True, True, True]
    >>> [holds_device(text) for text in ("v1.2.3.4", "build-10.2.1.4", "1.2.3.4.5", "fb.1.1795000000000.11")]
    [False, False, False, False]
    >>> holds_device("u:Mozilla/5.0 (X11; Linux x86_64)"), holds_device("Mozilla%2F5.0%20(X11"), holds_device("a/b")
    (True, True, False)
    >>> [holds_device(text) for text in ("SHOP::2025::0001", "user::2001:db8::7", "builds 1.2.3.4", "app 1.2.3.4")]
    [False, True, False, True]
    """
    return _holds(text, _is_address)


def number_holds_device(text: str, client_ip: str = "") -> bool:
    """Tells whether the number of an order, a lead, an item or a pixel's event holds one: others match by its text.

    Args:
        text: The number.
        client_ip: The address that the event says it came from; empty if it says none.

    >>> [number_holds_device(text) for text in ("25.11.27.104", "SO-10.1.2.33", "10.1.2.33-1795000000")]
    [False, False, True]
    >>> number_holds_device("SO-10.1.2.33", "10.1.2.33"), number_holds_device("2001:db8::7")
    (True, True)
    """

    def is_address(found: Dotted) -> bool:
        if found.has_moment or found.is_sixth:
            return True
        return any(found.address == own.address for own in dotted_in(client_ip))

    return _holds(text, is_address)


def _holds(text: str, is_address: Callable[[Dotted], bool]) -> bool:
    if not may_hold_device(text):
        return False
    if "%" in text:
        text = plainer(text)[-1]
    if any(map(is_address, dotted_in(text))) or holds_sixth(text):
        return True
    return "/" in text and shows_agent(text.replace("+", " "))


def _is_address(found: Dotted) -> bool:
    return found.has_moment or (not found.letters and found.word_before.lower().removesuffix("s") not in VERSIONS)
