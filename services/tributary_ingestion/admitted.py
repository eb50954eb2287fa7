"""An admitted event as bytes, put together from its parts.

A protobuf message may be written as the concatenation of its fields, in any order. Setting event and evidence as
fields would copy both; most evidence, click ids apart, has been written before. The one rule: what is joined here
parses as the `AdmittedEvent` it stands for, which a test shows.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent, AgentEvidence, ChannelEvidence, ClickId
from tributary.event.v1.consent_pb2 import Consent
from tributary.event.v1.event_pb2 import Event
from tributary_domain import channel_evidence
from tributary_domain.bots import Agent, AgentKind
from tributary_domain.channel import CHANNEL_RULES_VERSION
from tributary_domain.consent_strings import vendors_by
from tributary_domain.event_order import event_hash
from tributary_domain.reasons import Reason
from tributary_ingestion.reasons import to_messages
from tributary_storage.codec.framing import length_tag, varint

_EVENT_TAG: Final = length_tag(AdmittedEvent.EVENT_FIELD_NUMBER)
_TOKEN_TAG: Final = length_tag(AdmittedEvent.IDENTITY_TOKENS_FIELD_NUMBER)
_EVIDENCE_TAG: Final = length_tag(AdmittedEvent.CHANNEL_EVIDENCE_FIELD_NUMBER)
_DIGEST_TAG: Final = length_tag(AdmittedEvent.PAYLOAD_DIGEST_FIELD_NUMBER)
_CONVERSION_TAG: Final = length_tag(AdmittedEvent.CONVERSION_ID_FIELD_NUMBER)
_AGENT_EVIDENCE_TAG: Final = length_tag(AdmittedEvent.AGENT_EVIDENCE_FIELD_NUMBER)
_ADDRESS_TAG: Final = length_tag(AgentEvidence.ADDRESS_TOKEN_FIELD_NUMBER)
_CLICK_ID_TAG: Final = length_tag(ChannelEvidence.CLICK_IDS_FIELD_NUMBER)
_VALUE_TAG: Final = length_tag(ClickId.VALUE_FIELD_NUMBER)
_CLICK_TIME_TAG: Final = length_tag(ClickId.CLICK_TIME_FIELD_NUMBER)
_NO_CLICKS: Final[Mapping[str, str]] = {}
_EVIDENCE_KEPT: Final = 8_192


def join(
    event: Event,
    learned: bytes,
    evidence: channel_evidence.ChannelEvidence | None = None,
    click_ids: Mapping[str, str] = _NO_CLICKS,
) -> bytes:
    """Returns a serialised `AdmittedEvent`.

    Args:
        event: As it shall be stored.
        learned: All else but the evidence, serialised.
        evidence: A touchpoint's.
        click_ids: Those of the evidence, family to value.
    """
    body = event.SerializeToString()
    if evidence is None:
        return b"".join((_EVENT_TAG, varint(len(body)), body, learned))
    written = write_evidence(evidence)
    if click_ids:
        written += write_click_ids(click_ids, _click_time(event).SerializeToString())
    return b"".join((_EVENT_TAG, varint(len(body)), body, learned, _EVIDENCE_TAG, varint(len(written)), written))


def write_learned(
    verdict: int,
    identity_tokens: Sequence[str],
    payload_digest: bytes,
    source_rank: int,
    conversion_id: str = "",
    address_token: str = "",
) -> bytes:
    """Returns what every event is learned of, serialised; what few have is added as a message of its own.

    Args:
        verdict: The number of the `event.v1.Verdict`.
        identity_tokens: Most telling first.
        payload_digest: With its version.
        source_rank: The observer's.
        conversion_id: Of a conversion, or what an adjustment names.
        address_token: Of the client address.
    """
    parts = [_fixed(verdict, source_rank), _DIGEST_TAG, varint(len(payload_digest)), payload_digest]
    for token in identity_tokens:
        written = token.encode()
        parts += (_TOKEN_TAG, varint(len(written)), written)
    if conversion_id:
        written = conversion_id.encode()
        parts += (_CONVERSION_TAG, varint(len(written)), written)
    if address_token:
        written = address_token.encode()
        parts += (_AGENT_EVIDENCE_TAG, varint(len(written) + 2), _ADDRESS_TAG, varint(len(written)), written)
    return b"".join(parts)


def as_sent(event: Event, event_id: str, target: str) -> tuple[int, int]:
    """Returns by which hashes an event is found, and the one that it adjusts, for whose ids tokens stand; 0: none does.

    Args:
        event: As it shall be stored.
        event_id: As it was sent.
        target: The id of the event that an adjustment names, as it was sent; empty if it names none.
    """
    is_replaced = bool(target) and event.adjustment.event_id != target
    return event_hash(event_id) if event.event_id != event_id else 0, event_hash(target) if is_replaced else 0


def write_rest(
    reasons: Sequence[Reason],
    agent: Agent,
    correction: int = 0,
    adjustment_key: bytes = b"",
    event_digest: bytes = b"",
    sent_hashes: tuple[int, int] = (0, 0),
) -> bytes:
    """Writes what few events have; it is merged with the rest when the event is read.

    Args:
        reasons: Why it was decided so, and warnings.
        agent: Named where there is something to say of it.
        correction: Of the client's clock, in microseconds.
        adjustment_key: What else than its event id an adjustment is known by.
        event_digest: What it is claimed by, where its event id is not what was sent.
        sent_hashes: Of the event id, and of the one that an adjustment names, where these are not what was sent.
    """
    sent_event_hash, sent_target_hash = sent_hashes
    rest = AdmittedEvent(
        reasons=to_messages(reasons),
        clock_correction_micros=correction,
        adjustment_key=adjustment_key,
        event_digest=event_digest,
        sent_event_hash=sent_event_hash,
        sent_target_hash=sent_target_hash,
    )
    if agent.name:
        evidence = rest.agent_evidence
        evidence.bot_name, evidence.bot_category, evidence.bot = agent.name, agent.category, agent.kind is AgentKind.BOT
    return rest.SerializeToString()


def write_vendors(consent: Consent, vendors: tuple[int, ...]) -> bytes:
    """Writes which of some vendors the consent strings of an event name; nothing where they name vendors not at all."""
    allowed, denied = vendors_by(consent.tcf_string, consent.gpp_string, vendors)
    return AdmittedEvent(allowed_vendors=allowed, denied_vendors=denied).SerializeToString()


@lru_cache(64)
def _fixed(verdict: int, source_rank: int) -> bytes:
    return AdmittedEvent(verdict=verdict, source_rank=source_rank).SerializeToString()  # type: ignore[arg-type]


_evidence_kept: dict[int, tuple[channel_evidence.ChannelEvidence, bytes]] = {}
"""By the evidence's identity: touchpoints alike share one object, and comparing two costs more than writing one."""


