"""Page tokens: where the next page begins, bound to the request it belongs to."""

from __future__ import annotations

import base64
import binascii
import json
from hashlib import blake2b

from google.protobuf.message import Message

from tributary_storage.clickhouse.report_query import Key

_VERSION = 1


def fingerprint(workspace: str, request: Message) -> str:
    """Returns what must be the same on every page: the request, but for its size and place."""
    same = type(request)()
    same.CopyFrom(request)
    for name in {"page_token", "page_size"} & set(same.DESCRIPTOR.fields_by_name):
        same.ClearField(name)
    content = workspace.encode() + b"\0" + same.SerializeToString(deterministic=True)
    return blake2b(content, digest_size=9).hexdigest()


def make_token(key: Key, request_fingerprint: str) -> str:
    """Returns the token of the page that begins after a row."""
    content = json.dumps([_VERSION, request_fingerprint, list(key)], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def read_token(token: str, request_fingerprint: str) -> Key:
    """Returns the key of the row before the page.

    Raises:
        ValueError: The token is none of ours, or belongs to another request.
    """
    wrong = ValueError("Is no page token; send `next_page_token` of the page before, unchanged.")
    try:
        version, belongs_to, key = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, UnicodeDecodeError, ValueError, TypeError, RecursionError):
        raise wrong from None
    if not isinstance(key, list) or not all(isinstance(part, str | int) for part in key):
        raise wrong
    if version != _VERSION or belongs_to != request_fingerprint:
        raise ValueError("Belongs to another request; only `page_size` may differ from page to page.")
    return tuple(key)
