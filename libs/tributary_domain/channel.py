"""A touchpoint -> the channel that gets its credit, with the evidence.

Only direct evidence counts here; what a session hands down is decided later, because late events change sessions.
The one rule is the order of the questions, first answer wins:

1. does the visitor only return (own site, payment, sign-on, mail or survey page)? Then it is no new touch, unless the
   page itself proves a new one: a campaign's parameters beside a mailbox, an ad's click id beside the same site;
2. a coupon that belongs to a partner, a click id that proves an ad or an affiliate;
3. UTM parameters, of the event or of the page;
4. a click id that proves less (Meta adds `fbclid` to organic links too), a parameter that only mails carry;
5. the ad that was named, the mail that was opened, the referrer;
6. nothing: direct.

Channels are named by the workspace's own rules, then by GA4's default channel group.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tributary_domain.channel_evidence import (
    CLICK,
    COUPON,
    OPEN,
    UTM_NAMES,
    VISIT,
    ChannelEvidence,
    Touch,
    click_ids_of,
)
from tributary_domain.channel_groups import AI_MEDIUM, DIRECT, default_channel
from tributary_domain.channel_lists import (
    IGNORED_REFERRERS,
    MAIL_REFERRERS,
    Category,
    category_of_host,
    category_of_source,
    is_within,
    source_of_host,
)
from tributary_domain.channel_rules import ChannelRuleLike, CompiledRules
from tributary_domain.click_id_proofs import HINTS, MAIL_IDS, ORGANIC_LINKS, PROOF_IDS, PROOFS, Family
from tributary_domain.sites import is_same_site

CHANNEL_RULES_VERSION: Final = 6
"""Grows with every change of a rule or a list, so that it can be seen by which touches were classified."""

NOT_SET: Final = "(not set)"

KEPT: Final = 4_096
"""Decisions a workspace keeps: made anew is only what was not seen lately."""

_NETWORKS: Final[Mapping[str, tuple[str, Category]]] = {
    "search": ("cpc", Category.SEARCH),
    "google_search": ("cpc", Category.SEARCH),
    "search_partners": ("cpc", Category.SEARCH),
    "youtube": ("cpc", Category.VIDEO),
    "video": ("cpc", Category.VIDEO),
    "display": ("display", Category.NONE),
    "content": ("display", Category.NONE),
    "shopping": ("cpc", Category.SHOPPING),
    "social": ("cpc", Category.SOCIAL),
}
"""Network of an ad -> (medium, category), where its destination says it."""

_AD_NETWORK_HOSTS: Final = frozenset({"googlesyndication.com", "doubleclick.net", "2mdn.net"})


class ChannelClassifier:
    """Decides channels for one workspace.

    Args:
        own_domains: Its own sites, in lower case.
        ignored_referrers: Beside the shipped list.
        rules: Its own rules, first match wins; they name the channel once source and medium are known.
        coupons: Code -> partner.
    """

    __slots__ = ("_coupons", "_ignored", "_known", "_own", "_rules")

    def __init__(
        self,
        own_domains: Iterable[str] = (),
        ignored_referrers: Iterable[str] = (),
        rules: Sequence[ChannelRuleLike] = (),
        coupons: Mapping[str, str] | None = None,
    ) -> None:
        self._own = frozenset(domain.removeprefix("*.") for domain in own_domains)
        self._ignored = IGNORED_REFERRERS | {domain.removeprefix("*.") for domain in ignored_referrers}
        self._rules = CompiledRules(rules)
        self._known: dict[object, ChannelEvidence] = {}
        self._coupons = {code.lower(): partner for code, partner in (coupons or {}).items()}

    @property
    def reads_paths(self) -> bool:
        """Whether the path of a page may decide."""
        return bool(self._rules)

    def classify(self, touch: Touch) -> ChannelEvidence:
        """Returns the channel of a touchpoint and why."""
        page, clicks = touch.page, click_ids_of(touch)
        # What may decide, and nothing else: a few such keys account for most touchpoints.
        key = (
            touch.kind,
            page.host,
            page.mailer,
            page.path if self._rules else "",
            touch.referrer.host,
            touch.utm,
            tuple(page.utm.items()),
            tuple(clicks),
            clicks.get("gad_source"),
            clicks.get("gad_campaignid"),
            bool(page.click_ids and not touch.click_ids),
            touch.ad,
            touch.landing,
            touch.coupon_code,
        )
        evidence = self._known.get(key)
        if evidence is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            evidence = self._known[key] = self._decide(touch, clicks)
        return evidence

    def _decide(self, touch: Touch, clicks: Mapping[str, str]) -> ChannelEvidence:
        page, host = touch.page, touch.referrer.host
        own_utm = {name: value for name, value in zip(UTM_NAMES, touch.utm, strict=False) if value}
        utm = {name: value for name, value in {**page.utm, **own_utm}.items() if not value.isspace()}
        if touch.kind <= VISIT and (host or touch.landing is False):
            if host and is_within(host, self._ignored) and not is_within(host, self._own):
                if not (is_within(host, MAIL_REFERRERS) and _is_campaign(utm, clicks)):
                    return _continued("ignored_referrer", host, utm_ignored=False)
                host = ""
            is_declared = bool(host) and is_within(host, self._own)
            is_own = is_declared or _is_same_site(host, page.host)
            if touch.landing is False or (
                is_own and not touch.landing and (is_declared or PROOF_IDS.isdisjoint(clicks))
            ):
                return _continued("own_site" if is_own else "no_landing", host, utm_ignored=bool(utm))
            if is_own:
                host = ""
        source, medium, category, rule = self._trace(touch, host, clicks, utm)
        ad = touch.ad
        campaign = utm.get("campaign") or ad.campaign_name
        if medium == AI_MEDIUM:
            campaign = campaign or f"({AI_MEDIUM})"
        channel = default_channel(source, medium, campaign, category)
        sub_channel = ""
        if self._rules:
            named = self._rules.match(source, medium, campaign, host, page.path, clicks)
            if named is not None:
                position, channel, sub_channel = named
                rule = f"workspace:{position}"
        from_page = bool(page.utm or page.click_ids or page.mailer) and not (own_utm or touch.click_ids)
        return ChannelEvidence(
            channel,
            sub_channel,
            source,
            medium,
            campaign,
            utm.get("term") or ad.keyword,
            utm.get("content", ""),
            utm.get("id") or ad.campaign_id or clicks.get("gad_campaignid", ""),
            rule,
            host,
            from_page and not host and channel != DIRECT and touch.kind <= CLICK,
            False,
            False,
        )

    def _trace(
        self, touch: Touch, host: str, clicks: Mapping[str, str], utm: Mapping[str, str]
    ) -> tuple[str, str, Category, str]:
        """Returns (source, medium, category, rule): where the touch came from and what says so."""
        if touch.coupon_code:
            partner = self._coupons.get(touch.coupon_code.lower())
            if partner is not None or touch.kind == COUPON:
                return partner or NOT_SET, "affiliate", Category.NONE, "coupon"
        if clicks:
            for family, proof in PROOFS.items():
                if family in clicks:
                    return _proven(family, proof, touch, host, clicks, utm)
        if utm and (utm.get("source") or utm.get("medium") or utm.get("campaign") or utm.get("id")):
            return _by_utm(utm, host, clicks)
        if clicks:
            for family, hint in HINTS.items():
                if family in clicks and not (host and family in ORGANIC_LINKS):
                    return hint.source, hint.medium, hint.category, f"click_id:{family}"
        if touch.page.mailer:
            return touch.page.mailer, "email", Category.NONE, "mail_parameter"
        ad = touch.ad
        if ad.destination:
            source = ad.destination.lower()
            medium, category = _NETWORKS.get(ad.network.lower(), ("cpc", category_of_source(source)))
            return source, medium, category, "ad"
        if touch.kind == OPEN:
            return "email", "email", Category.NONE, "open"
        if host:
            return _by_referrer(host)
        return "(direct)", "(none)", Category.NONE, "direct"


def _is_same_site(host: str, page_host: str) -> bool:
    """Tells whether a referrer is the page's own site; a search beside a shop of one portal is not."""
    if not is_same_site(host, page_host):
        return False
    here, there = page_host.removeprefix("www."), host.removeprefix("www.")
    return is_within(here, {there}) or is_within(there, {here}) or not category_of_host(host)


