"""One event at the door: checked, classified, stripped of what is personal, and packed for dedup.

This is the hot path: it runs for every event, so it reads few fields, each once, and makes no object it can do without.
The one rule: nothing here waits. What an event means is decided by the domain; whether it exists, by dedup.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent, Visitor
from tributary.dedup.v1.dedup_service_pb2 import EventClaim
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary_domain import texts, validation
from tributary_domain.bots import Agent, AgentKind, Observer, judge_user_agent
from tributary_domain.business_keys import NO_KEY, business_key, has_business_key
from tributary_domain.channel import ChannelEvidence
from tributary_domain.conversion import SourceRank
from tributary_domain.event_times import MICROS, clock_correction, read_micros
from tributary_domain.identifiers import Identity, too_many
from tributary_domain.ids import derived_event_id, event_digest
from tributary_domain.payloads import PAYLOAD_DIGEST_VERSION
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.urls import NO_URL, read_referrer, read_url
from tributary_ingestion import evidence as evidences
from tributary_ingestion.reasons import to_messages
from tributary_ingestion.sealing import refused_rest, strip
from tributary_ingestion.workspace_rules import WorkspaceRules

_ACCEPTED: Final = verdict_pb2.VERDICT_ACCEPTED
_QUARANTINED: Final = verdict_pb2.VERDICT_QUARANTINED
_REJECTED: Final = verdict_pb2.VERDICT_REJECTED
_VERSION_BYTE: Final = bytes([PAYLOAD_DIGEST_VERSION])
_UNUSABLE_ID: Final = frozenset({ReasonCode.EVENT_ID_TOO_LONG, ReasonCode.EVENT_ID_RESERVED})

_NO_IDENTIFIER: Final = Reason(
    ReasonCode.IDENTIFIER_MISSING,
    "identifiers",
    "Send at least one identifier that stands for somebody: customer_id, visitor_id, email.",
)
_NO_TIME: Final = Reason(ReasonCode.EVENT_TIME_MISSING, "event_time", "Say when it happened.")
_BAD_TIME: Final = Reason(
    ReasonCode.TIME_MALFORMED, "event_time", "A time is within the years 1 to 9999, its nanoseconds below 10^9."
)
_BAD_SENT_TIME: Final = Reason(ReasonCode.TIME_MALFORMED, "sent_time", _BAD_TIME.message)
_OUT_OF_WINDOW: Final = Reason(
    ReasonCode.EVENT_TIME_OUT_OF_WINDOW,
    "event_time",
    "Older than the accept window, or too far ahead; historical events go through backfill.",
)
_CORRECTED: Final = Reason(
    ReasonCode.CLOCK_CORRECTED, "sent_time", "The client's clock was wrong; event_time was corrected by the difference."
)
_UTM_IGNORED: Final = Reason(
    ReasonCode.UTM_ON_OWN_SITE,
    "context.page_url",
    "Campaign parameters on a link inside the own site were ignored: they would hide where the visitor came from.",
)


class Packed(NamedTuple):
    """An event that dedup can decide on."""

    event_id: str
    """As sent or derived."""
    verdict: verdict_pb2.Verdict.ValueType
    """ACCEPTED, QUARANTINED or REJECTED, as far as the door can say."""
    reasons: list[Reason]
    """Why, and warnings; those that decided come first."""
    conversion_id: str
    """Empty for a touchpoint, and for what is rejected."""
    claim: EventClaim
    admitted: bytes
    """A serialised `AdmittedEvent`."""


def take_all(events: Iterable[Event], rules: WorkspaceRules, receive_micros: int, *, backfill: bool) -> list[Packed]:
    """Packs the events of one call, in order.

    Args:
        events: As sent. Ours from now on: they are changed.
        rules: Of the caller's workspace.
        receive_micros: When the call came.
        backfill: Whether the accept window is lifted.
    """
    return [take(event, rules, receive_micros, backfill=backfill) for event in events]


def take(event: Event, rules: WorkspaceRules, receive_micros: int, *, backfill: bool) -> Packed:
    """Packs one event."""
    kind = event.WhichOneof("kind")
    readings = texts.read_texts(event, kind)
    rejections = texts.too_long(readings)
    validation.refuse(event, kind, rules.expected, rejections)
    correction = _check_times(event, kind, rules, receive_micros, rejections, backfill=backfill)
    identity = _identify(event, kind, rules, rejections)
    payload_digest = rules.payload_digest(event, kind, readings)
    event_id = event.event_id or derived_event_id(rules.content_digest(event, kind, readings))
    if rejections:
        return _refused(event, event_id, rules, payload_digest, kind, readings, rejections)

    context = event.context
    observer = context.observed_by
    is_touchpoint = kind == "touchpoint"
    agent, reason = judge_user_agent(context.user_agent, observer, is_touchpoint)
    suspicions: list[Reason] = []
    warnings = identity.warnings
    if reason is not None:
        (warnings if reason.code is ReasonCode.HTTP_LIBRARY_USER_AGENT else suspicions).append(reason)
    validation.suspect(event, kind, rules.expected, suspicions)
    page_url, referrer_url = context.page_url, context.referrer_url
    page = read_url(page_url) if page_url else NO_URL
    referrer = read_referrer(referrer_url) if referrer_url else NO_URL
    evidence = None
    if is_touchpoint:
        evidence = evidences.classify(rules.channels, event, page, referrer)
        if evidence.utm_ignored:
            warnings.append(_UTM_IGNORED)
    if correction:
        warnings.append(_CORRECTED)

    address = rules.address_token(context.client_ip) if context.client_ip else ""
    digest = event_digest(rules.workspace_id, event_id)
    key = NO_KEY if is_touchpoint else business_key(rules.workspace_id, event, kind, digest)
    verdict = _QUARANTINED if suspicions else _ACCEPTED
    reasons = suspicions + warnings if suspicions or warnings else suspicions
    rank = int(_rank(observer, is_touchpoint=is_touchpoint))
    if not event.event_id:
        event.event_id = event_id
    _settle_time(event, correction)
    strip(event, page, referrer)
    learned = AdmittedEvent(
        verdict=verdict,
        identity_tokens=identity.tokens,
        payload_digest=_VERSION_BYTE + payload_digest,
        conversion_id=key.conversion_id,
        source_rank=rank,
    )
    _add_findings(learned, event, reasons, evidence, agent, address, correction)
    claim = EventClaim(
        event_digest=digest,
        payload_digest=payload_digest,
        payload_digest_version=PAYLOAD_DIGEST_VERSION,
        verdict=verdict,
    )
    if key.order_digest:
        claim.order_digest = key.order_digest
        claim.value_digest = key.value_digest
        claim.source_rank = rank
        if kind == "adjustment":
            learned.adjustment_key = key.order_digest
    return Packed(event_id, verdict, reasons, key.conversion_id, claim, _join(event, learned))


def _check_times(
    event: Event, kind: str | None, rules: WorkspaceRules, receive_micros: int, found: list[Reason], *, backfill: bool
) -> int:
    """Adds what is wrong with the event's times; returns the correction of its clock, in microseconds."""
    if not event.HasField("event_time"):
        found.append(_NO_TIME)
        return 0
    micros = read_micros(event.event_time)
    if micros is None:
        found.append(_BAD_TIME)
        return 0
    correction = 0
    if event.HasField("sent_time"):
        sent_micros = read_micros(event.sent_time)
        if sent_micros is None:
            found.append(_BAD_SENT_TIME)
        elif not backfill:  # an import says when it was sent then, not now
            correction = clock_correction(sent_micros, receive_micros)
    window = rules.expected.window
    age = receive_micros - micros - correction
    if -window.ahead_micros <= age <= window.event_micros:
        return correction
    if not window.holds(
        micros + correction, receive_micros, has_business_key=has_business_key(event, kind), backfill=backfill
    ):
        found.append(_OUT_OF_WINDOW)
    return correction


