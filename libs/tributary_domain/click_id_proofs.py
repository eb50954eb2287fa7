"""What a click id proves: that somebody paid for the link, or only where the link stood.

The one rule: a family stands in one of the two tables, and the first of a table decides where a link carries several.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from tributary_domain.channel_lists import Category
from tributary_domain.normalization import is_blocked


class Family(NamedTuple):
    """What a click id of a family proves."""

    source: str
    medium: str
    category: Category = Category.NONE
    takes_utm_source: bool = False
    """Whether UTM names the source better: the partner behind an affiliate network."""


PROOFS: Final[Mapping[str, Family]] = {
    "gclid": Family("google", "cpc", Category.SEARCH),
    "wbraid": Family("google", "cpc", Category.SEARCH),
    "gbraid": Family("google", "cpc", Category.SEARCH),
    "msclkid": Family("bing", "cpc", Category.SEARCH),
    "dclid": Family("campaign manager", "display"),
    "yclid": Family("yandex", "cpc", Category.SEARCH),
    "ttclid": Family("tiktok", "cpc", Category.SOCIAL),
    "li_fat_id": Family("linkedin", "cpc", Category.SOCIAL),
    "twclid": Family("twitter", "cpc", Category.SOCIAL),
    "epik": Family("pinterest", "cpc", Category.SOCIAL),
    "sc_cid": Family("snapchat", "cpc", Category.SOCIAL),
    "rdt_cid": Family("reddit", "cpc", Category.SOCIAL),
    "qclid": Family("quora", "cpc", Category.SOCIAL),
    "tblci": Family("taboola", "cpc"),
    "dicbo": Family("outbrain", "cpc"),
    "vmcid": Family("yahoo dsp", "display"),
    "irclickid": Family("impact", "affiliate", takes_utm_source=True),
    "awc": Family("awin", "affiliate", takes_utm_source=True),
    "cjevent": Family("cj", "affiliate", takes_utm_source=True),
    "ran_site_id": Family("rakuten", "affiliate", takes_utm_source=True),
    "sscid": Family("shareasale", "affiliate", takes_utm_source=True),
    "gad_source": Family("google", "cpc"),
    "gad_campaignid": Family("google", "cpc"),
    "gclsrc": Family("google", "cpc"),
}
"""Click ids that only an ad or an affiliate link carries; where there are several, the first here decides."""

HINTS: Final[Mapping[str, Family]] = {
    "fbclid": Family("facebook", "referral", Category.SOCIAL),
    "igshid": Family("instagram", "social", Category.SOCIAL),
    "srsltid": Family("google", "organic", Category.SHOPPING),
    "mc_cid": Family("mailchimp", "email"),
    "hsenc": Family("hubspot", "email"),
    "kx": Family("klaviyo", "email"),
}
"""Click ids that prove where the link stood, but not that anybody paid."""

PROOF_IDS: Final = frozenset(PROOFS) - {"gad_source", "gad_campaignid", "gclsrc"}
"""Those that name a click, and not only where an ad of some campaign stood."""
ORGANIC_LINKS: Final = frozenset({"fbclid", "igshid"})
"""Stay on a link that is copied elsewhere: where there is a referrer, it knows better."""
MAIL_IDS: Final = frozenset({"mc_cid", "hsenc", "kx"})


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def holds_control(value: str) -> bool:
    """Tells whether a click id holds a line break or another control character: no destination writes such a one."""
    return not value.isprintable() and _CONTROL.search(value) is not None


def names_a_click(value: str) -> bool:
    r"""Tells whether a click id names a click, and is not what a script or a template writes where it has none.

    All who carry such a value would be one click: bought too often by one sender, and one touch.

    >>> [names_a_click(value) for value in ("Cj0KCQ", "undefined", "{gclid}", " null ", "", "Cj0\nKCQ")]
    [True, False, False, False, False, False]
    """
    return not is_blocked(value) and not holds_control(value)
