"""A host belongs to the site that somebody registered."""

from __future__ import annotations

import pytest

from tributary_domain.sites import cookie_domain, plain_host, site_of


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("shop.example", "shop.example"),
        ("a.b.shop.example", "shop.example"),
        ("www.shop.com.br", "shop.com.br"),
        ("com.br", "com.br"),
        ("localhost", "localhost"),
        ("", ""),
        ("a.b.myshopify.com", "b.myshopify.com"),
        ("bucket.s3.amazonaws.com", "bucket.s3.amazonaws.com"),
        ("a.shop.web.app", "shop.web.app"),
        ("www.shop.co.za", "shop.co.za"),
        ("www.shop.kyoto.jp", "shop.kyoto.jp"),
        ("a.b.kawasaki.jp", "a.b.kawasaki.jp"),
        ("www.city.kawasaki.jp", "city.kawasaki.jp"),
        ("a.shop.xn--p1ai", "shop.xn--p1ai"),
        ("www.shop.xn--55qx5d.cn", "shop.xn--55qx5d.cn"),
        ("web.app", "web.app"),
        ("a.b.wordpress.com", "b.wordpress.com"),
        ("wordpress.com", "wordpress.com"),
        ("a..example", "a..example"),
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_site_is_what_somebody_could_register(host: str, site: str) -> None:
    assert site_of(host) == site


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.shop.co.uk", "shop.co.uk"),
        ("a.b.wordpress.com", "wordpress.com"),
        ("localhost", "localhost"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_cookies_are_kept_for_what_the_list_of_browsers_says(host: str, domain: str) -> None:
    assert cookie_domain(host) == domain


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("shop.example", "shop.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("google。com", "google.com"),
        ("-ü-.example", "-ü-.example"),
        ("a_b.bücher.example", "a_b.xn--bcher-kva.example"),
        ("www-shop-example.translate.goog", "www.shop.example"),
        ("a--b-example.cdn.ampproject.org", "a-b.example"),
        ("cdn.ampproject.org", "cdn.ampproject.org"),
        ("0123456789abcdef.cdn.ampproject.org", "0123456789abcdef.cdn.ampproject.org"),
    ],
)
def test_a_host_is_written_as_browsers_send_it_and_a_copy_is_its_publishers(host: str, plain: str) -> None:
    assert plain_host(host) == plain
