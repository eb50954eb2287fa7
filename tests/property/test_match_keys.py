"""Whatever is sent as a match key: it is a key that stays one, or none with a reason; never an error of ours."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tributary_domain.match_keys.fields import Field
from tributary_domain.match_keys.keys import MatchKey, NoKey, digest
from tributary_domain.match_keys.phones import digits_only, with_plus
from tributary_domain.match_keys.tables import DESTINATIONS

HASH = re.compile(r"[0-9a-f]{64}")
RULES = list({(field.rule, field.is_hashed): field for fields in DESTINATIONS.values() for field in fields}.values())
REGIONS = st.sampled_from(["", "US", "DE", "GB", "IT", "AQ"])
LIKELY = st.one_of(
    st.from_regex(r"\A[ +(]?[0-9]{0,4}[) -]?[0-9 ./-]{3,14}( ext 1)?\Z"),
    st.from_regex(r"\A *[A-Za-z.+ü]{1,9}@[A-Za-z.@]{1,9} *\Z"),
    st.from_regex(r"\A(Mrs\. )?[\w' -]{1,12}(, Jr\.)?\Z"),
    st.from_regex(r"\A[0-9]{4}-?[0-9]{2}-?[0-9]{2}\Z"),
    st.from_regex(r"\Afb\.[0-9]\.[0-9]{1,4}\.[A-Za-z.]{0,6}\Z"),
)
VALUES = st.one_of(st.text(max_size=20), LIKELY)


def forms(key: MatchKey) -> list[MatchKey]:
    return [key, *key.also]


@settings(max_examples=500)
@given(field=st.sampled_from(RULES), value=VALUES, region=REGIONS)
def test_a_value_is_a_key_that_stays_one_or_none(field: Field, value: str, region: str) -> None:
    key = field.key(value, region)
    if isinstance(key, NoKey):
        assert key.reason
        return
    for form in forms(key):
        assert form.normalized
        assert (form.sha256 is not None) == field.is_hashed
        assert form.sent == form.sha256 or not field.is_hashed
        if field.is_hashed and field.hashed_form is None:
            assert form.sha256 == digest(form.normalized)
    # Without its plus a number may be read as a national one.
    plus = "+" if field.rule is digits_only else ""
    again = field.key(plus + key.normalized, region)
    assert isinstance(again, MatchKey)
    assert again.sent == key.sent


REGIONS_OF_THE_WORLD = sorted(phonenumbers.SUPPORTED_REGIONS)


@pytest.mark.parametrize("exchange", ["234", "555", "912"])
def test_no_number_of_north_america_is_a_stranger_s_abroad(exchange: str) -> None:
    for area in range(200, 1_000):
        national = f"{area}{exchange}1567"
        for written in (national, f"({area}) {exchange}-1567", f"{area}-{exchange}-1567", f"{area}.{exchange}.1567"):
            assert isinstance(with_plus(written, ""), NoKey), written
        full = with_plus(f"1 ({area}) {exchange}-1567", "")
        assert isinstance(full, NoKey) or full == (f"+1{national}",)
        at_home = with_plus(national, "US")
        assert isinstance(at_home, NoKey) or at_home[0].startswith("+1"), "mistyped, and not somebody's in Estonia"


def test_no_national_number_of_the_world_is_a_stranger_s() -> None:
    for region in REGIONS_OF_THE_WORLD:
        number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        number = number or phonenumbers.example_number(region)
        own = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        significant = phonenumbers.national_significant_number(number)
        for written in {significant, phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)}:
            without_country = with_plus(written, "")
            as_if_in_full = len(significant) == 11 and significant.startswith("1")  # only China's
            assert isinstance(without_country, NoKey) or without_country == (own,) or as_if_in_full, written
            assert with_plus(written, region) == (own,), written
        assert with_plus(f"00{own[1:]}", "") == (own,)


@given(value=st.one_of(VALUES, st.from_regex(r"\A[0-9A-Fa-f]{63,65}\Z")))
def test_a_hash_of_a_caller_s_is_one_in_lower_case_or_none(value: str) -> None:
    for fields in DESTINATIONS.values():
        for field in fields:
            key = field.key_of_digest(value)
            assert isinstance(key, NoKey) or HASH.fullmatch(key.sent)
