"""What of a property may be kept, of whose name nothing is known: texts, links, and objects of JSON.

The one rule: a property loses what a page's URL loses, and its members what a property of their name would.
"""

import json
import re
from typing import Any, Final

from tributary_domain.names_of_things import is_of_numbers
from tributary_domain.personal import PHONE, holds_personal
from tributary_domain.personal_devices import holds_device
from tributary_domain.personal_hashes import is_hashed_property
from tributary_domain.personal_names import is_personal_property, plainer
from tributary_domain.personal_values import is_telling_key, is_telling_property
from tributary_domain.url_parts import holds_inner, holds_telling_inner
from tributary_domain.urls import read_url

_LINK: Final = re.compile(r"\s*(?:[A-Za-z][\w+.-]*://|[/?]\S*\s*\Z)")
"""Whole, or without its host, or but its query."""
_PARTS_OF_LINKS: Final = ("/", "?")
_OBJECTS: Final = ("{", "[")
_DEEPEST: Final = 16
_TAKEN_OUT: Final = object()


def clean_property(name: str, value: str, around: str = "") -> str | None:
    """Returns a property's value without what is somebody's; the same text if there was nothing.

    Args:
        name: Its name; of what is a member of an object of JSON, its key.
        value: As sent.
        around: Of a member, the name of the property and the keys that its objects are under, with dots between.

    Returns:
        `None` if nothing of it may be kept.

    >>> clean_property("page_location", "https://shop.example/reset?token=x&a=1")
    'https://shop.example/reset?a=1'
    >>> clean_property("path", "/u/203.0.113.7?a=1"), clean_property("to", "https%3A%2F%2Fx.example%2F%3Femail%3Da")
    ('/u/-?a=1', None)
    >>> clean_property("seen", '{"ip": "203.0.113.7", "at": "/"}'), clean_property("x", "203.0.113.7")
    ('{"at":"/"}', None)
    >>> clean_property("cart", '{"item_ids":["10.20.30.40","10.20.30.41"],"203.0.113.7":1}')
    '{"item_ids":["10.20.30.40","10.20.30.41"]}'
    >>> [clean_property(name, '{"10.20.30.40":2}') for name in ("item_ids", "versions", "seen")]
    ['{"10.20.30.40":2}', '{"10.20.30.40":2}', '{}']
    >>> md5 = "b4c9a289323b21a01c3e940f150eb9b8"
    >>> [clean_property(name, f'{{"order":"{md5}","em":"{md5}","n":1}}') for name in ("seen", "customer")]
    ['{"order":"b4c9a289323b21a01c3e940f150eb9b8","n":1}', '{"n":1}']
    """
    if value.lstrip().startswith(_OBJECTS):
        return _clean_objects(name, value, around)
    if any(sign in value for sign in _PARTS_OF_LINKS) and _LINK.match(value) is not None:
        value = _clean_link(value)
        return None if _is_telling(name, value, around) else value
    return _clean_text(name, value, around)


def _is_telling(name: str, value: str, around: str) -> bool:
    """Tells whether a value is somebody's; what is in a customer's object is theirs, though it be called an order."""
    return is_telling_property(name, value) or (bool(around) and is_hashed_property(f"{around}.{name}", value))


def _clean_text(name: str, value: str, around: str) -> str | None:
    if _is_telling(name, value, around):
        return None
    if "://" in value:
        return _clean_link(value)
    return None if _holds_telling_link(name, value) else value


def _holds_telling_link(name: str, value: str) -> bool:
    """Tells whether a text that is no link holds one, or is one, encoded, with what is somebody's."""
    if "/" not in value and "%" not in value:
        return False
    texts = plainer(value)
    if holds_telling_inner(f"{name}={texts[-1]}"):
        return True
    return len(texts) > 1 and (holds_inner(texts[-1]) or any(PHONE.search(text) is not None for text in texts))


def _clean_link(value: str) -> str:
    read = read_url(value)
    return read.cleaned if read.is_cut else value


def _clean_objects(name: str, value: str, around: str) -> str | None:
    if is_hashed_property(name, ""):
        return None
    is_repeated = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal is_repeated
        found = dict(pairs)
        is_repeated = is_repeated or len(found) < len(pairs)
        return found

    try:
        read = json.loads(value, object_pairs_hook=members)
    except (ValueError, RecursionError):  # no JSON, or cut off
        return _clean_text(name, value, around)
    # Of a text as it was sent it is asked whether an address or a number is in it; escapes hide these.
    kept = _clean(name, _without_personal(read, 0) if "\\" in value else read, around, 0)
    if kept is _TAKEN_OUT:
        return None
    if kept == read and not is_repeated:  # of members with one key nobody has asked about any but the last
        return value
    text = json.dumps(kept, ensure_ascii=value.isascii(), separators=(",", ":"))
    return text.encode(errors="replace").decode()  # half a character, which only an escape can write


def _without_personal(value: Any, depth: int) -> Any:
    """Returns a value of JSON without the members that are, or are called by, an e-mail address or a phone number."""
    if isinstance(value, str):
        return _TAKEN_OUT if holds_personal(value) else value
    if not isinstance(value, (dict, list)):
        return value
    if depth == _DEEPEST:
        return _TAKEN_OUT
    if isinstance(value, list):
        return [kept for one in value if (kept := _without_personal(one, depth + 1)) is not _TAKEN_OUT]
    return {
        key: kept
        for key, one in value.items()
        if not holds_personal(key) and (kept := _without_personal(one, depth + 1)) is not _TAKEN_OUT
    }


def _clean(name: str, value: Any, around: str, depth: int) -> Any:
    """Returns what may be kept of a value of JSON."""
    if isinstance(value, str):
        kept = clean_property(name, value, around)
        return _TAKEN_OUT if kept is None else kept
    if not isinstance(value, (dict, list)):
        return value
    if depth == _DEEPEST:
        return _TAKEN_OUT
    if isinstance(value, list):
        return [kept for one in value if (kept := _clean(name, one, around, depth + 1)) is not _TAKEN_OUT]
    within = f"{around}.{name}" if around else name
    return {
        key: kept
        for key, one in value.items()
        if not is_personal_property(key)
        and not is_telling_key(name, within, key)
        and not (holds_device(key) and not is_of_numbers(name))
        and (kept := _clean(key, one, within, depth + 1)) is not _TAKEN_OUT
    }
