"""What is decided on one part of a touchpoint, whatever else it has: by the same rules as in `intake`.

The one rule: nothing (`None`) is decided on a part of which a rule has more to say than fits here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf.message import DecodeError

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent, AgentEvidence
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary.event.v1.touchpoint_pb2 import Touchpoint
from tributary_domain import texts, validation
from tributary_domain.blanks import blank_ended
from tributary_domain.bots import judge_user_agent
from tributary_domain.channel_evidence import Touch
from tributary_domain.payloads import EncodedPart, encode_properties, encode_touch
from tributary_domain.personal import may_hold_personal
from tributary_domain.personal_devices import holds_device
from tributary_domain.personal_names import is_personal_property
from tributary_domain.placeholders import placeholders
from tributary_domain.property_values import clean_property
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.sealing import key_name
from tributary_domain.urls import NO_URL, Url, read_referrer
from tributary_ingestion.admitted import write_evidence, write_rest
from tributary_ingestion.match_keys import is_telling
from tributary_ingestion.placeholders import is_code
from tributary_ingestion.redaction import telling_texts
from tributary_ingestion.touches import touch_of
from tributary_ingestion.unknown_values import settle_unknown_values
from tributary_ingestion.workspace_rules import WorkspaceRules
from tributary_storage.codec.framing import length_tag, varint

KEPT: Final = 16_384
"""Of what is decided once, per table: then the table starts anew."""
REFERRER_CHARACTERS: Final = 256
"""Of a referrer: longer ones are one of a kind."""

_EVIDENCE_TAG: Final = length_tag(AdmittedEvent.CHANNEL_EVIDENCE_FIELD_NUMBER)
_TOKEN_TAG: Final = length_tag(AdmittedEvent.IDENTITY_TOKENS_FIELD_NUMBER)
_AGENT_EVIDENCE_TAG: Final = length_tag(AdmittedEvent.AGENT_EVIDENCE_FIELD_NUMBER)
_ADDRESS_TOKEN_TAG: Final = length_tag(AgentEvidence.ADDRESS_TOKEN_FIELD_NUMBER)

Key = TypeVar("Key")
Kept = TypeVar("Kept")


def keep(table: dict[Key, Kept], key: Key, value: Kept) -> Kept:
    """Adds to a table what was decided, and returns it."""
    if len(table) >= KEPT:
        table.clear()
    table[key] = value
    return value


@dataclass(frozen=True, slots=True, eq=False)
class KnownTouch:
    """What was decided on a part `touchpoint`."""

    encoded: EncodedPart
    touch: Touch
    """Without page and referrer."""
    alike: object
    """The same for all touches that page and referrer tell apart, if anything does."""


class KnownChannel(NamedTuple):
    """What was decided on where a touch came from."""

    field: bytes
    """Its evidence without click ids, as a field of `AdmittedEvent`."""
    evidence: bytes
    """The same, a serialised `ChannelEvidence`."""
    is_warned: bool
    """Whether UTM parameters were ignored."""


class Who(NamedTuple):
    """Whom an event names."""

    texts: str
    """Those of `texts.IDENTIFIERS`, joined."""
    tokens: bytes
    """As fields of `AdmittedEvent`."""
    key_name: bytes
    """Of the data key; empty where match keys are not kept."""
    is_telling: bool
    """Whether a destination may recognise the person by it."""


class KnownAgent(NamedTuple):
    """What was decided on a user agent."""

    verdict: verdict_pb2.Verdict.ValueType
    reasons: list[Reason]
    """Why, or a warning. Shared: never changed."""
    written: bytes
    """Reasons and what the agent is, as fields of `AdmittedEvent`."""


def read_properties(entries: Sequence[bytes]) -> bytes | None:
    """Reads properties of which there is nothing to say.

    Args:
        entries: Each serialised, as they stand in an event.

    Returns:
        What they add to the payload, encoded.
    """
    if len(entries) > validation.MAX_PROPERTIES:
        return None
    said: dict[str, str] = {}
    for entry in entries:
        try:
            read = Event.PropertiesEntry.FromString(entry)
        except DecodeError:
            return None
        read.DiscardUnknownFields()
        name, value = read.key, read.value
        if read.ByteSize() != len(entry) or name in said or not 1 <= len(name) <= validation.PROPERTY_NAME_CHARACTERS:
            return None
        if len(value) > validation.PROPERTY_CHARACTERS or may_hold_personal(value) or _is_personal(name):
            return None
        if clean_property(name, value) != value:
            return None
        said[name] = value
    return encode_properties(said)


def may_hold_client_ip(entries: Sequence[bytes], client_ip: str) -> bool:
    """Tells whether any of some properties, serialised, may hold the address that the event says it came from."""
    written = (client_ip.rpartition(":")[2] if "." in client_ip else client_ip).encode()
    return any(written in entry for entry in entries)


@lru_cache(4_096)
def _is_personal(name: str) -> bool:
    return may_hold_personal(name) or is_personal_property(name) or holds_device(name)


HUMAN: Final = KnownAgent(verdict_pb2.VERDICT_ACCEPTED, [], b"")


class VisitParts:
    """Decides on the parts of the touchpoints of one workspace.

    Args:
        rules: The workspace's.
    """

    def __init__(self, rules: WorkspaceRules) -> None:
        self._rules = rules
        self._expected = rules.expected._replace(kinds_with_session=frozenset())
        self._alike: dict[tuple[Any, ...], object] = {}

    def channel(self, touch: Touch, page: Url, referrer_url: str) -> KnownChannel | None:
        """Decides on the channel of a touch on a page like this."""
        referrer = read_referrer(referrer_url)
        if referrer.is_cut or len(referrer_url) > REFERRER_CHARACTERS:
            return None
        evidence = self._rules.channels.classify(touch._replace(page=page, referrer=referrer))
        written = write_evidence(evidence)
        field = _EVIDENCE_TAG + varint(len(written)) + written
        return KnownChannel(field, written, evidence.utm_ignored)

    def touch(self, touchpoint: bytes) -> KnownTouch | None:
        """Decides on a part `touchpoint`, by all rules that an event of nothing else can break."""
        event = Event()
        try:
            event.touchpoint.CopyFrom(Touchpoint.FromString(touchpoint))
        except DecodeError:
            return None
        event.DiscardUnknownFields()
        if not touchpoint or event.touchpoint.ByteSize() != len(touchpoint):
            return None
        readings = texts.read_texts(event, "touchpoint")
        reasons = texts.check_texts(readings)
        validation.refuse(event, "touchpoint", readings, self._expected, reasons)
        validation.suspect(event, "touchpoint", readings, self._expected, reasons)
        validation.warn(event, "touchpoint", self._expected, reasons)
        settle_unknown_values(event, "touchpoint", reasons)
        if reasons or texts.personal_texts(readings) or placeholders(readings) or telling_texts(readings):
            return None
        if blank_ended(readings) or (event.touchpoint.coupon_code and not is_code(event.touchpoint.coupon_code)):
            return None
        touch = touch_of(event, readings, NO_URL, NO_URL)
        decides = touch.kind, touch.utm, touch.ad, touch.landing, touch.coupon_code
        alike = self._alike.get(decides) or keep(self._alike, decides, object())
        return KnownTouch(encode_touch(event, readings), touch, alike)

    def visitor(self, named: bytes) -> Who | None:
        """Decides on a part `identifiers` that is nothing but a visitor id."""
        try:
            visitor_id = str(named[2:], "utf-8")
        except UnicodeDecodeError:
            return None
        token = self._rules.identification.visitor_token(visitor_id)
        if not token:
            return None
        name = key_name(self._rules.workspace_id, token) if self._rules.wrapping_keys else b""
        written = token.encode()
        return Who(f"\0{visitor_id}\0\0\0\0", _TOKEN_TAG + varint(len(written)) + written, name, is_telling=False)

    def identify(self, named: bytes) -> Who | None:
        """Decides on a part `identifiers` of texts, of which there is nothing to say."""
        try:
            identifiers = Identifiers.FromString(named)
        except DecodeError:
            return None
        identifiers.DiscardUnknownFields()
        if identifiers.device_ids or identifiers.other_ids or identifiers.HasField("address"):
            return None
        if identifiers.apple_advertising_ids or identifiers.android_advertising_ids:
            return None
        said = texts.IDENTIFIERS.read(identifiers)
        if identifiers.ByteSize() != len(named) or max(map(len, said)) > texts.IDENTIFIER_CHARACTERS:
            return None
        identity = self._rules.identification.identify(identifiers, said)
        tokens = identity.tokens
        if not tokens or identity.rejections or identity.warnings:
            return None
        return self._who("\0".join(said), tokens, is_telling=is_telling(said))

    def _who(self, said: str, tokens: list[str], *, is_telling: bool) -> Who:
        name = key_name(self._rules.workspace_id, tokens[0]) if self._rules.wrapping_keys else b""
        written = [token.encode() for token in tokens]
        return Who(said, b"".join([_TOKEN_TAG + varint(len(token)) + token for token in written]), name, is_telling)

    def agent(self, user_agent: str, observed_by: int) -> KnownAgent:
        """Decides on a user agent."""
        agent, reason = judge_user_agent(user_agent, observed_by, is_touchpoint=True)
        if reason is None and not agent.name:
            return HUMAN
        is_warned = reason is None or reason.code is ReasonCode.HTTP_LIBRARY_USER_AGENT
        reasons = [] if reason is None else [reason]
        verdict = verdict_pb2.VERDICT_ACCEPTED if is_warned else verdict_pb2.VERDICT_QUARANTINED
        return KnownAgent(verdict, reasons, write_rest(reasons, agent))

    def address(self, client_ip: str) -> bytes | None:
        """Decides on a client address; returns the evidence of it as a field of `AdmittedEvent`."""
        token, address_list = self._rules.judge_address(client_ip)
        if not token or address_list:
            return None
        written = token.encode()
        size = len(written)
        return b"".join((_AGENT_EVIDENCE_TAG, varint(size + 2), _ADDRESS_TOKEN_TAG, varint(size), written))
