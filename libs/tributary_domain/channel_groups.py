"""Source, medium, campaign -> channel, by the rules of GA4's default channel group.

The first rule that matches decides; case does not count. Source: support.google.com/analytics/answer/9756891. The one
rule: this table stays Google's, so that our reports can be compared with GA4's; what a workspace wants otherwise stands
in its own rules, which come first.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from tributary_domain.channel_lists import Category

DIRECT: Final = "Direct"
UNASSIGNED: Final = "Unassigned"
AI_MEDIUM: Final = "ai-assistant"

_PAID = re.compile(r"^(.*cp.*|ppc|retargeting|paid.*)$")
_SHOPPING = re.compile(r"^(.*(([^a-df-z]|^)shop|shopping).*)$")
_DISPLAY = frozenset({"display", "banner", "expandable", "interstitial", "cpm"})
_SOCIAL = frozenset({"social", "social-network", "social-media", "sm", "social network", "social media"})
_REFERRAL = frozenset({"referral", "app", "link"})
_EMAIL = frozenset({"email", "e-mail", "e_mail", "e mail"})


class _Traffic(NamedTuple):
    source: str
    medium: str
    campaign: str
    category: Category
    paid: bool
    shopping: bool


_RULES: Final[tuple[tuple[str, Callable[[_Traffic], bool]], ...]] = (
    (DIRECT, lambda t: t.source == "(direct)" and t.medium in ("(none)", "(not set)")),
    ("Cross-network", lambda t: "cross-network" in t.campaign),
    ("Paid Shopping", lambda t: t.paid and t.shopping),
    ("Paid Search", lambda t: t.paid and t.category is Category.SEARCH),
    ("Paid Social", lambda t: t.paid and t.category is Category.SOCIAL),
    ("Paid Video", lambda t: t.paid and t.category is Category.VIDEO),
    ("Display", lambda t: t.medium in _DISPLAY),
    ("Paid Other", lambda t: t.paid),
    ("Organic Shopping", lambda t: t.shopping),
    ("Organic Social", lambda t: t.category is Category.SOCIAL or t.medium in _SOCIAL),
    ("Organic Video", lambda t: t.category is Category.VIDEO or "video" in t.medium),
    ("Organic Search", lambda t: t.category is Category.SEARCH or t.medium == "organic"),
    ("AI Assistant", lambda t: t.medium == AI_MEDIUM),
    ("Referral", lambda t: t.medium in _REFERRAL),
    ("Email", lambda t: t.source in _EMAIL or t.medium in _EMAIL),
    ("Affiliates", lambda t: t.medium == "affiliate"),
    ("Audio", lambda t: t.medium == "audio"),
    ("SMS", lambda t: t.source == "sms" or t.medium == "sms"),
    (
        "Mobile Push Notifications",
        lambda t: (
            t.medium.endswith("push") or "mobile" in t.medium or "notification" in t.medium or t.source == "firebase"
        ),
    ),
)


@lru_cache(4_096)
def default_channel(source: str, medium: str, campaign: str, category: Category) -> str:
    """Returns the channel of some traffic.

    Args:
        source: "google"; "(direct)" where there is none.
        medium: "cpc"; "(none)" where there is none.
        campaign: The campaign's name; may be empty.
        category: What kind of site the source is.

    >>> default_channel("Google", "CPC", "", Category.SEARCH), default_channel("blog", "remarketing", "", Category.NONE)
    ('Paid Search', 'Unassigned')
    """
    medium, campaign = medium.lower(), campaign.lower()
    traffic = _Traffic(
        source.lower(),
        medium,
        campaign,
        category,
        _PAID.match(medium) is not None,
        category is Category.SHOPPING or _SHOPPING.match(campaign) is not None,
    )
    return next((channel for channel, matches in _RULES if matches(traffic)), UNASSIGNED)
