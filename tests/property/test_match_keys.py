"""Whatever is sent as a match key: it is a key that stays one, or none with a reason; never an error of ours."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tributary_domain.match_keys.fields import Field
from tributary_domain.match_keys.keys import MatchKey, NoKey, digest
from tributary_domain.match_keys.phones import digits_only
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


@given(value=st.one_of(VALUES, st.from_regex(r"\A[0-9A-Fa-f]{63,65}\Z")))
def test_a_hash_of_a_caller_s_is_one_in_lower_case_or_none(value: str) -> None:
    for fields in DESTINATIONS.values():
        for field in fields:
            key = field.key_of_digest(value)
            assert isinstance(key, NoKey) or HASH.fullmatch(key.sent)