def _is_campaign(utm: Mapping[str, str], clicks: Mapping[str, str]) -> bool:
    """Tells whether a page opened from a mailbox was linked in a campaign's mail; an ad's click id is an old one."""
    return bool(utm) or not MAIL_IDS.isdisjoint(clicks)


def _proven(
    family: str, proof: Family, touch: Touch, host: str, clicks: Mapping[str, str], utm: Mapping[str, str]
) -> tuple[str, str, Category, str]:
    source, medium, category, takes_utm_source = proof
    if takes_utm_source:
        source = utm.get("source", "").lower() or source
    elif source == "google":
        if touch.ad.network.lower() in _NETWORKS:
            medium, category = _NETWORKS[touch.ad.network.lower()]
        elif host and category_of_host(host) is Category.VIDEO:
            category = Category.VIDEO
        elif host and is_within(host, _AD_NETWORK_HOSTS):
            category = Category.NONE
        elif family == "gad_source" and clicks[family] == "1":
            category = Category.SEARCH
    elif family == "yclid" and "yahoo" in f"{host} {utm.get('source', '').lower()}":
        source = "yahoo"  # whose ads in Japan name their click ids as Yandex does
    return source, medium, category, f"click_id:{family}"


def _by_utm(utm: Mapping[str, str], host: str, clicks: Mapping[str, str]) -> tuple[str, str, Category, str]:
    """Source and medium in lower case, as reports add them up.

    Without a source, the referrer is it, and without that where a click id says that the link stood.
    """
    source, medium = utm.get("source", "").strip().lower(), utm.get("medium", "").strip().lower()
    if source:
        category = category_of_source(source)
        if not category and "." in source and category_of_host(source) is Category.AI:
            category = Category.AI
    elif host:
        source, category = source_of_host(host), category_of_host(host)
    else:
        hint = next((hint for family, hint in HINTS.items() if family in clicks), None)
        source, category = (hint.source, hint.category) if hint is not None else (NOT_SET, Category.NONE)
    if not medium:
        medium = AI_MEDIUM if category is Category.AI else NOT_SET
    return source, medium, category, "utm"


def _by_referrer(host: str) -> tuple[str, str, Category, str]:
    category = category_of_host(host)
    source = source_of_host(host)
    if category is Category.SEARCH:
        return source, "organic", category, "referrer:search"
    if category is Category.AI:
        return source, AI_MEDIUM, category, "referrer:ai"
    return source, "referral", category, f"referrer:{category}" if category else "referrer"


def _continued(rule: str, host: str, *, utm_ignored: bool) -> ChannelEvidence:
    return ChannelEvidence("", "", "", "", "", "", "", "", rule, host, False, True, utm_ignored)
