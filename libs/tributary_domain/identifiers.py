"""Identifiers -> identity tokens: who an event happened to, without saying who that is.

The one rule: an identifier that cannot be read, or that stands for nobody, is ignored with a warning; it never makes
a good event bad. Whether enough is left is validation's question.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Final, NamedTuple

from tributary_domain.event_shape import IdentifiersLike
from tributary_domain.ids import encode_parts, token_maker
from tributary_domain.normalization import (
    is_blocked,
    is_blocked_hash,
    normalize_email,
    normalize_phone,
    read_sha256,
)
from tributary_domain.reasons import Reason, ReasonCode

CUSTOMER: Final = "customer"
EMAIL: Final = "email"
PHONE: Final = "phone"
VISITOR: Final = "visitor"
DEVICE: Final = "device"
OTHER: Final = "other"

TOKEN_TYPES: Final = (CUSTOMER, EMAIL, PHONE, VISITOR, DEVICE, OTHER)
"""What a token may begin with; most telling first, which is the order of the tokens of an event."""

_MAX_LISTED = 8


class Identity(NamedTuple):
    """What the identifiers of one event amount to."""

    tokens: list[str]
    """Distinct, most telling first. Empty: nobody is named."""
    warnings: list[Reason]
    """What was ignored."""
    rejections: list[Reason]
    """What can never be right."""


class Identification:
    """Makes the identity tokens of one workspace.

    Args:
        pepper: The workspace's secret.
        default_region: Where phone numbers without a country code are from.
        blocked: Further values that stand for nobody.
    """

    __slots__ = ("_blocked", "_make", "_region")

    def __init__(self, pepper: bytes, default_region: str | None, blocked: frozenset[str] = frozenset()) -> None:
        self._make: Callable[[str, bytes], str] = token_maker(pepper)
        self._region = default_region
        self._blocked = frozenset(value.strip().lower() for value in blocked)

    def identify(self, identifiers: IdentifiersLike) -> Identity:
        """Returns the tokens of an event's identifiers."""
        tokens: list[str] = []
        warnings: list[Reason] = []
        rejections: list[Reason] = []
        make = self._make
        for kind, field, value in self._plain(identifiers, warnings):
            if is_blocked(value, self._blocked):
                warnings.append(_blocked(field))
                continue
            tokens.append(make(kind, sha256(value.encode()).digest()))
        for kind, field, text in (
            (EMAIL, "email_sha256", identifiers.email_sha256),
            (PHONE, "phone_sha256", identifiers.phone_sha256),
        ):
            if not text:
                continue
            digest = read_sha256(text)
            if digest is None:
                message = "Send the SHA-256 as 64 hexadecimal digits."
                rejections.append(Reason(ReasonCode.HASH_MALFORMED, f"identifiers.{field}", message))
            elif is_blocked_hash(digest):
                warnings.append(_blocked(field))
            else:
                tokens.append(make(kind, digest))
        if len(tokens) > 1:
            tokens = sorted(dict.fromkeys(tokens), key=_by_type)
        return Identity(tokens, warnings, rejections)

    def _plain(self, identifiers: IdentifiersLike, warnings: list[Reason]) -> Iterator[tuple[str, str, str]]:
        """Yields (type, field, normalised value) of what was sent in the clear."""
        if value := identifiers.customer_id:
            yield CUSTOMER, "customer_id", value.strip()
        if value := identifiers.visitor_id:
            yield VISITOR, "visitor_id", value.strip()
        if value := identifiers.email:
            email = normalize_email(value)
            if email is not None:
                yield EMAIL, "email", email
            else:
                warnings.append(
                    Reason(ReasonCode.EMAIL_UNREADABLE, "identifiers.email", "This is no e-mail address; ignored.")
                )
        if value := identifiers.phone:
            phone = normalize_phone(value, self._region)
            if phone is not None:
                yield PHONE, "phone", phone
            else:
                message = "This number cannot be read; send it with its country code. Ignored."
                warnings.append(Reason(ReasonCode.PHONE_UNREADABLE, "identifiers.phone", message))
        for position, value in enumerate(identifiers.device_ids):
            yield DEVICE, f"device_ids[{position}]", value.strip().lower()
        for kind, value in sorted(identifiers.other_ids.items()):
            if is_blocked(value, self._blocked):
                warnings.append(_blocked("other_ids"))
            else:
                yield OTHER, "other_ids", encode_parts(kind, value.strip()).decode()


def too_many(identifiers: IdentifiersLike) -> list[Reason]:
    """Returns a reason per list of identifiers, or member of one, that is longer than its comment allows."""
    found: list[Reason] = []
    for field, values in (("device_ids", identifiers.device_ids), ("other_ids", identifiers.other_ids)):
        if len(values) > _MAX_LISTED:
            found.append(
                Reason(ReasonCode.FIELD_TOO_LONG, f"identifiers.{field}", f"More than {_MAX_LISTED} identifiers.")
            )
    return found


def _by_type(token: str) -> tuple[int, str]:
    return TOKEN_TYPES.index(token.partition(":")[0]), token


def _blocked(field: str) -> Reason:
    message = "This value stands for nobody and was ignored; leave the field empty instead."
    return Reason(ReasonCode.IDENTIFIER_BLOCKED, f"identifiers.{field}", message)
