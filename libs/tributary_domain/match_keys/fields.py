"""One field of a destination, and the key that a value makes in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tributary_domain.match_keys import emails, phones
from tributary_domain.match_keys.keys import EMPTY, Forms, MatchKey, NoKey, digest
from tributary_domain.normalization import is_blocked_hash, read_sha256, trimmed

Rule = Callable[[str, str], Forms]
"""A value and the country it is read by (ISO 3166-1 alpha-2 in upper case; "": none) -> how it is written."""

_AS_CALLERS_HASH: Final = frozenset({emails.as_written, phones.with_plus})
"""The rules of what `email_sha256` (E1) and `phone_sha256` (P+) are the hashes of."""


class Holds(Enum):
    """What of a person a field holds, by the name it has where events come in."""

    EMAIL = "email"
    PHONE = "phone"
    GIVEN_NAME = "given_name"
    FAMILY_NAME = "family_name"
    STREET = "street"
    CITY = "city"
    STATE = "region"
    POSTAL_CODE = "postal_code"
    COUNTRY = "country_code"
    CUSTOMER_ID = "customer_id"
    CLIENT_IP = "client_ip"
    USER_AGENT = "user_agent"
    ADVERTISING_ID = "advertising_id"
    """Of Apple's or of Android: events say of which."""
    IDFA = "apple_advertising_ids"
    """Apple's."""
    GAID = "android_advertising_ids"
    """Of Android."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a destination's."""

    name: str
    """As the destination calls it."""
    rule: Rule
    """How it is written there."""
    is_hashed: bool = True
    """Whether its SHA-256 is sent, else the text itself."""
    holds: Holds | None = None
    """What of a person; None: what only this destination knows of."""
    hashed_form: Callable[[str], str] | None = None
    """What is done to the written form before it is hashed; None: nothing."""

    def key(self, value: str, region: str = "") -> MatchKey | NoKey:
        """Returns the key that a plain value makes; never guesses that it was hashed already.

        Args:
            value: As sent.
            region: The country it is read by, ISO 3166-1 alpha-2 in upper case; "": none.
        """
        forms = self.rule(trimmed(value), region)
        if isinstance(forms, NoKey):
            return forms
        if len(forms) == 1:
            return self._key_of(forms[0])
        first, *others = (self._key_of(form) for form in forms)
        return MatchKey(first.normalized, first.sha256, tuple(others))

    def key_of_digest(self, value: str) -> MatchKey | NoKey:
        """Returns the key that a value makes which the caller hashed: `email_sha256`, `phone_sha256`.

        Those are hashes of one form (E1, P+), so that they fit only where just that form is hashed.
        """
        text = trimmed(value)
        if not text:
            return EMPTY
        read = read_sha256(text)
        if read is None:
            return NoKey("is no SHA-256 of 64 hexadecimal digits")
        if is_blocked_hash(read):
            return NoKey("is the hash of nothing, or of what stands for nobody")
        if not self.is_hashed:
            return NoKey("is hashed, and this destination takes it plain")
        if self.holds in {Holds.EMAIL, Holds.PHONE} and self.rule not in _AS_CALLERS_HASH:
            return NoKey("does not fit: this destination hashes another form of it, which needs the plain value")
        return MatchKey(read.hex(), read.hex())

    def _key_of(self, form: str) -> MatchKey:
        if not self.is_hashed:
            return MatchKey(form)
        return MatchKey(form, digest(form if self.hashed_form is None else self.hashed_form(form)))


def plain(name: str, rule: Rule, holds: Holds | None = None) -> Field:
    """Returns a field that is sent as it stands."""
    return Field(name, rule, is_hashed=False, holds=holds)