def _identify(event: Event, kind: str | None, rules: WorkspaceRules, found: list[Reason]) -> Identity:
    """Returns whom the event names; adds what is wrong with how it does."""
    if not event.HasField("identifiers"):
        identity = Identity([], [], [])
    else:
        identifiers = event.identifiers
        if identifiers.device_ids or identifiers.other_ids:
            found.extend(too_many(identifiers))
        identity = rules.identification.identify(identifiers)
        if identity.rejections:
            found.extend(identity.rejections)
    if not identity.tokens and kind != "adjustment" and not identity.rejections:
        found.append(_NO_IDENTIFIER)
        found.extend(identity.warnings)
    return identity


def _refused(
    event: Event,
    event_id: str,
    rules: WorkspaceRules,
    payload_digest: bytes,
    kind: str | None,
    readings: list[texts.Reading],
    rejections: list[Reason],
) -> Packed:
    """Packs an event that can never be right: it travels along, to be counted and found again."""
    named = event_id
    if any(reason.code in _UNUSABLE_ID for reason in rejections):
        named = derived_event_id(rules.content_digest(event, kind, readings))
    digest = event_digest(rules.workspace_id, named)
    context = event.context
    page = read_url(context.page_url) if context.page_url else NO_URL
    referrer = read_url(context.referrer_url) if context.referrer_url else NO_URL
    strip(event, page, referrer)
    if not event.event_id:
        event.event_id = event_id
    rest = refused_rest(event, rejections)
    learned = AdmittedEvent(
        verdict=_REJECTED,
        reasons=to_messages(rejections),
        payload_digest=_VERSION_BYTE + payload_digest,
    )
    claim = EventClaim(
        event_digest=digest,
        payload_digest=payload_digest,
        payload_digest_version=PAYLOAD_DIGEST_VERSION,
        verdict=_REJECTED,
    )
    return Packed(event_id, _REJECTED, rejections, "", claim, _join(rest, learned))


