"""Identifiers -> identity tokens: who an event happened to, without saying who that is.

The one rule: an identifier that cannot be read, or that stands for nobody, is ignored with a warning; it never makes
a good event bad. Whether enough is left is validation's question.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from tributary_domain.advertising_ids import ADVERTISING_ID_FIELDS
from tributary_domain.event_shape import IdentifiersLike
from tributary_domain.ids import encode_parts, token_maker
from tributary_domain.normalization import (
    is_blocked,
    is_blocked_hash,
    normalize_email,
    read_sha256,
)
from tributary_domain.phone_numbers import NoNumber, read_phone
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.texts import IDENTIFIER_CHARACTERS, IDENTIFIERS

# What a token may begin with; most telling first, which is the order of the tokens of an event.
CUSTOMER: Final = "customer"
EMAIL: Final = "email"
PHONE: Final = "phone"
VISITOR: Final = "visitor"
DEVICE: Final = "device"
OTHER: Final = "other"

VISITORS_KEPT: Final = 32_768
"""Tokens of visitor ids that a workspace keeps: a visit has several events. Nothing that names a person is kept."""

MAX_LISTED: Final = 8
"""Device ids, or other ids, of one event."""


KIND_CHARACTERS: Final = 64
"""Of the kind of another id."""


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
        blocked: Further values that stand for nobody; `None`: none does, as before there was a rule.
    """

    __slots__ = ("_blocked", "_make", "_region", "_visitor_token")

    def __init__(self, pepper: bytes, default_region: str | None, blocked: frozenset[str] | None = frozenset()) -> None:
        self._make: Callable[[str, bytes], str] = token_maker(pepper)
        self._region = default_region
        self._blocked = None if blocked is None else frozenset(value.strip().lower() for value in blocked)
        self._visitor_token = lru_cache(VISITORS_KEPT)(self.visitor_token)

    def identify(self, identifiers: IdentifiersLike, texts: tuple[str, ...] | None = None) -> Identity:
        """Returns the tokens of an event's identifiers.

        Args:
            identifiers: As sent.
            texts: Those of the group `texts.IDENTIFIERS`, where they have been read already.
        """
        customer, visitor, email, email_sha256, phone, phone_sha256 = texts or IDENTIFIERS.read(identifiers)
        found = Identity([], [], [])
        if customer:
            self._add(CUSTOMER, "customer_id", customer.strip(), found)
        if email or email_sha256:
            self._add_email(email, email_sha256, found)
        if phone or phone_sha256:
            self._add_phone(phone, phone_sha256, found)
        if visitor:
            token = self._visitor_token(visitor)
            if token:
                _add_once(token, found)
            else:
                found.warnings.append(_blocked("visitor_id"))
        device_ids, other_ids = identifiers.device_ids, identifiers.other_ids
        if device_ids:
            self._add_devices("device_ids", device_ids, found)
        for field in ADVERTISING_ID_FIELDS:
            if advertising_ids := getattr(identifiers, field):
                self._add_devices(field, advertising_ids, found)
        if other_ids and _check_list("other_ids", other_ids.values(), found):
            if not 1 <= min(map(len, other_ids)) <= max(map(len, other_ids)) <= KIND_CHARACTERS:
                message = f"A kind of identifier has 1 to {KIND_CHARACTERS} characters."
                code = ReasonCode.FIELD_TOO_LONG if all(other_ids) else ReasonCode.FIELD_MALFORMED
                found.rejections.append(Reason(code, "identifiers.other_ids", message))
            for kind, value in sorted(other_ids.items()):
                self._add(OTHER, "other_ids", value.strip(), found, kind)
        return found

    def visitor_token(self, visitor: str) -> str:
        """Makes the token of a visitor id anew; empty if it stands for nobody, of which there is more to say."""
        value = visitor.strip()
        return "" if self._is_nobody(value) else self._make(VISITOR, sha256(value.encode()).digest())

    def email_token(self, text: str) -> str:
        """Makes the token of an e-mail address, also of one that stands for nobody; empty if it is none."""
        email = normalize_email(text)
        return "" if email is None else self._make(EMAIL, sha256(email.encode()).digest())

    def _is_nobody(self, value: str) -> bool:
        return not value if self._blocked is None else is_blocked(value, self._blocked)

    def _add_devices(self, field: str, values: Sequence[str], found: Identity) -> None:
        """Adds ids of devices: one device, whichever field names it and in whatever case."""
        if _check_list(field, values, found):
            for value in values:
                self._add(DEVICE, field, value.strip().lower(), found)

    def _add(self, kind: str, field: str, value: str, found: Identity, prefix: str = "") -> None:
        """Adds the token of a plain value, unless it stands for nobody; `prefix` makes it another kind of value."""
        if self._is_nobody(value):
            found.warnings.append(_blocked(field))
            return
        hashed = sha256(encode_parts(prefix, value) if prefix else value.encode()).digest()
        _add_once(self._make(kind, hashed), found)

    def _add_email(self, plain: str, hashed: str, found: Identity) -> None:
        if plain:
            email = normalize_email(plain)
            if email is not None:
                self._add(EMAIL, "email", email, found)
            else:
                message = "This is no e-mail address; ignored."
                found.warnings.append(Reason(ReasonCode.EMAIL_UNREADABLE, "identifiers.email", message))
        if hashed:
            self._add_hash(EMAIL, "email_sha256", hashed, found)

    def _add_phone(self, plain: str, hashed: str, found: Identity) -> None:
        if plain:
            phone = read_phone(plain, self._region)
            if phone is NoNumber.NOBODY:
                found.warnings.append(_blocked("phone"))
            elif isinstance(phone, NoNumber):
                message = f"This {phone.value}; send it with its country code. Ignored."
                found.warnings.append(Reason(ReasonCode.PHONE_UNREADABLE, "identifiers.phone", message))
            else:
                self._add(PHONE, "phone", phone, found)
        if hashed:
            self._add_hash(PHONE, "phone_sha256", hashed, found)

    def _add_hash(self, kind: str, field: str, text: str, found: Identity) -> None:
        digest = read_sha256(text)
        if digest is None:
            message = "Send the SHA-256 as 64 hexadecimal digits."
            found.rejections.append(Reason(ReasonCode.HASH_MALFORMED, f"identifiers.{field}", message))
        elif self._blocked is not None and is_blocked_hash(digest):
            found.warnings.append(_blocked(field))
        else:
            _add_once(self._make(kind, digest), found)


