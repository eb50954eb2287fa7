"""An admitted event as bytes, put together from its parts.

A protobuf message may be written as the concatenation of its fields, in any order. Setting event and evidence as
fields would copy both; most evidence, click ids apart, has been written before. The one rule: what is joined here
parses as the `AdmittedEvent` it stands for, which a test shows.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent, ChannelEvidence, ClickId
from tributary.event.v1.event_pb2 import Event
from tributary_domain import channel
from tributary_domain.channel import CHANNEL_RULES_VERSION
from tributary_storage.codec.framing import length_tag, varint

_EVENT_TAG: Final = length_tag(AdmittedEvent.EVENT_FIELD_NUMBER)
_EVIDENCE_TAG: Final = length_tag(AdmittedEvent.CHANNEL_EVIDENCE_FIELD_NUMBER)
_CLICK_ID_TAG: Final = length_tag(ChannelEvidence.CLICK_IDS_FIELD_NUMBER)
_NO_CLICKS: Final[Mapping[str, str]] = {}


def join(
    event: Event,
    learned: AdmittedEvent,
    evidence: channel.ChannelEvidence | None = None,
    click_ids: Mapping[str, str] = _NO_CLICKS,
) -> bytes:
    """Returns a serialised `AdmittedEvent`.

    Args:
        event: As it shall be stored.
        learned: All else but the evidence.
        evidence: A touchpoint's.
        click_ids: Those of the evidence, family to value.
    """
    body = event.SerializeToString()
    if evidence is None:
        return b"".join((_EVENT_TAG, varint(len(body)), body, learned.SerializeToString()))
    written = _write_evidence(evidence)
    if click_ids:
        written += _write_click_ids(event, click_ids)
    return b"".join(
        (
            _EVENT_TAG,
            varint(len(body)),
            body,
            learned.SerializeToString(),
            _EVIDENCE_TAG,
            varint(len(written)),
            written,
        )
    )


@lru_cache(4_096)
def _write_evidence(evidence: channel.ChannelEvidence) -> bytes:
    """Writes evidence without click ids: touchpoints alike share it."""
    return ChannelEvidence(
        channel=evidence.channel,
        sub_channel=evidence.sub_channel,
        source=evidence.source,
        medium=evidence.medium,
        campaign=evidence.campaign,
        term=evidence.term,
        content=evidence.content,
        campaign_id=evidence.campaign_id,
        rule=evidence.rule,
        rules_version=CHANNEL_RULES_VERSION,
        referrer_host=evidence.referrer_host,
        referrer_recovered=evidence.referrer_recovered,
        continues_session=evidence.continues_session,
    ).SerializeToString()


def _write_click_ids(event: Event, click_ids: Mapping[str, str]) -> bytes:
    """Writes click ids; one without a time of its own was clicked when the event happened."""
    has_time = event.HasField("click_ids") and event.click_ids.HasField("click_time")
    click_time = event.click_ids.click_time if has_time else event.event_time
    written = b""
    for family, value in click_ids.items():
        if family != "kx":  # an e-mail address in disguise
            click = ClickId(family=family, value=value, click_time=click_time).SerializeToString()
            written += _CLICK_ID_TAG + varint(len(click)) + click
    return written
