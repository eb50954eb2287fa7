"""Page and referrer URLs -> host, path, campaign parameters and click ids; and the URL without personal data.

Most events carry a query string, so it is walked once for all three. The one rule: what is personal is cut out before
anything is stored, and what is cut is never needed to classify.
"""

from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from tributary_domain.personal import IN_URL, holds_address, may_hold_address
from tributary_domain.texts import CLICK_ID_CHARACTERS

UTM: Final = "utm"
CLICK: Final = "click"
PERSONAL: Final = "personal"
MAIL: Final = "mail"

_UTM_PARAMETERS = "utm_source utm_medium utm_campaign utm_term utm_content utm_id"
_CLICK_ID_PARAMETERS = """
    gclid gbraid wbraid gad_source gad_campaignid gclsrc dclid srsltid fbclid msclkid ttclid li_fat_id twclid epik
    rdt_cid irclickid yclid awc cjevent sscid tblci dicbo qclid vmcid mc_cid igshid
"""
_RENAMED_CLICK_IDS = {
    "sccid": (CLICK, "sc_cid"),
    "ransiteid": (CLICK, "ran_site_id"),
    "_hsenc": (CLICK, "hsenc"),
    "igsh": (CLICK, "igshid"),
    "oborigurl": (CLICK, "dicbo"),
}
_PERSONAL_PARAMETERS = """
    mc_eid mkt_tok _kx email e-mail e_mail mail email_address emailaddress useremail user_email phone phone_number tel
    telephone mobile firstname first_name lastname last_name surname birthdate dob ssn address street token access_token
    id_token refresh_token auth auth_token authtoken session sessionid session_id jsessionid phpsessid password passwd
    pwd secret api_key apikey jwt otp vero_id ck_subscriber_id subscriber_id
"""


_MAILERS: Final = {"_hsmi": "hubspot", "mc_eid": "mailchimp", "mkt_tok": "marketo", "_kx": "klaviyo", "vero_id": "vero"}
"""Parameter that only the links of a mailing carry -> who sends it. Personal ones are cut; whose they are stays."""

_PARAMETERS: Final[dict[str, tuple[str, str]]] = {
    **{name: (UTM, name.removeprefix("utm_")) for name in _UTM_PARAMETERS.split()},
    **{name: (CLICK, name) for name in _CLICK_ID_PARAMETERS.split()},
    **_RENAMED_CLICK_IDS,
    **{name: (PERSONAL, name) for name in _PERSONAL_PARAMETERS.split()},
    "_hsmi": (MAIL, "_hsmi"),
}
"""Parameter, in lower case -> (what it is, its name)."""

_KEPT_URL_CHARACTERS: Final = 256


class Url(NamedTuple):
    """A URL that was read."""

    host: str
    """In lower case, without port and user; empty if there is none."""
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


_NOTHING: Final[dict[str, str]] = {}
NO_URL: Final = Url("", "", _NOTHING, _NOTHING, "", False)


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
    if "#" in url or may_hold_address(url):
        return _read_carefully(url)
    address, _, query = url.partition("?")
    _, separator, rest = address.partition("://")
    authority, slash, path = (rest if separator else address).partition("/")
    if not query:
        return Url(_host(authority), slash + path, _NOTHING, _NOTHING, url, False)
    campaign: list[str] = []
    click_ids: dict[str, str] = {}
    known = _PARAMETERS
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        found = known.get(name) or _find(name)
        if found is None or not value:
            continue
        kind, family = found
        if kind is UTM:
            campaign.append(pair)
        elif kind is PERSONAL or kind is MAIL:
            return _read_carefully(url)
        else:
            if "%" in value or "+" in value:
                value = unquote_plus(value)
            if len(value) <= CLICK_ID_CHARACTERS:
                click_ids[family] = value
    said = "&".join(campaign)
    return Url(_host(authority), slash + path, _read_campaign(said), click_ids, url, False, "", said)


