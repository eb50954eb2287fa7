"""Page and referrer URLs -> host, path, campaign parameters and click ids; and the URL without personal data.

Most events carry a query string, so it is walked once for all three. The one rule: what is personal is cut out before
anything is stored, and what is cut is never needed to classify.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from tributary_domain.click_id_proofs import names_a_click
from tributary_domain.encoded_addresses import holds_encoded_address, holds_encoded_part
from tributary_domain.personal import AT_SIGN, PHONE, holds_email
from tributary_domain.personal_devices import holds_device
from tributary_domain.personal_names import plainer
from tributary_domain.personal_values import agent_begins
from tributary_domain.sites import plain_host
from tributary_domain.texts import CLICK_ID_CHARACTERS
from tributary_domain.url_parameters import CLICK, MAIL, MAILERS, PARAMETERS, PERSONAL, UTM, find_parameter
from tributary_domain.url_parts import (
    DOUBTFUL,
    clean_path,
    holds_agent,
    holds_inner,
    holds_user,
    is_telling_campaign_part,
    is_telling_pair,
    may_hold_part,
    telling_parts,
)

_KEPT_URL_CHARACTERS: Final = 256

_SITES: Final = frozenset({"http", "https", "android-app", "ios-app"})
"""Schemes of what a visitor may come from."""

_HOST_CHARACTERS: Final = 262
"""No host has more, with a port; one of thousands of labels would cost milliseconds."""
_IN_NO_HOST: Final = re.compile(r"[\s#%/<>?@\[\\\]^|]")
"""What no host has in it."""

_ENCODED: Final = re.compile(
    r"%(?:25)*(?:[46][0-9a-fA-F]|[57][0-9aA]|22|26|2[bB][1-9]|3[0-9bBdD]|[uU]0040|[eE][fF]|23(?:0*64|[xX]0*40)|"
    r"3[aA](?!(?:/|%(?:25)*2[fF]){2}))"
)
"""What every percent-encoded spelling of an `@`, and of a parameter or a phone number within a value, has; and encoded
letters and digits, which hide something: an `@` may be written %25%34%30. The `:` of a link within hides nothing."""
_IN_FULL_WIDTH: Final = frozenset("\uff20\ufe6b\uff0b")
"""An `@`, and the "+" of a phone number, as wide as a letter of Chinese."""
_REFERENCE: Final = re.compile(r"&(?:amp;)*(?:#0*64|#x0*40|commat);", re.IGNORECASE)
"""An `@` as HTML writes it."""
_SIGN: Final = re.compile(r"(&amp;|[&;?])")
_FRAGMENT_PART: Final = re.compile(r"[/?]")


class Url(NamedTuple):
    """A URL that was read."""

    host: str
    """As `plain_host` writes it, without port and user; empty if there is none."""
    path: str
    """With its leading slash; without personal data."""
    utm: dict[str, str]
    """Name without "utm_" -> value. Shared: never changed."""
    click_ids: dict[str, str]
    """Family, as the field of `event.v1.ClickIds` -> value. Shared: never changed."""
    cleaned: str
    """The URL without personal data."""
    is_cut: bool
    """Whether `cleaned` is another text than the one that was read."""
    mailer: str = ""
    """Who sent the mail whose link this is, where a personal parameter says so; empty otherwise."""
    campaign: str = ""
    """`utm` as one text: URLs with the same text have the same parameters."""


_url: Final[Callable[..., Url]] = tuple.__new__  # in place of the one that takes arguments: half the time
_NOTHING: Final[dict[str, str]] = {}
_CUT: Final[dict[str, str]] = {}
NO_URL: Final = Url("", "", _NOTHING, _NOTHING, "", False)
_NO_PAGE: Final = NO_URL._replace(is_cut=True)
"""What was a person's address or user agent in the place of one."""


