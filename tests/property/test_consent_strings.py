"""Whatever is sent as a consent string: it is read or restricts, and is never an error of ours."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tributary_domain.consent import DENIED, GRANTED, UNSAID
from tributary_domain.consent_strings import said_by
from tributary_domain.tcf import is_tcf

TCF = "CQdZmkAQdZmkAAKACBENCWFgALIAAAAAABpYF5wAQF5gAAAA.IF5wAQF5gAAA.YAAAAAAAAAAA"
GPP = f"DBABMA~{TCF}"
CHARACTERS = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


@st.composite
def broken(draw: st.DrawFn, whole: str) -> str:
    """A string with a few characters exchanged, or cut off."""
    text = list(whole)
    for _ in range(draw(st.integers(0, 4))):
        text[draw(st.integers(0, len(text) - 1))] = draw(CHARACTERS)
    return "".join(text)[: draw(st.integers(0, len(text)))]


STRINGS = st.one_of(broken(TCF), broken(GPP), st.text(CHARACTERS, max_size=80), st.text(max_size=20))


@given(tcf=STRINGS, gpp=STRINGS)
def test_a_string_says_something_or_nothing(tcf: str, gpp: str) -> None:
    said = said_by(tcf, gpp)
    states = (said.ad_user_data, said.ad_personalization)
    if is_tcf(tcf):
        assert UNSAID not in states
    assert said.ad_personalization != GRANTED or said.ad_user_data == GRANTED
    assert said.allows(755) or said.vendors is not None
    assert DENIED in states or said_by(tcf, "").ad_user_data != DENIED, "another string never lifts a denial"
