"""URLs are read once, and nothing personal stays in them."""

from __future__ import annotations

from time import process_time

import pytest

from tributary_domain.urls import read_url


@pytest.mark.parametrize(
    ("url", "cleaned"),
    [
        pytest.param("https://s.example/p?a=1&b=2#x", "https://s.example/p?a=1&b=2#x", id="nothing personal"),
        pytest.param("https://s.example/p?mc_eid=1&a=1", "https://s.example/p?a=1", id="Mailchimp subscriber"),
        pytest.param("https://s.example/p?MKT_TOK=1", "https://s.example/p", id="Marketo token, upper case"),
        pytest.param("https://s.example/p?_kx=1&a=1", "https://s.example/p?a=1", id="Klaviyo"),
        pytest.param("https://s.example/p?who=a%40b.de&a=1", "https://s.example/p?a=1", id="encoded e-mail"),
        pytest.param("https://s.example/p?who=a%2540b.de&a=1", "https://s.example/p?a=1", id="e-mail encoded twice"),
        pytest.param("https://s.example/p?who=a%252540b.de", "https://s.example/p", id="e-mail encoded thrice"),
        pytest.param("https://s.example/u/a%2540b.de", "https://s.example/u/-", id="e-mail encoded twice in the path"),
        pytest.param("https://s.example/p?who=a@b.de", "https://s.example/p", id="plain e-mail"),
        pytest.param("https://s.example/u/a@b.de/x", "https://s.example/u/-/x", id="e-mail in the path"),
        pytest.param("https://ann:pw@s.example/p", "https://s.example/p", id="user and password"),
        pytest.param("https://s.example/#access_token=1", "https://s.example/", id="token in the fragment"),
        pytest.param("https://s.example/@ann/post", "https://s.example/@ann/post", id="a handle is no e-mail"),
        pytest.param("https://s.example/p?E%2Dmail=x&a=1", "https://s.example/p?a=1", id="encoded name of a parameter"),
        pytest.param("https://s.example/p?w=a%u0040b.de&a=1", "https://s.example/p?a=1", id="JavaScript's escape"),
        pytest.param("https://s.example/p?w=a%26%2364%3Bb.de&a=1", "https://s.example/p?a=1", id="character reference"),
        pytest.param("https://s.example/p?w=a%EF%BC%A0b.de&a=1", "https://s.example/p?a=1", id="full-width at sign"),
        pytest.param("https://s.example/p?w=a@b%2Ede&a=1", "https://s.example/p?a=1", id="encoded dot"),
        pytest.param("https://s.example/p?w=a@b%C3%BCcher.de&a=1", "https://s.example/p?a=1", id="IDN, encoded"),
        pytest.param("https://s.example/p?w=a%40例子.中国&a=1", "https://s.example/p?a=1", id="IDN, plain"),
        pytest.param(
            "https://s.example/p?w=a@%D0%BF.%D1%80%D1%84&a=1", "https://s.example/p?a=1", id="IDN, all encoded"
        ),
        pytest.param("https://s.example/p?w=a@x.xn--p1ai&a=1", "https://s.example/p?a=1", id="IDN, punycode"),
        pytest.param("https://s.example/p?gclid=a%40b.de&a=1", "https://s.example/p?a=1", id="as a click id"),
        pytest.param("https://s.example/p?at=12%40home", "https://s.example/p?at=12%40home", id="no domain, no e-mail"),
        pytest.param("https://s.example/p?email=", "https://s.example/p?email=", id="empty parameter"),
    ],
)
def test_personal_parts_are_cut(url: str, cleaned: str) -> None:
    assert read_url(url).cleaned == cleaned
    assert read_url(cleaned).cleaned == cleaned


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Shop.Example:8443/p", "shop.example"),
        ("shop.example/p", "shop.example"),
        ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ("https://shop.example?utm_source=x", "shop.example"),
        ("/p?x=1", ""),
        ("", ""),
        ("https://", ""),
        ("https://shop.example./p", "shop.example"),
        ("https://[2001:db8::1]:8443/p", "2001:db8::1"),
    ],
)
def test_the_host_is_found(url: str, host: str) -> None:
    assert read_url(url).host == host


def test_an_e_mail_in_a_campaign_parameter_is_not_taken() -> None:
    assert read_url("https://s.example/?utm_source=n&utm_content=ann%40example.com").utm == {"source": "n"}


def test_an_e_mail_in_a_click_id_is_not_taken() -> None:
    assert read_url("https://s.example/?gclid=ann%40example.com&msclkid=m").click_ids == {"msclkid": "m"}


@pytest.mark.parametrize(
    "url", ["https://s.example/?" + "%40" * 1360, "https://s.example/" + "a@" * 2000, "a" * 4090 + "/@"]
)
def test_a_hostile_url_costs_little(url: str) -> None:
    started = process_time()
    read_url(url)
    assert process_time() - started < 0.25


@pytest.mark.parametrize(("parameter", "mailer"), [("mkt_tok", "marketo"), ("mc_eid", "mailchimp"), ("_kx", "klaviyo")])
def test_what_only_a_mailing_carries_is_cut_and_says_who_sent_it(parameter: str, mailer: str) -> None:
    url = read_url(f"https://s.example/?{parameter}=secret")
    assert (url.mailer, url.cleaned) == (mailer, "https://s.example/")


def test_sscid_is_not_snapchats() -> None:
    assert read_url("https://s.example/?sscid=1&ScCid=2").click_ids == {"sscid": "1", "sc_cid": "2"}


def test_a_click_id_that_is_too_long_is_left_out() -> None:
    assert read_url("https://s.example/?gclid=" + "x" * 600).click_ids == {}