@lru_cache(8_192)
def _read_campaign(said: str) -> dict[str, str]:
    """Reads campaign parameters, of which a few combinations account for most: they are remembered."""
    utm: dict[str, str] = {}
    for pair in said.split("&") if said else ():
        name, _, value = pair.partition("=")
        found = _PARAMETERS.get(name) or _find(name)
        if found is not None:
            utm[found[1]] = unquote_plus(value)[:CLICK_ID_CHARACTERS]
    return utm


@lru_cache(4_096)
def _find(name: str) -> tuple[str, str] | None:
    """Returns what a parameter is whose name is not written as the table has it."""
    return _PARAMETERS.get(_plain_name(name))


def _read_carefully(url: str) -> Url:
    """Reads a URL that may hold personal data, or has a fragment."""
    is_personal = may_hold_address(url)
    _, separator, rest = url.partition("://")
    if not separator:
        rest = url
    before_fragment, _, fragment = rest.partition("#")
    address, _, query = before_fragment.partition("?")
    authority, slash, path = address.partition("/")
    utm: dict[str, str] = {}
    click_ids: dict[str, str] = {}
    mailer = ""
    if not is_personal and "=" in fragment:
        is_personal = any(map(_is_personal, fragment.split("&")))
    if query:
        known = _PARAMETERS
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            found = known.get(name) or _find(name)
            if found is None or not value:
                continue
            kind, name = found
            if kind is PERSONAL or kind is MAIL:
                is_personal = is_personal or kind is PERSONAL
                mailer = mailer or _MAILERS.get(name, "")
                continue
            if "%" in value or "+" in value:
                value = unquote_plus(value)
            if is_personal and holds_address(value):
                continue
            if kind is UTM:
                utm[name] = value[:CLICK_ID_CHARACTERS]
            elif len(value) <= CLICK_ID_CHARACTERS:
                click_ids[name] = value
    if is_personal:
        authority = _without_user(authority)
    host = _host(authority)
    if is_personal:
        cleaned = _without_personal_data(url)
        path = IN_URL.sub("-", slash + path)
        return Url(host, path, utm, click_ids, cleaned, cleaned != url, mailer, repr(utm))
    return Url(host, slash + path, utm, click_ids, url, False, mailer, repr(utm) if utm else "")


def _plain_name(name: str) -> str:
    """Returns the name of a parameter as the tables have it: in lower case, and decoded where it was encoded."""
    return (unquote_plus(name) if "%" in name else name).lower()


@lru_cache(8_192)
def _host(authority: str) -> str:
    """Returns the host without its port, in lower case and without the dot of the root."""
    host = authority.lower()
    if ":" in host:
        host = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return host.rstrip(".")


@lru_cache(8_192)
def _read_kept(url: str) -> Url:
    return read_url(url)


def read_referrer(url: str) -> Url:
    """Reads a referrer, of which a few account for most: short ones are remembered."""
    return _read_kept(url) if len(url) <= _KEPT_URL_CHARACTERS else read_url(url)


def _without_personal_data(url: str) -> str:
    """Cuts user names, personal parameters, and whatever looks like an e-mail address."""
    rest, hash_sign, fragment = url.partition("#")
    address, mark, query = rest.partition("?")
    scheme, separator, address = address.rpartition("://")
    authority, slash, path = address.partition("/")
    kept = "&".join(pair for pair in query.split("&") if not _is_personal(pair)) if query else ""
    if any(_is_personal(pair) for pair in fragment.split("&")):
        hash_sign = fragment = ""
    authority = _without_user(authority)
    return (
        f"{scheme}{separator}{authority}{slash}{IN_URL.sub('-', path)}{mark if kept else ''}{kept}"
        f"{hash_sign}{IN_URL.sub('-', fragment)}"
    )


def _without_user(authority: str) -> str:
    return authority.replace("%40", "@").rpartition("@")[2]


def _is_personal(pair: str) -> bool:
    name, _, value = pair.partition("=")
    kind, _ = _PARAMETERS.get(_plain_name(name), ("", ""))
    if kind == PERSONAL and value:
        return True
    # As it stands too: a "+" that is meant, as in ann+shop@example.com, is a blank only to whoever decodes it.
    return holds_address(pair) or ("%" in pair and holds_address(unquote_plus(pair)))
