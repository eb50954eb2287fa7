"""What one destination is sent of a person: opened match keys -> the fields of its table, hashed as it wants them.

The one rule: a value that gives no key is left out; the rest is sent. What is made here is as personal as what it is
made of, but for the hashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tributary_delivery.destinations.adapter import Outgoing, PersonKeys, PostalAddress
from tributary_domain.match_keys.fields import Field, Holds
from tributary_domain.match_keys.keys import MatchKey, NoKey
from tributary_domain.match_keys.places import is_country
from tributary_domain.match_keys.tables import DESTINATIONS

_NOWHERE: Final = PostalAddress()
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

    Args:
        destination: One of `match_keys.tables.DESTINATIONS`.
        outgoing: With the opened match keys.
    """
    values: dict[str, tuple[str, ...]] = {}
    digests: dict[str, str] = {}
    for field in DESTINATIONS[destination]:
        if field.holds is None:
            continue
        sent = dict.fromkeys(_sent(field, field.holds, outgoing))
        if sent:
            values[field.name] = tuple(sent)[:_MOST_OF_ONE]
            if field.is_hashed:
                digests[field.name] = values[field.name][0]
    return PersonFields(values, digests)


def _sent(field: Field, holds: Holds, outgoing: Outgoing) -> Iterator[str]:
    keys = outgoing.keys
    address = keys.address or _NOWHERE
    country = address.country_code.strip().upper()
    country = country if is_country(country) else ""
    # A number is read as the door reads it, so that it and the identity token of the person are of one number.
    region = (outgoing.default_region or country) if holds is Holds.PHONE else country
    for value in _plain(holds, keys, address):
        key = field.key(value, region)
        if isinstance(key, MatchKey):
            yield key.sent
            yield from (other.sent for other in key.also)
    for value in _hashed(holds, keys):
        key = field.key_of_digest(value)
        if not isinstance(key, NoKey):
            yield key.sent


def _plain(holds: Holds, keys: PersonKeys, address: PostalAddress) -> tuple[str, ...]:
    match holds:
        case Holds.EMAIL:
            return keys.emails
        case Holds.PHONE:
            return keys.phones
        case Holds.CUSTOMER_ID:
            return (keys.customer_id,)
        case Holds.CLIENT_IP:
            return (keys.client_ip,)
        case Holds.USER_AGENT:
            return (keys.user_agent,)
        case _:
            return (getattr(address, _OF_ADDRESS[holds]),)


def _hashed(holds: Holds, keys: PersonKeys) -> tuple[str, ...]:
    if holds is Holds.EMAIL:
        return keys.email_digests
    return keys.phone_digests if holds is Holds.PHONE else ()


_OF_ADDRESS: Final = {
    Holds.GIVEN_NAME: "given_name",
    Holds.FAMILY_NAME: "family_name",
    Holds.STREET: "street",
    Holds.CITY: "city",
    Holds.STATE: "region",
    Holds.POSTAL_CODE: "postal_code",
    Holds.COUNTRY: "country_code",
}
