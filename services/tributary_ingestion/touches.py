"""A touchpoint event -> the plain values that the channel rules ask for."""

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import Touchpoint
from tributary_domain import texts
from tributary_domain.channel import CLICK, COUPON, ENGAGED_VIEW, IMPRESSION, OPEN, VISIT, Ad, Touch
from tributary_domain.urls import Url

_KINDS = frozenset((VISIT, CLICK, IMPRESSION, ENGAGED_VIEW, OPEN, COUPON))
"""Those known here; any other is treated as a visit."""
_NO_AD = Ad()
_NONE: dict[str, str] = {}


def touch_of(event: Event, readings: texts.Readings, page: Url, referrer: Url) -> Touch:
    """Returns what is known of a touchpoint."""
    touchpoint = event.touchpoint
    utm = readings.get(texts.UTM)
    clicks = readings.get(texts.CLICK_IDS)
    return Touch(
        touchpoint.kind if touchpoint.kind in _KINDS else VISIT,
        page,
        referrer,
        utm[0] if utm is not None else (),
        {name: value for name, value in zip(texts.CLICK_IDS.names, clicks[0], strict=True) if value}
        if clicks is not None
        else _NONE,
        _ad(touchpoint) if texts.AD in readings else _NO_AD,
        touchpoint.landing if touchpoint.HasField("landing") else None,
        readings[texts.TOUCHPOINT][0][1],
    )


def _ad(touchpoint: Touchpoint) -> Ad:
    ad = touchpoint.ad
    return Ad(ad.destination, ad.campaign_id, ad.campaign_name, ad.keyword, ad.network)
