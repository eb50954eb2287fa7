"""A link loses the same, and says the same, whether it is read quickly or with care.

Whoever names a user before the host is read with care, and loses the user: what is left is the link without one.
"""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tributary_domain.urls import Url, read_url

_SOMEBODYS = (
    *("203.0.113.7", "2001:db8::7", "00491712345678", "+491712345678", "ann@example.com", "YW5uQGV4YW1wbGUuY29t"),
    *("b4c9a289323b21a01c3e940f150eb9b8", "b4c9a289323b21a01c3e940f150eb9b8" * 2, "tel:01712345678"),
    *("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2ln", "Mozilla/5.0 (X11; Linux x64)", "email=ann", "mail:ann"),
)
_NOBODYS = ("spring", "Red", "10.2.1.4", "1000", "2026-11-27", "12:30:45", "https://x.example/a", "/img/a.png", "")
_WITHIN = (
    *("{}", "/u/{}", "/u/{}/x", "https://x.example/u/{}", "https://x.example/?q={}", "?q={}", "/a?q={}&b=1", "q={}"),
    *("u:{}", "a,{}", "{},b", "x|{}", "/email/{}", "/docs/{}", "version={}", '{{"k":"{}"}}', "a {}", "%20{}"),
)
_NAMES = ("next", "u", "utm_content", "utm_source", "gclid", "order_id", "app_version", "a[b]", "x{name", "email")


def _encoded(text: str, rounds: int) -> str:
    return _encoded(quote(text, safe=""), rounds - 1) if rounds else text


def _link(path: str, pairs: list[str], fragment: str) -> str:
    return f"s.example/r/{path}{'?' if pairs else ''}{'&'.join(pairs)}{'#' if fragment else ''}{fragment}"


_TEXTS = st.builds(
    lambda within, said, rounds: _encoded(within.format(said), rounds),
    st.sampled_from(_WITHIN),
    st.one_of(st.sampled_from(_SOMEBODYS + _NOBODYS), st.text("aZ0.:/%=,;|+-2F3", max_size=12)),
    st.integers(0, 3),
)
_PAIRS = st.one_of(_TEXTS, st.builds("{}={}".format, st.sampled_from(_NAMES), _TEXTS))
_LINKS = st.builds(_link, st.one_of(st.just("p"), _TEXTS), st.lists(_PAIRS, max_size=3), st.one_of(st.just(""), _TEXTS))


def _said(url: Url) -> tuple[object, ...]:
    return url.cleaned, url.host, url.path, url.utm, url.click_ids


@given(_LINKS)
@example("s.example/p?next=email=ann")
@example("s.example/p?d=email%3Aann")
@example("s.example/p?x{name=Ann")
@example("s.example/a%2C00491712345678")
@example("s.example/203%2E0%2E113%2E7")
@settings(max_examples=300)
def test_quickly_and_with_care(link: str) -> None:
    assert _said(read_url(f"https://{link}")) == _said(read_url(f"https://@{link}"))