def read_url(url: str) -> Url:
    """Reads a page URL.

    >>> url = read_url("https://Shop.example/p?utm_source=news&gclid=Cj0&email=a%40b.de#top")
    >>> url.host, url.path, url.utm, url.click_ids
    ('shop.example', '/p', {'source': 'news'}, {'gclid': 'Cj0'})
    >>> url.cleaned
    'https://Shop.example/p?utm_source=news&gclid=Cj0#top'
    """
    if not url:
        return NO_URL
    bare = url.strip()
    if len(bare) < len(url):
        return read_url(bare)
    if "://" not in url and _is_device(url):
        return _NO_PAGE
    if ";" in url or "@" in url or "\\" in url or ("+" in url and PHONE.search(url) is not None):
        return _read_carefully(url)
    if ("%" in url and _ENCODED.search(url) is not None) or not (url.isascii() or _IN_FULL_WIDTH.isdisjoint(url)):
        return _read_carefully(url)
    if "#" in url:
        before, _, fragment = url.partition("#")
        if "=" in fragment or may_hold_part(fragment):
            return _read_carefully(url)
        read = read_url(before)
        return read._replace(cleaned=f"{read.cleaned}#{fragment}")
    address, _, query = url.partition("?")
    _, separator, rest = address.partition("://")
    authority, slash, path = (rest if separator else address).partition("/")
    if "=" in path or "?" in query or may_hold_part(path):
        return _read_carefully(url)
    if not query:
        return Url(_host(authority), slash + path, _NOTHING, _NOTHING, url, False)
    campaign: list[str] = []
    click_ids: dict[str, str] = {}
    pairs = query.split("&")
    if ":" in query or query.count("=") != len(pairs):  # a value may hold a parameter of its own
        return _read_carefully(url)
    known = PARAMETERS
    for pair in pairs:
        name, _, value = pair.partition("=")
        found = known.get(name) or find_parameter(name)
        if found is None:
            if is_telling_pair(name, value) or (not pair.islower() and _is_encoded(pair, value)):
                return _read_carefully(url)
            if not name.isidentifier():
                return _read_carefully(url)
            continue
        if not value:
            continue
        kind, family = found
        if kind is UTM:
            campaign.append(pair)
        elif kind is PERSONAL or kind is MAIL:
            return _read_carefully(url)
        else:
            if "%" in value or "+" in value:
                value = unquote_plus(value).strip()
            if 0 < len(value) <= CLICK_ID_CHARACTERS and names_a_click(value):
                click_ids[family] = value
    said = "&".join(campaign)
    utm = _read_campaign(said)
    if utm is _CUT:
        return _read_carefully(url)
    return _url(Url, (_host(authority), slash + path, utm, click_ids, url, False, "", said))


@lru_cache(8_192)
def _read_campaign(said: str) -> dict[str, str]:
    """Reads campaign parameters, of which a few combinations account for most: they are remembered.

    Returns:
        `_CUT` where one of them is somebody's by what it looks like.
    """
    utm: dict[str, str] = {}
    for pair in said.split("&") if said else ():
        name, _, value = pair.partition("=")
        found = PARAMETERS.get(name) or find_parameter(name)
        if is_telling_campaign_part(found[1] if found is not None else "", value):
            return _CUT
        if found is not None:
            utm[found[1]] = unquote_plus(value)[:CLICK_ID_CHARACTERS]
    return utm


