"""URLs are read once, and nothing personal stays in them."""

from __future__ import annotations

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
    ],
)
def test_the_host_is_found(url: str, host: str) -> None:
    assert read_url(url).host == host


def test_an_e_mail_in_a_campaign_parameter_is_not_taken() -> None:
    assert read_url("https://s.example/?utm_source=n&utm_content=ann%40example.com").utm == {"source": "n"}


def test_sscid_is_not_snapchats() -> None:
    assert read_url("https://s.example/?sscid=1&ScCid=2").click_ids == {"sscid": "1", "sc_cid": "2"}


def test_a_click_id_that_is_too_long_is_left_out() -> None:
    assert read_url("https://s.example/?gclid=" + "x" * 600).click_ids == {}
