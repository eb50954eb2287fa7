"""What is known of a touchpoint, and what is said of its channel: what goes into a classification and comes out."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from tributary_domain.urls import NO_URL, Url

VISIT, CLICK, IMPRESSION, ENGAGED_VIEW, OPEN, COUPON = range(1, 7)
"""As `event.v1.TouchpointKind`."""

UTM_NAMES: Final = ("source", "medium", "campaign", "term", "content", "id")


class Ad(NamedTuple):
    """What the caller says of the ad."""

    destination: str = ""
    campaign_id: str = ""
    campaign_name: str = ""
    keyword: str = ""
    network: str = ""


class Touch(NamedTuple):
    """What is known of a touchpoint, as plain values."""

    kind: int
    """As `event.v1.TouchpointKind`."""
    page: Url = NO_URL
    referrer: Url = NO_URL
    utm: tuple[str, ...] = ()
    """Of the event, in the order of `UTM_NAMES`; empty if it has none. Each that is set goes before the page's."""
    click_ids: Mapping[str, str] = {}
    """Of the event, by family, set ones only; each goes before the page's."""
    ad: Ad = Ad()
    landing: bool | None = None
    """Whether the caller says that a visit began here."""
    coupon_code: str = ""


class ChannelEvidence(NamedTuple):
    """How a touchpoint's channel was decided: `dedup.v1.ChannelEvidence`, which explains each field.

    But for the click ids: touchpoints alike share one.
    """

    channel: str
    sub_channel: str
    source: str
    medium: str
    campaign: str
    term: str
    content: str
    campaign_id: str
    rule: str
    referrer_host: str
    referrer_recovered: bool
    continues_session: bool
    utm_ignored: bool
    """Whether there were UTM parameters on a link inside the own site: worth a warning."""


def click_ids_of(touch: Touch) -> Mapping[str, str]:
    """Returns every click id of a touchpoint, family to value; the event's own go before the page's."""
    if not touch.click_ids:
        return touch.page.click_ids
    return {**touch.page.click_ids, **touch.click_ids}