def tokens_of_values(pepper: bytes, default_region: str | None, values: Iterable[str]) -> frozenset[str]:
    """Returns the tokens that plain values have, whatever identifier each may be; other ids are not among them.

    Args:
        pepper: The workspace's secret.
        default_region: Where phone numbers without a country code are from.
        values: As somebody may have sent them.
    """
    make = token_maker(pepper)
    found: set[str] = set()
    for value in (text.strip() for text in values):
        phone = read_phone(value, default_region)
        texts = {
            *((kind, text) for kind in (CUSTOMER, VISITOR, DEVICE) for text in (value, value.lower())),
            (EMAIL, normalize_email(value)),
            (PHONE, "" if isinstance(phone, NoNumber) else phone),
        }
        found.update(make(kind, sha256(text.encode()).digest()) for kind, text in texts if text)
    return frozenset(found)


def _add_once(token: str, found: Identity) -> None:
    if token not in found.tokens:
        found.tokens.append(token)


def _check_list(field: str, values: Collection[str], found: Identity) -> bool:
    """Rejects a list that is longer, or has a longer member, than the contract allows; tells whether to read it.

    Anybody may send a hundred thousand: they are counted, and not looked at.
    """
    if len(values) > MAX_LISTED:
        message = f"More than {MAX_LISTED} identifiers."
        found.rejections.append(Reason(ReasonCode.FIELD_TOO_LONG, f"identifiers.{field}", message))
        return False
    if max(map(len, values)) > IDENTIFIER_CHARACTERS:
        message = f"One is longer than {IDENTIFIER_CHARACTERS} characters."
        found.rejections.append(Reason(ReasonCode.FIELD_TOO_LONG, f"identifiers.{field}", message))
    return True


def _blocked(field: str) -> Reason:
    message = "This value stands for nobody and was ignored; leave the field empty instead."
    return Reason(ReasonCode.IDENTIFIER_BLOCKED, f"identifiers.{field}", message)
