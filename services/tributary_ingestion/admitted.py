"""An admitted event as bytes, put together from its parts.

A protobuf message may be written as the concatenation of its fields, in any order. Setting event and evidence as
fields would copy both; most evidence, click ids apart, has been written before. The one rule: what is joined here
parses as the `AdmittedEvent` it stands for, which a test shows.
"""

from functools import lru_cache
from typing import Final

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent, ChannelEvidence, ClickId
from tributary.event.v1.event_pb2 import Event
from tributary_domain import channel
from tributary_domain.channel import CHANNEL_RULES_VERSION

_EVENT_TAG: Final = bytes((AdmittedEvent.EVENT_FIELD_NUMBER << 3 | 2,))
_EVIDENCE_TAG: Final = bytes((AdmittedEvent.CHANNEL_EVIDENCE_FIELD_NUMBER << 3 | 2,))
_CLICK_ID_TAG: Final = bytes((ChannelEvidence.CLICK_IDS_FIELD_NUMBER << 3 | 2,))


def join(event: Event, learned: AdmittedEvent, evidence: channel.ChannelEvidence | None) -> bytes:
    """Returns a serialised `AdmittedEvent`.

    Args:
        event: As it shall be stored.
        learned: All else but the evidence.
        evidence: A touchpoint's.
    """
    body = event.SerializeToString()
    parts = [_EVENT_TAG, varint(len(body)), body, learned.SerializeToString()]
    if evidence is not None:
        written = _without_click_ids(*evidence[:8], *evidence[9:13])
        if evidence.click_ids:
            written += _click_ids(event, evidence.click_ids)
        parts += (_EVIDENCE_TAG, varint(len(written)), written)
    return b"".join(parts)


@lru_cache(8_192)
def _without_click_ids(
    named: str,
    sub_channel: str,
    source: str,
    medium: str,
    campaign: str,
    term: str,
    content: str,
    campaign_id: str,
    rule: str,
    referrer_host: str,
    referrer_recovered: bool,
    continues_session: bool,
) -> bytes:
    """Writes evidence but for its click ids: few texts account for most touchpoints."""
    return ChannelEvidence(
        channel=named,
        sub_channel=sub_channel,
        source=source,
        medium=medium,
        campaign=campaign,
        term=term,
        content=content,
        campaign_id=campaign_id,
        rule=rule,
        rules_version=CHANNEL_RULES_VERSION,
        referrer_host=referrer_host,
        referrer_recovered=referrer_recovered,
        continues_session=continues_session,
    ).SerializeToString()


def _click_ids(event: Event, found: tuple[tuple[str, str], ...]) -> bytes:
    """Writes click ids; one without a time of its own was clicked when the event happened."""
    has_time = event.HasField("click_ids") and event.click_ids.HasField("click_time")
    click_time = event.click_ids.click_time if has_time else event.event_time
    written = b""
    for family, value in found:
        if family != "kx":  # an e-mail address in disguise
            click = ClickId(family=family, value=value, click_time=click_time).SerializeToString()
            written += _CLICK_ID_TAG + varint(len(click)) + click
    return written


def varint(number: int) -> bytes:
    r"""Returns a length as protobuf writes it.

    >>> varint(127), varint(128), varint(300)
    (b'\x7f', b'\x80\x01', b'\xac\x02')
    """
    if number < 0x80:
        return bytes((number,))
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
