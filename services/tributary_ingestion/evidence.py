"""A touchpoint event -> the plain values that the channel rules ask for."""

from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import Touchpoint
from tributary_domain import texts
from tributary_domain.channel import Ad, ChannelClassifier, ChannelEvidence, Touch
from tributary_domain.urls import Url

_NO_AD = Ad()
_NONE: dict[str, str] = {}


def classify(
    channels: ChannelClassifier, event: Event, readings: texts.Readings, page: Url, referrer: Url
) -> ChannelEvidence:
    """Decides the channel of a touchpoint event."""
    touchpoint = event.touchpoint
    return channels.classify(
        Touch(
            touchpoint.kind,
            page,
            referrer,
            _set_texts(texts.UTM, readings),
            _set_texts(texts.CLICK_IDS, readings),
            _ad(touchpoint) if texts.AD in readings else _NO_AD,
            touchpoint.landing if touchpoint.HasField("landing") else None,
            touchpoint.coupon_code,
        )
    )


def _set_texts(group: texts.TextGroup, readings: texts.Readings) -> dict[str, str]:
    values = readings.get(group)
    if values is None:
        return _NONE
    return {name: value for name, value in zip(group.names, values, strict=True) if value}


def _ad(touchpoint: Touchpoint) -> Ad:
    ad = touchpoint.ad
    return Ad(ad.destination, ad.campaign_id, ad.campaign_name, ad.keyword, ad.network)
