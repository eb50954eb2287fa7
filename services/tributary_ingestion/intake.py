"""One event at the door: checked, classified, stripped of what is personal, and packed for dedup.

This is the hot path: it runs for every event, so it reads few fields, each once, and makes no object it can do without.
The one rule: nothing here waits. What an event means is decided by the domain; whether it exists, by dedup.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import TRAFFIC_INTERNAL, TRAFFIC_TEST, Event
from tributary_domain import texts, validation
from tributary_domain.bots import (
    ADDRESS_CATEGORY,
    Agent,
    AgentKind,
    Observer,
    is_persons_own,
    judge_user_agent,
)
from tributary_domain.business_keys import NO_KEY, business_key
from tributary_domain.channel_evidence import VISIT, Touch, click_ids_of
from tributary_domain.event_times import (
    CLAIMS_LAST_MICROS,
    MICROS,
)
from tributary_domain.human_check import PROVIDERS
from tributary_domain.identifiers import Identity
from tributary_domain.ids import derived_event_id
from tributary_domain.payloads import PAYLOAD_DIGEST_VERSION
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.redacted_ids import refuse_tokens, stored_event_id
from tributary_domain.urls import NO_URL, read_referrer, read_url
from tributary_domain.velocity import Count
from tributary_ingestion.admitted import as_sent, join, write_learned, write_rest, write_vendors
from tributary_ingestion.click_ids import settle_click_ids
from tributary_ingestion.clocks import FOR_TIME, check_times, settle_times
from tributary_ingestion.human_checks import TOKEN_LIFE_MICROS, Token
from tributary_ingestion.match_keys import match_keys_of
from tributary_ingestion.packed import BACKEND_RANK, FRONT_RANK, UTM_IGNORED, Packed
from tributary_ingestion.placeholders import drop_placeholders, strip_ids
from tributary_ingestion.reasons import to_messages
from tributary_ingestion.redaction import is_telling, redact, redacted_url
from tributary_ingestion.sealing import forget_sender, refused_rest, strip
from tributary_ingestion.sliced import SlicedEvent, whole_event
from tributary_ingestion.touches import set_click_ids, touch_of
from tributary_ingestion.unknown_values import settle_unknown_values
from tributary_ingestion.visits import Visits
from tributary_ingestion.workspace_rules import WorkspaceRules

_ACCEPTED: Final = verdict_pb2.VERDICT_ACCEPTED
_QUARANTINED: Final = verdict_pb2.VERDICT_QUARANTINED
_REJECTED: Final = verdict_pb2.VERDICT_REJECTED
_NEVER_COUNTED: Final = frozenset({TRAFFIC_INTERNAL, TRAFFIC_TEST})
_VERSION_BYTE: Final = bytes([PAYLOAD_DIGEST_VERSION])
_NO_CONTEXT: Final[texts.Reading] = (("",) * 7, "")
_NO_CLICKS: Final[Mapping[str, str]] = {}
_WITH_COLLECTIONS: Final = frozenset({"conversion", "adjustment"})
"""Kinds with lists and maps of texts, which are not among the readings."""
_UNUSABLE_ID: Final = frozenset({ReasonCode.EVENT_ID_TOO_LONG, ReasonCode.EVENT_ID_RESERVED, ReasonCode.ID_PLACEHOLDER})

_NO_IDENTIFIER: Final = Reason(
    ReasonCode.IDENTIFIER_MISSING,
    "identifiers",
    "Send at least one identifier that stands for somebody: customer_id, visitor_id, email.",
)
_ADDRESS_LISTED: Final = Reason(
    ReasonCode.ADDRESS_LISTED, "context.client_ip", "This address is on a list of those that belong to no browser."
)
_ADDRESS_UNREADABLE: Final = Reason(
    ReasonCode.ADDRESS_UNREADABLE, "context.client_ip", "This is no IPv4 or IPv6 address, without a port; ignored."
)


def take_all(
    events: Sequence[Event | SlicedEvent],
    rules: WorkspaceRules,
    receive_micros: int,
    *,
    backfill: bool,
    visits: Visits | None = None,
    call_micros: int | None = None,
    retained_micros: int = 0,
) -> list[Packed]:
    """Packs the events of one call, in order.

    Args:
        events: As sent, all of them whole or all sliced. Ours from now on: they are changed.
        rules: Of the caller's workspace.
        receive_micros: When the call came.
        backfill: Whether the accept window is lifted.
        visits: Packs what is usual among sliced events.
        call_micros: The sender's clock when it made the call; `None` if it does not say.
        retained_micros: Since when the workspace has events of people; 0: since ever.

    Raises:
        DecodeError: A part of a sliced event is malformed.
    """

    def whole(event: Event | SlicedEvent) -> Packed:
        own = whole_event(event)
        return take(own, rules, receive_micros, call_micros, backfill=backfill, retained_micros=retained_micros)

    if visits is None or backfill or isinstance(events[0], Event):
        return [whole(event) for event in events]
    quick = visits.take
    return [quick(event, receive_micros) or whole(event) for event in events]


def take(
    event: Event,
    rules: WorkspaceRules,
    receive_micros: int,
    call_micros: int | None = None,
    *,
    backfill: bool,
    retained_micros: int = 0,
    is_known: bool = False,
) -> Packed:
    """Packs one event; one whose id is known whatever its time is, for what was accepted keeps its own."""
    kind = event.WhichOneof("kind")
    readings = texts.read_texts(event, kind)
    event_id = event.event_id
    # Looked through once, all together: hardly any event has what an e-mail address has in all its spellings.
    may_be_personal = texts.may_be_personal(event_id, readings)
    rejections = texts.check_texts(readings, may_be_personal=may_be_personal)
    validation.refuse(event, kind, readings, rules.expected, rejections)
    refuse_tokens(event_id, readings, rejections)
    clocks = receive_micros, call_micros, retained_micros
    correction = check_times(event, kind, rules, clocks, rejections, backfill=backfill)
    if is_known:
        rejections = [reason for reason in rejections if reason not in FOR_TIME]
    identity = _identify(event, kind, readings, rules, rejections)
    payload_digest = rules.payload_digest(event, kind, readings)
    if rejections:
        again = None
        if len(rejections) == 1 and rejections[0] in FOR_TIME:
            again = Event()
            again.CopyFrom(event)  # which is stripped as it is refused
        refused = _refuse(event, kind, readings, rules, payload_digest, rejections, identity.tokens)
        if again is None:
            return refused
        known = take(again, rules, receive_micros, call_micros, backfill=backfill, is_known=True)
        # Whoever repeats what is known is judged and sealed no second time.
        return refused._replace(if_known=known._replace(match_keys=None, counts=(), token=None))
    event_id = event_id or derived_event_id(rules.content_digest(event, kind, readings))

    is_touchpoint = kind == "touchpoint"
    digest = rules.event_digest(event_id)
    warnings = identity.warnings
    settle_unknown_values(event, kind, warnings)  # after the digests of what was sent, before what depends on it
    dropped = drop_placeholders(event, kind, readings)  # likewise
    if settle_click_ids(event, readings, warnings) or dropped:
        warnings.extend(dropped)
        readings = texts.read_texts(event, kind)
    if strip_ids(event, readings):
        readings = texts.read_texts(event, kind)
    key = NO_KEY if is_touchpoint else business_key(rules.workspace_id, event, kind, digest)
    target = event.adjustment.event_id if kind == "adjustment" else ""
    if may_be_personal or kind in _WITH_COLLECTIONS or event.properties or is_telling(event.event_id, readings):
        redacted = redact(event, kind, readings, rules.redaction_token)  # after all digests: they are of what was sent
        if redacted:
            warnings.extend(redacted)
            readings = texts.read_texts(event, kind)
    client_ip, user_agent, page_url, referrer_url, *_ = readings.get(texts.CONTEXT, _NO_CONTEXT)[0]
    observer = int(event.context.observed_by)
    agent, reason = judge_user_agent(user_agent, observer, is_touchpoint)
    suspicions: list[Reason] = []
    if reason is not None:
        (warnings if reason.code is ReasonCode.HTTP_LIBRARY_USER_AGENT else suspicions).append(reason)
    address_token = ""
    if client_ip:
        address_token, address_list = rules.judge_address(client_ip)
        if not address_token:
            warnings.append(_ADDRESS_UNREADABLE)
        elif address_list and is_persons_own(observer, is_touchpoint):
            suspicions.append(_ADDRESS_LISTED)
            if agent.kind is not AgentKind.BOT:
                agent = Agent(AgentKind.BOT, address_list, ADDRESS_CATEGORY)
    validation.suspect(event, kind, readings, rules.expected, suspicions)
    validation.warn(event, kind, rules.expected, warnings)
    page = read_url(page_url) if page_url else NO_URL
    referrer = read_referrer(referrer_url) if referrer_url else NO_URL
    touch = evidence = None
    if is_touchpoint:
        touch = touch_of(event, readings, page, referrer)
        evidence = rules.channels.classify(touch)
        if evidence.utm_ignored:
            warnings.append(UTM_IGNORED)
    settle_times(event, correction, receive_micros, warnings)
    if page.is_cut or referrer.is_cut:
        cut = (redacted_url(page_url, "context.page_url"), redacted_url(referrer_url, "context.referrer_url"))
        warnings.extend(reason for reason in cut if reason is not None)
    verdict = _QUARANTINED if suspicions else _ACCEPTED
    reasons = [*suspicions, *warnings]
    rank = _rank(event, kind, observer, rules)
    event.event_id = event.event_id or event_id
    match_keys = None
    if rules.wrapping_keys and identity.tokens:
        match_keys = match_keys_of(event, readings, rules.workspace_id, identity.tokens[0])
    counts: Sequence[Count] = ()
    if kind == "conversion" and not (backfill or suspicions or event.traffic in _NEVER_COUNTED):
        own_address = address_token if is_persons_own(observer, is_touchpoint) else ""
        clicks = click_ids_of(Touch(VISIT, page, click_ids=set_click_ids(readings)))
        member = key.order_digest or digest
        millis = event.event_time.seconds * 1_000 + event.event_time.nanos // 1_000_000
        counts = rules.velocity.counts(
            event.conversion.name, member, millis, receive_micros // 1_000, identity.tokens, own_address, clicks
        )
    token = None
    if texts.HUMAN_CHECK in readings and readings[texts.HUMAN_CHECK][1] and not (backfill or event.human_check.verdict):
        remote_ip = client_ip if is_persons_own(observer, is_touchpoint) else ""
        carrier = key.order_digest or digest if kind == "conversion" else b""
        token = _token(event, remote_ip, receive_micros, carrier)
    strip(event, readings, page, referrer)
    learned = write_learned(
        verdict, identity.tokens, _VERSION_BYTE + payload_digest, rank, key.conversion_id, address_token
    )
    adjustment_key = key.order_digest if kind == "adjustment" else b""
    if reasons or agent.name or correction or adjustment_key:  # a token in place of an event id comes with a warning
        claimed_by = b"" if event.event_id == event_id else digest
        learned += write_rest(reasons, agent, correction, adjustment_key, claimed_by, as_sent(event, event_id, target))
    if rules.vendors and texts.CONSENT in readings:
        learned += write_vendors(event.consent, rules.vendors)
    if event.traffic in _NEVER_COUNTED:
        key = key._replace(order_digest=b"", value_digest=b"")  # known by its event id: it must not hold a real order
    clicks = click_ids_of(touch) if touch is not None else _NO_CLICKS
    admitted = join(event, learned, evidence, clicks)
    is_late = receive_micros - event.event_time.seconds * MICROS > CLAIMS_LAST_MICROS
    return Packed(
        event_id, verdict, reasons, digest, payload_digest, key, rank, admitted, match_keys, counts, token, is_late
    )


def _rank(event: Event, kind: str | None, observer: int, rules: WorkspaceRules) -> int:
    """Returns whose word on a value counts more: the higher."""
    if kind == "conversion" and rules.ranks:
        ranks = rules.ranks.get(event.conversion.name)
        if ranks is not None:
            return ranks[observer] if observer < len(ranks) else ranks[Observer.BROWSER]
    return BACKEND_RANK if observer == Observer.BACKEND or not (observer or kind == "touchpoint") else FRONT_RANK


def _token(event: Event, remote_ip: str, receive_micros: int, carrier: bytes) -> Token:
    check = event.human_check
    provider = PROVIDERS[check.provider] if 0 <= check.provider < len(PROVIDERS) else None
    event_micros = event.event_time.seconds * MICROS + event.event_time.nanos // 1_000
    return Token(provider, check.token, remote_ip, receive_micros - event_micros > TOKEN_LIFE_MICROS, carrier)


def _refuse(
    event: Event,
    kind: str | None,
    readings: texts.Readings,
    rules: WorkspaceRules,
    payload_digest: bytes,
    rejections: list[Reason],
    tokens: list[str],
) -> Packed:
    """Packs an event that can never be right: it travels along, to be counted and found again.

    Also by whom it names, if they are erased. Of whom it names nobody by, nothing is kept.
    """
    derived = derived_event_id(rules.content_digest(event, kind, readings))
    event_id = event.event_id or derived
    is_usable = not any(reason.code in _UNUSABLE_ID for reason in rejections)
    event.event_id = stored_event_id(event_id, rules.redaction_token)
    kept = refused_rest(event, rejections)
    if kept is event:  # else nothing is left to be looked through, which may be megabytes
        _, _, page_url, referrer_url, *_ = readings.get(texts.CONTEXT, _NO_CONTEXT)[0]
        strip(event, readings, read_url(page_url), read_url(referrer_url))
        redact(event, kind, readings, rules.redaction_token)
        if not tokens:
            forget_sender(event)
    learned = AdmittedEvent(
        verdict=_REJECTED,
        reasons=to_messages(rejections),
        identity_tokens=tokens,
        payload_digest=_VERSION_BYTE + payload_digest,
    )
    return Packed(
        event_id,
        _REJECTED,
        rejections,
        rules.event_digest(event_id if is_usable else derived),
        payload_digest,
        NO_KEY,
        0,
        join(kept, learned.SerializeToString()),
    )


def _identify(
    event: Event, kind: str | None, readings: texts.Readings, rules: WorkspaceRules, found: list[Reason]
) -> Identity:
    """Returns whom the event names; adds what is wrong with how it does."""
    named = readings.get(texts.IDENTIFIERS)
    identity = _nobody() if named is None else rules.identification.identify(event.identifiers, named[0])
    if identity.rejections:
        found.extend(identity.rejections)
    elif not identity.tokens and kind != "adjustment":
        found.append(_NO_IDENTIFIER)
        found.extend(identity.warnings)
    return identity


def _nobody() -> Identity:
    return Identity([], [], [])
