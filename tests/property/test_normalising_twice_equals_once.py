"""Normalising twice equals once, and no spelling of an identifier breaks it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tributary_domain.normalization import is_blocked, normalize_email
from tributary_domain.personal import holds_email
from tributary_domain.phone_numbers import NoNumber, read_phone
from tributary_domain.urls import read_url

EMAILS = st.from_regex(r"[a-zA-Z0-9.+_-]{1,20}@[a-zA-Z0-9-]{1,10}\.[a-z]{2,4}", fullmatch=True)
URLS = st.one_of(
    st.text(max_size=80),
    st.builds(
        lambda host, path, query, fragment: f"https://{host}/{path}?{query}#{fragment}",
        st.text(max_size=10),
        st.one_of(st.text(max_size=10), EMAILS),
        st.one_of(st.text(max_size=20), EMAILS.map(lambda email: f"a=1&mail={email}&utm_source=x")),
        st.one_of(st.text(max_size=10), EMAILS),
    ),
)


@given(st.one_of(st.text(), EMAILS))
def test_an_e_mail(value: str) -> None:
    email = normalize_email(value)
    assert email is None or normalize_email(email) == email


@given(st.text("+0123456789 ()/-", max_size=20), st.sampled_from([None, "DE", "US"]))
def test_a_phone_number(value: str, region: str | None) -> None:
    phone = read_phone(value, region)
    assert isinstance(phone, NoNumber) or read_phone(phone, None) == phone


@given(st.text())
def test_what_is_blocked_stays_blocked_whatever_stands_around_it(value: str) -> None:
    assert is_blocked(f" '{value}' ") or not is_blocked(value)


@given(URLS)
def test_a_url(url: str) -> None:
    cleaned = read_url(url).cleaned
    assert read_url(cleaned).cleaned == cleaned


@given(
    EMAILS,
    st.sampled_from(["https://{}/p", "https://a.example/{}", "https://a.example/?x={}", "https://a.example/#{}"]),
)
def test_no_e_mail_address_is_left_in_a_url(email: str, template: str) -> None:
    for written in (email, email.replace("@", "%40")):
        assert not holds_email(read_url(template.format(written)).cleaned)


def test_an_address_with_a_plus_is_cut_though_decoding_makes_it_a_blank() -> None:
    assert not holds_email(read_url("https://a.example/?x=+@0.aa").cleaned)
