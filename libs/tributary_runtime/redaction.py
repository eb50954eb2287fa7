"""Masks what must never be in a log line, in case somebody wrote it there anyway.

The one rule: this is the belt, not the braces. Code never logs a raw e-mail, phone, address, key or payload; this
catches the message of a library, the text of an exception, and tomorrow's mistake.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

MASKED_KEYS = frozenset(
    [
        *("email", "phone", "ip", "client_ip", "user_agent", "payload"),
        *("authorization", "cookie", "password", "pepper", "secret", "token", "api_key"),
    ]
)
"""Fields whose value is masked whatever it is."""

UNTOUCHED_KEYS = frozenset(["timestamp", "level", "trace_id", "span_id", "method", "code", "service"])
"""Fields that are ours and cannot hold input; not looked at, to save time."""

MASK = "[masked]"
_HARMLESS = frozenset((int, float, bool, type(None)))
_DEEPEST = 4

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^\s/@]*:[^\s/@]*@")
_API_KEY = re.compile(r"\btrb_([a-z0-9-]+)_\w+")
_SIGNING_SECRET = re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+")
_EMAIL = re.compile(r"[^\s@<>\"(),:;=/]+(?:@|%40)[^\s@<>\"'(),:;=/]+\.[A-Za-z]{2,}")
_PHONE = re.compile(r"(?<![\w.])(?:\+|00)[1-9](?:[ ().-]{0,2}\d){7,14}(?!\w)")


def redact_text(text: str) -> str:
    """Masks whatever looks like an e-mail, a phone number or a credential.

    >>> redact_text("no account for ann@example.com, call +49 30 901820")
    'no account for [email], call [phone]'
    >>> redact_text("trb_shop_0123456789abcdef at redis://admin:pw@host:6379")
    'trb_shop_[masked] at redis://[masked]@host:6379'
    """
    if "_" in text:
        text = _API_KEY.sub(rf"trb_\1_{MASK}", text)
        text = _SIGNING_SECRET.sub(MASK, text)
    if "@" in text or "%40" in text:
        text = _CREDENTIALS_IN_URL.sub(f"{MASK}@", text)
        text = _EMAIL.sub("[email]", text)
    if "+" in text or "00" in text:
        text = _PHONE.sub("[phone]", text)
    return text


def _redact(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth > _DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {str(key): MASK if key in MASKED_KEYS else _redact(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact(one, depth + 1) for one in value]
    return redact_text(str(value))


def redact(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Masks the fields of one log line; a structlog processor, the last before the renderer."""
    for key, value in fields.items():
        if type(value) in _HARMLESS or key in UNTOUCHED_KEYS:
            continue  # most fields of most lines; the canonical line is on every call's path
        fields[key] = MASK if key in MASKED_KEYS else _redact(value, 0)
    return fields
