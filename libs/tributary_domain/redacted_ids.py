"""What stands for an id that is somebody's e-mail address or phone number: in everything that is stored.

The one rule: the same text of the same workspace has the same token, and without the pepper nobody can tell of what.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from tributary_domain.ids import REDACTED_PREFIX
from tributary_domain.personal import holds_personal, may_hold_personal
from tributary_domain.validation import EVENT_ID_CHARACTERS

_KEY_BYTES: Final = 32
_TOKEN_BYTES: Final = 12


def redaction_tokens(pepper: bytes) -> Callable[[str], str]:
    """Returns what makes the tokens of the workspace with this pepper."""
    key = blake2b(pepper, digest_size=_KEY_BYTES, person=b"trb redact key").digest()

    def token(text: str) -> str:
        return REDACTED_PREFIX + blake2b(text.encode(), digest_size=_TOKEN_BYTES, key=key).hexdigest()

    return token


def pepper_check(pepper: bytes) -> str:
    """Returns what tells a pepper from another one, and nobody what it is."""
    return blake2b(pepper, digest_size=16, person=b"trb pepper check").hexdigest()


def stored_event_id(event_id: str, token: Callable[[str], str]) -> str:
    """Returns the id under which an event is stored: as sent, or the token of one that is personal.

    One that is refused for its length is stored as its beginning, by which it is found again.

    >>> stored_event_id("7" * 200, str.upper)[120:]
    '7777777…'
    """
    if may_hold_personal(event_id) and holds_personal(event_id):
        return token(event_id)
    return event_id if len(event_id) <= EVENT_ID_CHARACTERS else f"{event_id[: EVENT_ID_CHARACTERS - 1]}…"