def write_evidence(evidence: channel_evidence.ChannelEvidence) -> bytes:
    """Writes evidence without click ids: touchpoints alike share it."""
    kept = _evidence_kept.get(id(evidence))
    if kept is not None and kept[0] is evidence:
        return kept[1]
    if len(_evidence_kept) >= _EVIDENCE_KEPT:
        _evidence_kept.clear()
    written = _write(evidence)
    _evidence_kept[id(evidence)] = evidence, written
    return written


def _write(evidence: channel_evidence.ChannelEvidence) -> bytes:
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


def write_click_ids(click_ids: Mapping[str, str], click_time: bytes) -> bytes:
    """Writes the click ids of evidence.

    Args:
        click_ids: Family to value.
        click_time: When they were clicked, a serialised `Timestamp`.
    """
    ending = _CLICK_TIME_TAG + varint(len(click_time)) + click_time
    written = b""
    for family, value in click_ids.items():
        if family != "kx":  # an e-mail address in disguise
            text = value.encode()
            click = b"".join((_beginning(family), varint(len(text)), text, ending))
            written += _CLICK_ID_TAG + varint(len(click)) + click
    return written


def _click_time(event: Event) -> Timestamp:
    """Returns when the ids were clicked: without a time of their own when the event happened."""
    own = event.click_ids if event.HasField("click_ids") else None
    return own.click_time if own is not None and own.HasField("click_time") else event.event_time


@lru_cache(64)
def _beginning(family: str) -> bytes:
    """Returns the family of a click id, and the tag of its value."""
    return ClickId(family=family).SerializeToString() + _VALUE_TAG
