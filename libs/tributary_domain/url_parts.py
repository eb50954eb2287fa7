"""Parts of a path, of a fragment, and of a text within a URL: which of them are personal.

The one rule: such a part has no name of its own; what stands in it decides, and the part before may say of what it is.
"""

import re
from itertools import accumulate
from typing import Final

from tributary_domain.encoded_addresses import holds_encoded_part
from tributary_domain.names_of_things import is_numbered
from tributary_domain.personal import AT_SIGN, IN_URL, PHONE
from tributary_domain.personal_devices import holds_device
from tributary_domain.personal_hashes import may_hold_hash
from tributary_domain.personal_names import plainer
from tributary_domain.personal_values import (
    agent_begins,
    is_telling_campaign,
    is_telling_parameter,
    is_telling_part,
    may_hold_telling_part,
)
from tributary_domain.url_parameters import COMMON, PERSONAL, find_parameter

DOUBTFUL: Final = re.compile(r"[^\w./~!*'(),$-]|[^\x00-\x7f]")
"""What is in every text that holds an address, a phone number or a parameter."""
_PATH_SIGN: Final = re.compile(r"([/;])")
_PART: Final = re.compile(r"[\s/?#&=;,]")
_PAIR: Final = re.compile(r"[?&#\s]")
_OF_A_LINK: Final = re.compile(r"[/?]|%(?:25)*(?:2[36fF]|3[dDfF])")
"""What parts a link within a link, as it stands or encoded."""
_INNER: Final = re.compile(r"(^|[?&;,#/{\"'\s])([\w.\[\]-]{2,64})[\"']?[=:](?=[\"']?[^&;#,\s\"'/])")
"""(What is before it, the name of a parameter) within a text, of which something is said."""


def holds_inner(text: str, *, is_campaign: bool = False, is_path: bool = False) -> bool:
    """Tells whether a text holds a personal parameter of its own: a link within a link, or an object.

    Args:
        text: Decoded as often as it takes.
        is_campaign: Whether it is a parameter of a campaign, whose name, the first in it, is known.
        is_path: Whether it is part of a path.
    """
    if not any(sign in text for sign in "=:"):
        return False
    names = [found[2] for found in _INNER.finditer(text)]
    if is_campaign:
        names = names[1:]
    if is_campaign or is_path:
        names = [name for name in names if name.lower() not in COMMON]
    return any((found := find_parameter(name)) is not None and found[0] is PERSONAL for name in names)


def holds_telling_inner(text: str) -> bool:
    """Tells whether a link within a link, decoded, holds what is somebody's by what it looks like, as in a link itself.

    Its host is a server's, though it be an address; and of `sdk_version=web/4.0.1.2` the name says what it is.

    >>> holds_telling_inner("to=https://x.example/?u=203.0.113.7"), holds_telling_inner("to=https://10.0.0.1/?u=ann")
    (True, False)
    """
    for pair in _PAIR.split(text):
        name, sign, value = pair.partition("=")
        said = value if sign else pair
        _, is_link, rest = said.partition("://")
        if sign and not is_link and is_telling_parameter(name, value):
            return True
        if "/" not in said:
            continue
        parts = (rest.partition("/")[2] if is_link else said).split("/")
        if parts[0] and not is_link:
            is_said = sign and not is_numbered(name)  # a number may be written as four, before a slash, too
            parts[0] = f"{name}={parts[0]}" if is_said else f"{name} {parts[0]}"
        if telling_parts(parts):
            return True
    return False


def is_telling_pair(name: str, value: str) -> bool:
    """Tells whether a parameter, as it stands, is somebody's by what it looks like, or a link that holds what is.

    >>> [is_telling_pair("to", value) for value in ("/u/203.0.113.7", "%252Fu%252F203.0.113.7", "/docs/10.2.1.4")]
    [True, True, False]
    """
    if is_telling_parameter(name, value):
        return True
    said = f"{name}={value}" if value else name
    return _OF_A_LINK.search(said) is not None and holds_telling_inner(plainer(said)[-1])


def is_telling_campaign_part(name: str, value: str) -> bool:
    """Tells whether a part of a campaign, as it stands, is somebody's, or a link that holds what is.

    The id of one is an id as others are, in which a device is looked for.

    >>> is_telling_campaign_part("content", "https://x.example/u/203.0.113.7"), is_telling_campaign_part("term", "a/b")
    (True, False)
    >>> is_telling_campaign_part("id", "s-203.0.113.7"), is_telling_campaign_part("campaign", "s-203.0.113.7")
    (True, False)
    """
    if is_telling_campaign(name, value) or (name == "id" and holds_device(value)):
        return True
    if not any(sign in value for sign in "/%=:"):
        return False
    texts = plainer(value)
    return (
        holds_telling_inner(texts[-1])
        or holds_inner(f"{name}={texts[-1]}", is_campaign=True)
        or any(PHONE.search(text) is not None for text in texts)
    )


def holds_user(text: str) -> bool:
    """Tells whether a text names somebody at a host without a domain: ann@localhost, but not 12@home."""
    if "@" not in text and "%" not in text:
        return False
    for part in _PART.split(text):
        found = AT_SIGN.search(part)
        if found is not None and found.end() < len(part) and any(map(str.isalpha, part[: found.start()])):
            return True
    return False


def clean_path(path: str) -> str:
    """Puts a dash for every part of a path that is personal."""
    if DOUBTFUL.search(path) is None and not may_hold_part(path):
        return path
    path = IN_URL.sub("-", path)
    pieces = _PATH_SIGN.split(path)
    begin = _agent_begins(pieces)
    if begin is not None:  # where it ends, its parts do not say
        pieces[begin:] = ["-"]
    telling = telling_parts(pieces[::2])
    pieces[::2] = [
        piece if not piece or (_may_stay(piece) and at not in telling) else "-" for at, piece in enumerate(pieces[::2])
    ]
    return "".join(pieces)


def holds_agent(text: str) -> bool:
    """Tells whether a path or a fragment holds a user agent whose slashes part it."""
    return _agent_begins(_PATH_SIGN.split(text)) is not None


def _agent_begins(pieces: list[str]) -> int | None:
    """Returns the place among the pieces of a path where a user agent begins that is spread over them."""
    plain = [plainer(piece)[-1].replace("+", " ") for piece in pieces]
    begin = agent_begins("".join(plain))
    if begin < 0:
        return None
    ends = accumulate(map(len, plain))
    return next(at for at, end in enumerate(ends) if end > begin)


def may_hold_part(path: str) -> bool:
    """Tells whether a path or a fragment may have a part that is somebody's, though it has no sign of an address."""
    return may_hold_telling_part(path) or may_hold_hash(path) or holds_encoded_part(path)


def telling_parts(parts: list[str]) -> set[int]:
    """Returns which parts, each named by the one before it, are somebody's by what they look like."""
    return {at for at, part in enumerate(parts) if is_telling_part(parts[at - 1] if at else "", part)}


def _may_stay(piece: str) -> bool:
    """Tells whether a part of a path may stay."""
    if holds_encoded_part(piece):
        return False
    texts = plainer(piece)
    if ("%" in piece or "=" in piece) and holds_telling_inner(texts[-1]):
        return False
    return not any(
        holds_user(text) or PHONE.search(text) is not None or holds_inner(text, is_path=True) for text in texts
    )
