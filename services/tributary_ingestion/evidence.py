"""A touchpoint's channel evidence: from the contract to the rules and back."""

from tributary.dedup.v1.admitted_events_pb2 import ChannelEvidence as EvidenceMessage
from tributary.dedup.v1.admitted_events_pb2 import ClickId
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import Touchpoint
from tributary_domain import texts
from tributary_domain.channel import CHANNEL_RULES_VERSION, Ad, ChannelClassifier, ChannelEvidence, Touch
from tributary_domain.urls import Url

_NO_AD = Ad()


def classify(channels: ChannelClassifier, event: Event, page: Url, referrer: Url) -> ChannelEvidence:
    """Decides the channel of a touchpoint event."""
    touchpoint = event.touchpoint
    return channels.classify(
        Touch(
            touchpoint.kind,
            page,
            referrer,
            _set_texts(texts.UTM, touchpoint.utm) if touchpoint.HasField("utm") else {},
            _set_texts(texts.CLICK_IDS, event.click_ids) if event.HasField("click_ids") else {},
            _ad(touchpoint) if touchpoint.HasField("ad") else _NO_AD,
            touchpoint.landing if touchpoint.HasField("landing") else None,
            touchpoint.coupon_code,
        )
    )


def to_message(evidence: ChannelEvidence, event: Event) -> EvidenceMessage:
    """Returns the evidence as it is stored; a click id without a time of its own has the event's."""
    clicks = []
    if evidence.click_ids:
        has_time = event.HasField("click_ids") and event.click_ids.HasField("click_time")
        click_time = event.click_ids.click_time if has_time else event.event_time
        clicks = [
            ClickId(family=family, value=value, click_time=click_time)
            for family, value in evidence.click_ids
            if family != "kx"  # an e-mail address in disguise
        ]
    return EvidenceMessage(
        channel=evidence.channel,
        sub_channel=evidence.sub_channel,
        source=evidence.source,
        medium=evidence.medium,
        campaign=evidence.campaign,
        term=evidence.term,
        content=evidence.content,
        campaign_id=evidence.campaign_id,
        click_ids=clicks,
        rule=evidence.rule,
        rules_version=CHANNEL_RULES_VERSION,
        referrer_host=evidence.referrer_host,
        referrer_recovered=evidence.referrer_recovered,
        continues_session=evidence.continues_session,
    )


def _set_texts(group: texts.TextGroup, message: object) -> dict[str, str]:
    return {name: value for name, value in zip(group.names, group.read(message), strict=True) if value}


def _ad(touchpoint: Touchpoint) -> Ad:
    ad = touchpoint.ad
    return Ad(ad.destination, ad.campaign_id, ad.campaign_name, ad.keyword, ad.network)
