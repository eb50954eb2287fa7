"""Only a phone number that is whole, and that its country gives out, is somebody's: identifier and match key."""

from __future__ import annotations

import hashlib

import phonenumbers
import pytest

from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_domain.identifiers import Identification, Identity
from tributary_domain.match_keys.keys import NoKey
from tributary_domain.match_keys.phones import digits_only, with_plus
from tributary_domain.numbering_plans import gives_out
from tributary_domain.reasons import ReasonCode


def identify(region: str, **fields: str) -> Identity:
    return Identification(b"pepper", region or None).identify(Identifiers(**fields))


@pytest.mark.parametrize(
    ("value", "region", "expected"),
    [
        pytest.param("030 123456", "DE", "+4930123456", id="a landline with its code"),
        pytest.param("(030) 123456", "DE", "+4930123456", id="in brackets"),
        pytest.param("(30) 123456", "DE", "+4930123456", id="a code without its zero, in brackets"),
        pytest.param("0345 6789", "DE", "+493456789", id="a short one with its code"),
        pytest.param("171 2345678", "DE", "+491712345678", id="a mobile number without its zero"),
        pytest.param("20 7946 0958", "GB", "+442079460958", id="too long to be local"),
        pytest.param("+49 345 6789", "", "+493456789", id="a short one in full"),
        pytest.param("0049 345 6789", "", "+493456789", id="dialled in full"),
        pytest.param("22 12 34 56", "NO", "+4722123456", id="a country without codes"),
        pytest.param("8123 4567", "SG", "+6581234567", id="another"),
        pytest.param("02 1234 5678", "IT", "+390212345678", id="a country whose codes are part of the number"),
        pytest.param("(415) 555-2671", "US", "+14155552671", id="ten digits of North America"),
    ],
)
def test_a_whole_number_is_a_key_and_an_identifier(value: str, region: str, expected: str) -> None:
    assert with_plus(value, region) == (expected,)
    assert digits_only(value, region) == (expected[1:],)
    hashed = hashlib.sha256(expected.encode()).hexdigest()
    assert identify(region, phone=value) == identify(region, phone_sha256=hashed)


@pytest.mark.parametrize(
    ("value", "region"),
    [
        pytest.param("123456", "DE", id="six digits, of no code"),
        pytest.param("345 6789", "DE", id="seven, that begin like Halle's"),
        pytest.param("34567890", "DE", id="eight"),
        pytest.param("123456", "AT", id="six, that begin like Vienna's"),
        pytest.param("1234 5678", "HU", id="eight, that begin like Budapest's"),
        pytest.param("794609", "GB", id="six of London"),
        pytest.param("7946 0958", "GB", id="eight of London"),
        pytest.param("555-2671", "US", id="seven of North America"),
        pytest.param("234 567", "CH", id="six of Switzerland"),
        pytest.param("2345-6789", "BR", id="eight of Brazil"),
        pytest.param("345678", "IT", id="six of Italy"),
        pytest.param("+49 123456", "", id="in full, and given out to nobody"),
        pytest.param("+1 555 2671", "", id="in full, without its code"),
    ],
)
def test_a_local_number_is_a_stranger_s_elsewhere(value: str, region: str) -> None:
    assert isinstance(with_plus(value, region), NoKey)
    assert isinstance(digits_only(value, region), NoKey)
    identity = identify(region, customer_id="k", phone=value)
    assert [token.partition(":")[0] for token in identity.tokens] == ["customer"]
    assert [warning.code for warning in identity.warnings] == [ReasonCode.PHONE_UNREADABLE]


def test_what_is_wrong_with_a_number_is_said_at_the_door() -> None:
    (warning,) = identify("DE", phone="345 6789").warnings
    assert warning.message == (
        "This may be a local phone number, without its area code; send it with its country code. Ignored."
    )


@pytest.mark.parametrize("kind", phonenumbers.PhoneNumberType.values())
def test_a_country_gives_out_what_the_library_says_that_it_does(kind: int) -> None:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is None:
            continue
        national = phonenumbers.national_significant_number(number)
        for digits in (national, national[:-1], national[::-1]):
            other = phonenumbers.PhoneNumber(number.country_code, int(digits))
            if phonenumbers.national_significant_number(other) == digits:
                assert gives_out(number.country_code, digits) == phonenumbers.is_valid_number(other), (region, digits)
