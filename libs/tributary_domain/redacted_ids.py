"""What stands for an id that is somebody's e-mail address, phone number or device: in everything that is stored.

The one rule: the same text of the same workspace has the same token, and without the pepper nobody can tell of what.
Nobody can tell from a token alone, either, what it stands for: one that is sent names nothing, and is refused.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from tributary_domain import texts
from tributary_domain.blanks import bare
from tributary_domain.ids import REDACTED_PREFIX
from tributary_domain.personal_texts import names_somebody
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.validation import EVENT_ID_CHARACTERS

_KEY_BYTES: Final = 32
_TOKEN_BYTES: Final = 12
_TOKEN_CHARACTERS: Final = len(REDACTED_PREFIX) + 2 * _TOKEN_BYTES
_NAMING: Final = tuple(
    (group, tuple(map(group.names.index, names)))
    for group, names in (
        (texts.CONVERSION, ("name", "order_id", "store")),
        (texts.RECURRENCE, ("subscription_id", "cycle")),
        (texts.LEAD, ("lead_id", "root_order_id", "stage")),
        (texts.ADJUSTMENT, ("conversion_name", "store", "order_id", "event_id", "adjustment_id", "cycle")),
    )
)
"""What decides which conversion or adjustment it is: those are told apart by what was sent."""
TOLD_APART: Final = frozenset({"event_id", *(group.field(at) for group, places in _NAMING for at in places)})
"""The fields of which digests are made, without a key: whoever reads the stores can try addresses against them."""
_SEND_THE_ORIGINAL: Final = (
    "This is shown in place of an id that was personal, and leads to nothing: send the original id, or name the "
    "conversion by its conversion_id."
)


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
    if names_somebody(event_id):
        return token(event_id)
    return event_id if len(event_id) <= EVENT_ID_CHARACTERS else f"{event_id[: EVENT_ID_CHARACTERS - 1]}…"


def refuse_tokens(event_id: str, readings: texts.Readings, found: list[Reason]) -> None:
    """Adds a reason per id that is but a token: it would name another event or order than the one it stands for.

    Args:
        event_id: The event's.
        readings: Its texts.
        found: Where the reasons go.
    """
    if _is_token(event_id):
        found.append(Reason(ReasonCode.EVENT_ID_RESERVED, "event_id", _SEND_THE_ORIGINAL))
    for group, positions in _NAMING:
        if group in readings and REDACTED_PREFIX in readings[group][1]:
            found.extend(
                Reason(ReasonCode.FIELD_MALFORMED, group.field(at), _SEND_THE_ORIGINAL)
                for at in positions
                if _is_token(readings[group][0][at])
            )


def _is_token(text: str) -> bool:
    text = bare(text)
    return text.startswith(REDACTED_PREFIX) and len(text) == _TOKEN_CHARACTERS
