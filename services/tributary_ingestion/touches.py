"""A touchpoint event -> the plain values that the channel rules ask for."""

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import Touchpoint
from tributary_domain import texts
from tributary_domain.channel_evidence import CLICK, COUPON, ENGAGED_VIEW, IMPRESSION, OPEN, VISIT, Ad, Touch
from tributary_domain.click_id_proofs import names_a_click
from tributary_domain.urls import Url

_KINDS = frozenset((VISIT, CLICK, IMPRESSION, ENGAGED_VIEW, OPEN, COUPON))
"""Those known here; any other is treated as a visit."""
_NO_AD = Ad()
_NONE: dict[str, str] = {}


def touch_of(event: Event, readings: texts.Readings, page: Url, referrer: Url) -> Touch:
    """Returns what is known of a touchpoint."""
    touchpoint = event.touchpoint
    utm = readings.get(texts.UTM)
    return Touch(
        touchpoint.kind if touchpoint.kind in _KINDS else VISIT,
        page,
        referrer,
        utm[0] if utm is not None else (),
        set_click_ids(readings),
        _ad(touchpoint) if texts.AD in readings else _NO_AD,
        touchpoint.landing if touchpoint.HasField("landing") else None,
        readings[texts.TOUCHPOINT][0][1],
    )


def set_click_ids(readings: texts.Readings) -> dict[str, str]:
    """Returns the click ids of an event that are set, by family. Shared where there are none: never changed."""
    clicks = readings.get(texts.CLICK_IDS)
    if clicks is None:
        return _NONE
    return {name: value for name, value in zip(texts.CLICK_IDS.names, clicks[0], strict=True) if names_a_click(value)}


def _ad(touchpoint: Touchpoint) -> Ad:
    ad = touchpoint.ad
    return Ad(ad.destination, ad.campaign_id, ad.campaign_name, ad.keyword, ad.network)
