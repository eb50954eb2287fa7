"""What of a property may be kept, of whose name nothing is known: texts, links, and objects of JSON.

The one rule: a property loses what a page's URL loses, and its members what a property of their name would.
"""

import json
import re
from typing import Any, Final

from tributary_domain.personal import PHONE
from tributary_domain.personal_devices import holds_device
from tributary_domain.personal_names import is_personal_property, plainer
from tributary_domain.personal_values import is_telling_object, is_telling_property
from tributary_domain.url_parts import holds_inner, holds_telling_inner
from tributary_domain.urls import read_url

_LINK: Final = re.compile(r"\s*(?:[A-Za-z][\w+.-]*://|[/?]\S*\s*\Z)")
"""Whole, or without its host, or but its query."""
_PARTS_OF_LINKS: Final = ("/", "?")
_OBJECTS: Final = ("{", "[")
_DEEPEST: Final = 16
_TAKEN_OUT: Final = object()


def clean_property(name: str, value: str) -> str | None:
    """Returns a property's value without what is somebody's; the same text if there was nothing.

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
    """
    if value.lstrip().startswith(_OBJECTS):
        return _clean_objects(name, value)
    if any(sign in value for sign in _PARTS_OF_LINKS) and _LINK.match(value) is not None:
        value = _clean_link(value)
        return None if is_telling_property(name, value) else value
    return _clean_text(name, value)


def _clean_text(name: str, value: str) -> str | None:
    if is_telling_property(name, value):
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


def _clean_objects(name: str, value: str) -> str | None:
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):  # no JSON, or cut off
        return _clean_text(name, value)
    kept = _clean(name, read, 0)
    if kept is _TAKEN_OUT:
        return None
    if kept != read:
        text = json.dumps(kept, ensure_ascii=value.isascii(), separators=(",", ":"))
        value = text.encode(errors="replace").decode()  # half a character, which only an escape can write
    return None if is_telling_object(name, value) else value  # of the name of a member, too


def _clean(name: str, value: Any, depth: int) -> Any:
    """Returns what may be kept of a value of JSON."""
    if isinstance(value, str):
        kept = clean_property(name, value)
        return _TAKEN_OUT if kept is None else kept
    if not isinstance(value, (dict, list)):
        return value
    if depth == _DEEPEST:
        return _TAKEN_OUT
    if isinstance(value, list):
        return [kept for one in value if (kept := _clean(name, one, depth + 1)) is not _TAKEN_OUT]
    return {
        inner: kept
        for inner, one in value.items()
        if not is_personal_property(inner)
        and not holds_device(inner)
        and (kept := _clean(inner, one, depth + 1)) is not _TAKEN_OUT
    }
