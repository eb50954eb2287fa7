"""What one destination is sent of a person: opened match keys -> the fields of its table, hashed as it wants them.

The one rule: a value that gives no key is left out; the rest is sent. What is made here is as personal as what it is
made of, but for the hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tributary_delivery.destinations.adapter import Outgoing, PersonKeys, PostalAddress
from tributary_domain.advertising_ids import advertising_ids
from tributary_domain.match_keys.fields import Holds
from tributary_domain.match_keys.keys import MatchKey
from tributary_domain.match_keys.places import is_country
from tributary_domain.match_keys.tables import DESTINATIONS
from tributary_domain.phone_numbers import region_of

_NOWHERE: Final = PostalAddress()
_EMAIL: Final[str] = Holds.EMAIL.value
_PHONE: Final[str] = Holds.PHONE.value
_ADVERTISING_ID: Final[str] = Holds.ADVERTISING_ID.value
_IDFA: Final[str] = Holds.IDFA.value
_GAID: Final[str] = Holds.GAID.value
_HELD: Final = {
    kind: tuple((field, str(field.holds.value)) for field in fields if field.holds is not None)
    for kind, fields in DESTINATIONS.items()
}
"""The fields of a destination that hold something of a person, and what, as a text: an enum is slow to look up."""
_MOST_OF_ONE: Final = 5
"""Values of one field that are sent: who has more addresses than that shares them."""


@dataclass(frozen=True, slots=True, repr=False)
class PersonFields:
    """What a destination is sent of a person."""

    values: Mapping[str, tuple[str, ...]]
    """By the destination's name of the field, as they are sent, each once; only fields that have any."""
    digests: Mapping[str, str]
    """Of the hashed ones the first, for the ledger."""

    def first(self, name: str) -> str:
        """Returns what is sent in a field that takes one value; "": nothing."""
        values = self.values.get(name)
        return values[0] if values else ""

    def has_any(self, *names: str) -> bool:
        """Tells whether any of these fields has a value."""
        return any(name in self.values for name in names)


def person_fields(destination: str, outgoing: Outgoing) -> PersonFields:
    """Returns what a destination is sent of the person of a conversion.

    A national phone number is read by the country of the person's own address, by the workspace's default region where
    that country has no such number or none is known.

    Args:
        destination: One of `match_keys.tables.DESTINATIONS`.
        outgoing: With the opened match keys.
    """
    keys = outgoing.keys
    address = keys.address or _NOWHERE
    country = address.country_code.strip().upper()
    country = country if is_country(country) else ""
    plain = _plain(keys, address)
    hashed = {_EMAIL: keys.email_digests, _PHONE: keys.phone_digests}
    values: dict[str, tuple[str, ...]] = {}
    digests: dict[str, str] = {}
    for field, holds in _HELD[destination]:
        sent: dict[str, None] = {}
        for value in plain.get(holds, ()):
            region = region_of(value, country, outgoing.home.region) if holds == _PHONE else country
            key = field.key(value, region)
            if isinstance(key, MatchKey):
                sent[key.sent] = None
                for other in key.also:
                    sent[other.sent] = None
        for value in hashed.get(holds, ()):
            key = field.key_of_digest(value)
            if isinstance(key, MatchKey):
                sent[key.sent] = None
        if sent:
            values[field.name] = found = tuple(sent)[:_MOST_OF_ONE]
            if field.is_hashed:
                digests[field.name] = found[0]
    return PersonFields(values, digests)


def _plain(keys: PersonKeys, address: PostalAddress) -> dict[str, tuple[str, ...]]:
    """Returns what is known plain; what is not has no entry."""
    known = {_EMAIL: keys.emails, _PHONE: keys.phones}
    for holds, value in (
        ("customer_id", keys.customer_id),
        ("client_ip", keys.client_ip),
        ("user_agent", keys.user_agent),
        ("given_name", address.given_name),
        ("family_name", address.family_name),
        ("street", address.street),
        ("city", address.city),
        ("region", address.region),
        ("postal_code", address.postal_code),
        ("country_code", address.country_code),
    ):
        if value:
            known[holds] = (value,)
    if keys.apple_advertising_ids or keys.android_advertising_ids:
        devices = advertising_ids(keys.apple_advertising_ids, keys.android_advertising_ids)
        known |= {_ADVERTISING_ID: devices.all, _IDFA: devices.apple, _GAID: devices.android}
    return known
