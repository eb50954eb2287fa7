"""Which fields each destination recognises people by, and how it wants them.

The one rule: what leaves the house and what `tributary match-keys` shows are read from the same table. Names are those
of the destination's documentation; a field is found by them in any spelling of case and underscores, and by the name it
has where events come in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from tributary_domain.match_keys import emails, ids, names, phones, places, traits
from tributary_domain.match_keys.fields import Field, Holds, Rule, plain
from tributary_domain.match_keys.keys import Forms, NoKey

_GOOGLE: Final = (
    Field("emailAddress", emails.as_gmail_reads, holds=Holds.EMAIL),
    Field("phoneNumber", phones.with_plus, holds=Holds.PHONE),
    Field("givenName", names.as_google_reads, holds=Holds.GIVEN_NAME, hashed_form=names.without_blanks),
    Field("familyName", names.as_google_reads, holds=Holds.FAMILY_NAME, hashed_form=names.without_blanks),
    plain("regionCode", places.country_upper, Holds.COUNTRY),
    plain("postalCode", places.zip_as_google_reads, Holds.POSTAL_CODE),
    *(plain(name, ids.trimmed) for name in ("gclid", "gbraid", "wbraid", "dclid", "sessionAttributes")),
    plain("ipAddress", ids.address, Holds.CLIENT_IP),
    plain("userAgent", ids.trimmed, Holds.USER_AGENT),
)
_GOOGLE_ADS: Final = (
    Field("hashedEmail", emails.as_gmail_reads, holds=Holds.EMAIL),
    Field("hashedPhoneNumber", phones.with_plus, holds=Holds.PHONE),
    Field("hashedFirstName", names.as_google_reads, holds=Holds.GIVEN_NAME, hashed_form=names.without_blanks),
    Field("hashedLastName", names.as_google_reads, holds=Holds.FAMILY_NAME, hashed_form=names.without_blanks),
    Field("hashedStreetAddress", ids.lower, holds=Holds.STREET),
    plain("city", ids.trimmed, Holds.CITY),
    plain("state", ids.trimmed, Holds.STATE),
    plain("countryCode", places.country_upper, Holds.COUNTRY),
    plain("postalCode", places.zip_as_google_reads, Holds.POSTAL_CODE),
    *(plain(name, ids.trimmed) for name in ("gclid", "gbraid", "wbraid", "orderId")),
    plain("userAgent", ids.trimmed, Holds.USER_AGENT),
)
_META: Final = (
    Field("em", emails.as_written, holds=Holds.EMAIL),
    Field("ph", phones.digits_only, holds=Holds.PHONE),
    Field("fn", names.as_written, holds=Holds.GIVEN_NAME),
    Field("ln", names.as_written, holds=Holds.FAMILY_NAME),
    Field("ct", places.as_meta_reads, holds=Holds.CITY),
    Field("st", places.as_meta_reads, holds=Holds.STATE),
    Field("zp", places.zip_cut_in_the_us, holds=Holds.POSTAL_CODE),
    Field("country", places.country_lower, holds=Holds.COUNTRY),
    Field("external_id", ids.person_id, holds=Holds.CUSTOMER_ID),
    Field("db", traits.birth_date),
    Field("doby", traits.birth_year),
    Field("dobm", traits.birth_month),
    Field("dobd", traits.birth_day),
    Field("ge", traits.gender_as_written),
    Field("f5first", names.first_five),
    Field("f5last", names.first_five),
    Field("fi", names.first_letter),
    plain("client_ip_address", ids.address, Holds.CLIENT_IP),
    plain("client_user_agent", ids.trimmed, Holds.USER_AGENT),
    plain("fbc", ids.meta_cookie),
    plain("fbp", ids.meta_cookie),
    *(
        plain(name, ids.trimmed)
        for name in ("subscription_id", "fb_login_id", "lead_id", "anon_id", "ctwa_clid", "page_id")
    ),
    plain("madid", ids.device_id, Holds.ADVERTISING_ID),
)
_MICROSOFT: Final = (
    Field("em", emails.bare, holds=Holds.EMAIL),
    Field("ph", phones.with_plus, holds=Holds.PHONE),
    plain("externalId", ids.person_id, Holds.CUSTOMER_ID),
    plain("clientIpAddress", ids.address, Holds.CLIENT_IP),
    plain("clientUserAgent", ids.trimmed, Holds.USER_AGENT),
    *(plain(name, ids.trimmed) for name in ("anonymousId", "msclkid", "idfa", "gaid")),
)
_LINKEDIN: Final = (
    Field("SHA256_EMAIL", emails.as_written, holds=Holds.EMAIL),
    plain("LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", ids.trimmed),
    *(plain(name, ids.trimmed) for name in ("ACXIOM_ID", "ORACLE_MOAT_ID", "GOOGLE_AID")),
    plain("firstName", ids.trimmed, Holds.GIVEN_NAME),
    plain("lastName", ids.trimmed, Holds.FAMILY_NAME),
    plain("companyName", ids.trimmed),
    plain("title", ids.trimmed),
    plain("countryCode", places.country_upper, Holds.COUNTRY),
    plain("externalIds", ids.person_id, Holds.CUSTOMER_ID),
)
_TIKTOK: Final = (
    Field("email", emails.as_written, holds=Holds.EMAIL),
    Field("phone", phones.with_plus, holds=Holds.PHONE),
    Field("external_id", ids.person_id_lower, holds=Holds.CUSTOMER_ID),
    Field("first_name", names.bare, holds=Holds.GIVEN_NAME),
    Field("last_name", names.bare, holds=Holds.FAMILY_NAME),
    Field("zip_code", places.zip_without_blanks, holds=Holds.POSTAL_CODE),
    plain("city", places.ascii_only, Holds.CITY),
    plain("state", places.ascii_only, Holds.STATE),
    plain("country", places.country_lower, Holds.COUNTRY),
    plain("ip", ids.address, Holds.CLIENT_IP),
    plain("user_agent", ids.trimmed, Holds.USER_AGENT),
    *(plain(name, ids.trimmed) for name in ("ttclid", "ttp", "locale", "lead_id")),
    plain("idfa", ids.apple_device_id, Holds.IDFA),
    plain("gaid", ids.android_device_id, Holds.GAID),
)
_PINTEREST: Final = (
    Field("em", emails.as_written, holds=Holds.EMAIL),
    Field("ph", phones.digits_only, holds=Holds.PHONE),
    Field("fn", names.as_written, holds=Holds.GIVEN_NAME),
    Field("ln", names.as_written, holds=Holds.FAMILY_NAME),
    Field("ct", places.bare, holds=Holds.CITY),
    Field("st", places.state_and_code, holds=Holds.STATE),
    Field("zp", places.zip_digits, holds=Holds.POSTAL_CODE),
    Field("country", places.country_lower, holds=Holds.COUNTRY),
    Field("external_id", ids.person_id_lower, holds=Holds.CUSTOMER_ID),
    Field("ge", traits.gender_or_neither),
    Field("db", traits.birth_date),
    Field("hashed_maids", ids.device_id_lower, holds=Holds.ADVERTISING_ID),
    plain("client_ip_address", ids.address, Holds.CLIENT_IP),
    plain("client_user_agent", ids.trimmed, Holds.USER_AGENT),
    plain("click_id", ids.trimmed),
    plain("partner_id", ids.trimmed),
)
_SNAP: Final = (
    Field("em", emails.as_written, holds=Holds.EMAIL),
    Field("ph", phones.digits_only, holds=Holds.PHONE),
    Field("fn", names.bare, holds=Holds.GIVEN_NAME),
    Field("ln", names.bare, holds=Holds.FAMILY_NAME),
    Field("ct", places.bare, holds=Holds.CITY),
    Field("st", places.state_code, holds=Holds.STATE),
    Field("zp", places.zip_cut_in_the_us, holds=Holds.POSTAL_CODE),
    Field("country", places.country_lower, holds=Holds.COUNTRY),
    Field("external_id", ids.person_id_lower, holds=Holds.CUSTOMER_ID),
    Field("ge", traits.gender),
    Field("db", traits.birth_date),
    plain("client_ip_address", ids.address, Holds.CLIENT_IP),
    plain("client_user_agent", ids.trimmed, Holds.USER_AGENT),
    plain("madid", ids.device_id_lower, Holds.ADVERTISING_ID),
    *(plain(name, ids.trimmed) for name in ("sc_click_id", "sc_cookie1", "idfv")),
    Field("ip/madid", ids.lower),  # both were hashed by version 2 of its API
)
_REDDIT: Final = (
    Field("email", emails.bare, holds=Holds.EMAIL),
    Field("phone_number", phones.with_plus, holds=Holds.PHONE),
    Field("external_id", ids.person_id, holds=Holds.CUSTOMER_ID),
    Field("ip_address", ids.address, holds=Holds.CLIENT_IP),
    Field("idfa", ids.apple_device_id, holds=Holds.IDFA),
    Field("aaid", ids.android_device_id, holds=Holds.GAID),
    plain("user_agent", ids.trimmed, Holds.USER_AGENT),
    plain("uuid", ids.trimmed),
    plain("click_id", ids.trimmed),
)
_HUBSPOT: Final = (
    plain("email", emails.as_written, Holds.EMAIL),
    plain("phone", phones.with_plus, Holds.PHONE),
    plain("firstname", ids.trimmed, Holds.GIVEN_NAME),
    plain("lastname", ids.trimmed, Holds.FAMILY_NAME),
    plain("address", ids.trimmed, Holds.STREET),
    plain("city", ids.trimmed, Holds.CITY),
    plain("state", ids.trimmed, Holds.STATE),
    plain("zip", ids.trimmed, Holds.POSTAL_CODE),
    plain("country", ids.trimmed, Holds.COUNTRY),
    plain("utk", ids.trimmed),
    plain("objectId", ids.trimmed),
)
_SALESFORCE: Final = (
    plain("Email", emails.as_written, Holds.EMAIL),
    plain("Phone", phones.with_plus, Holds.PHONE),
    plain("FirstName", ids.trimmed, Holds.GIVEN_NAME),
    plain("LastName", ids.trimmed, Holds.FAMILY_NAME),
    plain("Street", ids.trimmed, Holds.STREET),
    plain("City", ids.trimmed, Holds.CITY),
    plain("State", ids.trimmed, Holds.STATE),
    plain("PostalCode", ids.trimmed, Holds.POSTAL_CODE),
    plain("Country", ids.trimmed, Holds.COUNTRY),
)

DESTINATIONS: Final[Mapping[str, tuple[Field, ...]]] = {
    "google": _GOOGLE,
    "google_ads": _GOOGLE_ADS,
    "meta": _META,
    "microsoft": _MICROSOFT,
    "linkedin": _LINKEDIN,
    "tiktok": _TIKTOK,
    "pinterest": _PINTEREST,
    "snap": _SNAP,
    "reddit": _REDDIT,
    "hubspot": _HUBSPOT,
    "salesforce": _SALESFORCE,
}
"""Destination type -> its fields."""

OTHER_NAMES: Final = {"google_data_manager": "google"}
"""Of destinations."""

_SHORT_NAMES: Final = {
    "microsoft": {
        "HashedEmailAddress": "em",
        "HashedPhoneNumber": "ph",
        "MicrosoftClickId": "msclkid",
    },
    "linkedin": {"li_fat_id": "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "externalId": "externalIds"},
    "pinterest": {"epik": "click_id"},
    "snap": {"ScCid": "sc_click_id", "_scid": "sc_cookie1"},
    "reddit": {"rdt_cid": "click_id", "_rdt_uuid": "uuid", "gaid": "aaid"},
    "hubspot": {"hubspotutk": "utk"},
}
"""Further names of fields, for a person who looks one up."""

_NO_WORD: Final = re.compile(r"[^a-z0-9]")
_DIGEST: Final = "sha256"


_OF_SYSTEMS: Final[Mapping[Holds, Rule]] = {Holds.IDFA: ids.apple_device_id, Holds.GAID: ids.android_device_id}
"""How each system writes its ids: events say of which one is, also where a destination has one field for both."""


def _of_system(either: Field, written: Rule) -> Field:
    """Returns a field that takes advertising ids of both systems, for those of one."""

    def rule(value: str, region: str) -> Forms:
        forms = written(value, region)
        return forms if isinstance(forms, NoKey) else either.rule(forms[0], region)

    return replace(either, rule=rule)


def _spelt(name: str) -> str:
    return _NO_WORD.sub("", name.lower())


def _index(destination: str) -> Mapping[str, Field]:
    fields = DESTINATIONS[destination]
    by_name = {field.name: field for field in fields}
    own = {field.holds.value: field for field in fields if field.holds is not None}
    if (either := own.get(Holds.ADVERTISING_ID.value)) is not None:
        own |= {holds.value: _of_system(either, rule) for holds, rule in _OF_SYSTEMS.items()}
    short = {short: by_name[name] for short, name in _SHORT_NAMES.get(destination, {}).items()}
    return {_spelt(name): field for name, field in (own | short | by_name).items()}


_FIELDS: Final = {destination: _index(destination) for destination in DESTINATIONS}


def find_field(destination: str, name: str) -> tuple[Field, bool] | None:
    """Returns a field, and whether its name says that the value was hashed by the caller; None: there is none.

    Args:
        destination: One of `DESTINATIONS`.
        name: Of the field, with "_sha256" behind it for a value that was hashed.

    >>> [(field.name, is_digest) for field, is_digest in filter(None, [find_field("meta", "email_sha256")])]
    [('em', True)]
    """
    fields, spelt = _FIELDS[destination], _spelt(name)
    if spelt in fields:
        return fields[spelt], False
    if spelt.endswith(_DIGEST) and spelt.removesuffix(_DIGEST) in fields:
        return fields[spelt.removesuffix(_DIGEST)], True
    return None