def _read_carefully(url: str) -> Url:
    """Reads a URL that may hold personal data, or has a fragment."""
    said = url
    if "64;" in said or "40;" in said or "commat;" in said:
        said = _REFERENCE.sub("@", said)
    scheme, separator, rest = said.partition("://")
    if not scheme.strip().replace("-", "").isalnum():  # it is further on, of a link within this one
        scheme, separator, rest = "", "", said
    before, hash_sign, fragment = rest.partition("#")
    address, mark, query = before.partition("?")
    authority, slash, path = address.partition("/")
    utm: dict[str, str] = {}
    click_ids: dict[str, str] = {}
    mailer = ""
    kept: list[str] = []
    for sign, pair in _pairs(query) if query else ():
        kind, name, value = _judge(pair)
        mailer = mailer or (MAILERS.get(name, "") if value else "")
        if kind is PERSONAL:
            continue
        kept.append(f"{sign if kept else ''}{pair}")
        _note(kind, name, value, utm, click_ids)
    if fragment:
        parts = _FRAGMENT_PART.split(fragment)
        found = [_judge(pair) for part in parts for _, pair in _pairs(part)]
        is_somebodys = any(kind is PERSONAL for kind, _, _ in found) or holds_encoded_part(fragment)
        if is_somebodys or telling_parts(parts) or holds_agent(fragment):
            hash_sign = fragment = ""
        for kind, name, value in found:  # of the routes of a page that is an app: what its query says goes before
            if not (name in utm if kind is UTM else name in click_ids):
                _note(kind, name, value, utm, click_ids)
    authority = _without_user(authority)
    if PHONE.search(authority) is not None:
        authority = "-"
    path = clean_path(path)
    rest = f"{authority}{slash}{path}{mark if kept or (mark and not query) else ''}{''.join(kept)}{hash_sign}{fragment}"
    cleaned = f"{scheme}{separator}{rest}"
    return Url(
        _host(authority), slash + path, utm, click_ids, cleaned, cleaned != url, mailer, repr(utm) if utm else ""
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    """Returns (the sign before it, the pair) of a query.

    A `;` and a second `?` separate where what follows is a parameter that is known; elsewhere they belong to a value.
    """
    pieces = _SIGN.split(query)
    pairs = [("", pieces[0])]
    for sign, pair in zip(pieces[1::2], pieces[2::2], strict=True):
        if sign[0] == "&" or find_parameter(pair.partition("=")[0]) is not None:
            pairs.append((sign, pair))
        else:
            before, said = pairs[-1]
            pairs[-1] = before, f"{said}{sign}{pair}"
    return pairs


def _judge(pair: str) -> tuple[str, str, str]:
    """Returns (what a parameter is, its name, its value): personal where its name or anything in it says so."""
    said, _, value = pair.partition("=")
    found = PARAMETERS.get(said) or find_parameter(said)
    kind, name = found or ("", "")
    if kind is PERSONAL:
        if value or "%3" in pair:  # email%3Dann is a name and a value, to whoever decodes it
            return kind, name, value
        kind = ""
    if (kind is not CLICK and _is_encoded(pair, value)) or (
        is_telling_campaign_part(name, value) if kind is UTM else not kind and is_telling_pair(said, value)
    ):
        return PERSONAL, name, value
    if DOUBTFUL.search(value) is None and (kind or DOUBTFUL.search(said) is None):
        return kind, name, value
    texts = plainer(pair)
    plain = texts[-1]
    # As it stands too: a "+" that is meant, as in ann+shop@example.com, is a blank only to whoever decodes it.
    if holds_email(pair) or holds_email(plain) or holds_user(plain):
        return PERSONAL, name, value
    if kind is not CLICK and (
        any(PHONE.search(text) is not None for text in texts) or holds_inner(plain, is_campaign=kind is UTM)
    ):
        return PERSONAL, name, value
    return kind, name, value


def _is_encoded(pair: str, value: str) -> bool:
    """Tells whether a parameter is an address in base64, or has one as a part of a path of its own."""
    return holds_encoded_address(value) or holds_encoded_part(pair)


def _note(kind: str, name: str, value: str, utm: dict[str, str], click_ids: dict[str, str]) -> None:
    """Takes down a campaign's parameter or a click id."""
    if not value or (kind is not UTM and kind is not CLICK):
        return
    if "%" in value or "+" in value:
        value = unquote_plus(value)
    if kind is UTM:
        utm[name] = value[:CLICK_ID_CHARACTERS]
    elif 0 < len(value := value.strip()) <= CLICK_ID_CHARACTERS and names_a_click(value):
        click_ids[name] = value


@lru_cache(8_192)
def _host(authority: str) -> str:
    """Returns the host without its port, as `plain_host` writes it and without the dot of the root."""
    host = authority.strip()
    if "%" in host:
        host = unquote_plus(host)
    if len(host) > _HOST_CHARACTERS:
        return ""
    host = host.lower()
    if ":" in host:
        host = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return plain_host(host.rstrip("."))


@lru_cache(8_192)
def _read_kept(url: str) -> Url:
    return _read_site(url)


def read_referrer(url: str) -> Url:
    """Reads a referrer, of which a few account for most: short ones are remembered.

    What is no site has no host: "about:blank", "null", an extension of the browser. Nobody came from there.

    >>> [read_referrer(url).host for url in ("about:blank", "null", "//www.example.org/x", "http://intranet/")]
    ['', '', 'www.example.org', 'intranet']
    """
    return _read_kept(url) if len(url) <= _KEPT_URL_CHARACTERS else _read_site(url)


def _is_device(url: str) -> bool:
    """Tells whether a text without a scheme is no page but an address or a user agent; a path may hold versions."""
    return agent_begins(url.replace("+", " ")) == 0 if "/" in url else holds_device(url)


def _read_site(url: str) -> Url:
    if url.startswith("//"):
        read = read_url(f"https:{url}")
        return read._replace(cleaned=read.cleaned.removeprefix("https:"))
    read = read_url(url)
    scheme, separator, _ = url.partition("://")
    is_site = scheme.strip().lower() in _SITES if separator else "." in read.host
    return read if is_site and _IN_NO_HOST.search(read.host) is None else read._replace(host="")


def _without_user(authority: str) -> str:
    return AT_SIGN.split(authority)[-1]