def _add_findings(
    learned: AdmittedEvent,
    event: Event,
    reasons: list[Reason],
    evidence: ChannelEvidence | None,
    agent: Agent,
    address: str,
    correction: int,
) -> None:
    """Adds what only some events have."""
    if reasons:
        learned.reasons.extend(to_messages(reasons))
    if evidence is not None:
        learned.channel_evidence.CopyFrom(evidences.to_message(evidence, event))
    if address or agent.name:
        learned.visitor.CopyFrom(
            Visitor(
                bot=agent.kind is AgentKind.BOT,
                bot_name=agent.name,
                bot_category=agent.category,
                address_token=address,
            )
        )
    if correction:
        learned.clock_correction_micros = correction


def _rank(observer: int, *, is_touchpoint: bool) -> SourceRank:
    """Returns whose word it is; unset is a browser for a touchpoint, the backend for anything else."""
    if observer == Observer.BACKEND or (not observer and not is_touchpoint):
        return SourceRank.BACKEND
    return SourceRank.FRONT


def _settle_time(event: Event, correction: int) -> None:
    """Truncates the event's time to microseconds and corrects it."""
    moment = event.event_time
    if correction:
        micros = moment.seconds * MICROS + moment.nanos // 1_000 + correction
        moment.seconds, moment.nanos = micros // MICROS, micros % MICROS * 1_000
    elif moment.nanos % 1_000:
        moment.nanos -= moment.nanos % 1_000


def _join(event: Event, learned: AdmittedEvent) -> bytes:
    """Returns `learned` with the event in its field 1, without copying the event into it first.

    A message may be written as the concatenation of its parts; setting the field would cost twice as much.
    """
    body = event.SerializeToString()
    return b"\x0a" + _varint(len(body)) + body + learned.SerializeToString()


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
