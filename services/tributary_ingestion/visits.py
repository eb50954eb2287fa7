"""The commonest event by far, packed quickly: a touchpoint of a visitor with nothing unusual about it.

Whatever is the same for many such events (the campaign, the user agent, the referrer, the address) is decided once, by
the same rules as in `intake`, and kept. The one rule: what is packed here is what `intake.take` would have packed, or
nothing: whatever a rule has something to say about (a reason, a warning, a cut) takes the long way. A property test
holds the two together; a new rule belongs into `intake`, and here only if it may concern such an event.
"""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent, AgentEvidence
from tributary.event.v1 import verdict_pb2
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.touchpoint_pb2 import Touchpoint
from tributary_domain import texts, validation
from tributary_domain.bots import Observer, judge_user_agent
from tributary_domain.business_keys import NO_KEY
from tributary_domain.channel_evidence import Touch
from tributary_domain.event_times import MICROS, clock_correction, read_micros
from tributary_domain.ids import RESERVED_EVENT_PREFIXES
from tributary_domain.payloads import PAYLOAD_DIGEST_VERSION, EncodedPart, encode_touch, encode_visit
from tributary_domain.personal import may_hold_personal
from tributary_domain.sealing import key_name
from tributary_domain.urls import NO_URL, Url, read_referrer, read_url
from tributary_domain.validation import EVENT_ID_CHARACTERS
from tributary_ingestion.admitted import write_click_ids, write_evidence
from tributary_ingestion.match_keys import match_keys_of_visit
from tributary_ingestion.packed import BACKEND_RANK, FRONT_RANK, UTM_IGNORED, Packed
from tributary_ingestion.reasons import to_messages
from tributary_ingestion.sliced import SlicedEvent
from tributary_ingestion.touches import touch_of
from tributary_ingestion.workspace_rules import WorkspaceRules
from tributary_storage.codec.framing import length_tag, varint

KEPT: Final = 16_384
"""Of what is decided once, per table: then the table starts anew."""

_KEPT_CHARACTERS: Final = 256
"""Of a referrer: longer ones are one of a kind."""

_ACCEPTED: Final = verdict_pb2.VERDICT_ACCEPTED
_EVENT_TAG: Final = length_tag(AdmittedEvent.EVENT_FIELD_NUMBER)
_EVIDENCE_TAG: Final = length_tag(AdmittedEvent.CHANNEL_EVIDENCE_FIELD_NUMBER)
_TOKEN_TAG: Final = length_tag(AdmittedEvent.IDENTITY_TOKENS_FIELD_NUMBER)
_AGENT_EVIDENCE_TAG: Final = length_tag(AdmittedEvent.AGENT_EVIDENCE_FIELD_NUMBER)
_ADDRESS_TOKEN_TAG: Final = length_tag(AgentEvidence.ADDRESS_TOKEN_FIELD_NUMBER)
_WARNING: Final = AdmittedEvent(reasons=to_messages([UTM_IGNORED])).SerializeToString()
_HEADS: Final = {
    rank: AdmittedEvent(verdict=_ACCEPTED, source_rank=rank).SerializeToString()
    + length_tag(AdmittedEvent.PAYLOAD_DIGEST_FIELD_NUMBER)
    + bytes((9, PAYLOAD_DIGEST_VERSION))
    for rank in (FRONT_RANK, BACKEND_RANK)
}
"""Rank of the observer -> what comes before a payload digest."""

_read_event = attrgetter(
    *("event_id", "event_time", "touchpoint", "identifiers", "session_id", "context"),
    *("click_ids", "browser_ids", "consent", "human_check", "experiment", "origin", "traffic"),
)
_NOTHING_ELSE: Final = [b"", b"", b"", b"", b"", 0, 0]
_NO_APP: Final = ("", "", "")
"""Language, app and its version where there are none."""
_read_context = attrgetter(*texts.CONTEXT.names)
_SESSION_CHARACTERS: Final = texts.EVENT.limit("session_id")
_URL_CHARACTERS: Final = texts.CONTEXT.limit("page_url")
_VISITOR_ID_TAG: Final = 0x12
"""First byte of `Identifiers` that begin with the visitor id; a second byte below 128 is its length."""

Key = TypeVar("Key")
Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True, eq=False)
class _KnownTouch:
    """What was decided on a part `touchpoint`."""

    encoded: EncodedPart
    touch: Touch
    """Without page and referrer."""
    alike: object
    """The same for all touches that page and referrer tell apart, if anything does."""


_KnownVisitor = tuple[bytes, bytes]
"""The token, as a field of `AdmittedEvent`; the name of the visitor's data key, empty where match keys are not kept."""


class VisitBook:
    """The `Visits` of every workspace, made anew when its rules are."""

    def __init__(self) -> None:
        self._made: dict[str, Visits] = {}

    def of(self, rules: WorkspaceRules) -> "Visits":
        """Returns the visits of a workspace."""
        known = self._made.get(rules.workspace_id)
        if known is None or known.rules is not rules:
            known = self._made[rules.workspace_id] = Visits(rules)
        return known


class Visits:
    """Packs the usual visits of one workspace.

    Attributes:
        rules: The workspace's.
    """

    def __init__(self, rules: WorkspaceRules) -> None:
        self.rules = rules
        self._digest = rules.event_digest
        self._reads_paths = rules.channels.reads_paths
        self._needs_session = "touchpoint" in rules.expected.kinds_with_session
        self._expected = rules.expected._replace(kinds_with_session=frozenset())
        self._least_age, self._most_age = -rules.expected.window.ahead_micros, rules.expected.window.event_micros
        self._touches: dict[bytes, _KnownTouch | None] = {}
        self._alike: dict[tuple[Any, ...], object] = {}
        self._channels: dict[tuple[Any, ...], tuple[bytes, bool] | None] = {}
        self._visitors: dict[str, _KnownVisitor | None] = {}
        self._agents: tuple[dict[str, bool], ...] = tuple({} for _ in Observer)
        self._addresses: dict[str, bytes | None] = {"": b""}

    def take(self, event: SlicedEvent, receive_micros: int) -> Packed | None:
        """Packs an event; returns `None`, and changes nothing, if it is not a usual visit.

        Args:
            event: As sent. Ours from now on.
            receive_micros: When the call came.
        """
        event_id, moment, touchpoint, named, session_id, context, *rest = _read_event(event)
        if rest != _NOTHING_ELSE or event.properties:
            return None
        try:
            known = self._touches[touchpoint]
        except KeyError:
            known = _keep(self._touches, touchpoint, self._know_touch(touchpoint))
        size = len(named)
        if known is None or not 2 < size < 130 or named[0] != _VISITOR_ID_TAG or named[1] != size - 2:
            return None
        if not 0 < len(event_id) <= EVENT_ID_CHARACTERS or event_id[:3] in RESERVED_EVENT_PREFIXES:
            return None
        if may_hold_personal(event_id) or (self._needs_session and not session_id.strip()):
            return None
        if session_id and (len(session_id) > _SESSION_CHARACTERS or may_hold_personal(session_id)):
            return None
        nanos = moment.nanos
        age = receive_micros - moment.seconds * MICROS - nanos // 1_000
        if not (0 <= nanos < 1_000_000_000 and self._least_age <= age <= self._most_age):
            return None
        if event.HasField("sent_time") and _is_wrong(event.sent_time, receive_micros):
            return None

        said = _read_context(context)
        client_ip, user_agent, page_url, referrer_url, *_ = said
        observed_by = context.observed_by
        if said[4:] == _NO_APP:
            if len(page_url) > _URL_CHARACTERS or len(referrer_url) > _KEPT_CHARACTERS:
                return None
        elif any(map(int.__gt__, map(len, said), texts.CONTEXT.limits)) or may_hold_personal("\0".join(said[4:])):
            return None
        try:
            is_human = self._agents[observed_by][user_agent]
        except (KeyError, IndexError):
            is_human = self._know_agent(user_agent, observed_by)
        try:
            agent_evidence = self._addresses[client_ip]
        except KeyError:
            agent_evidence = _keep(self._addresses, client_ip, self._know_address(client_ip))
        page = read_url(page_url)
        if not is_human or agent_evidence is None or page.is_cut:
            return None
        clicks = page.click_ids
        path = page.path if self._reads_paths else ""
        place: tuple[Any, ...] = (known.alike, page.host, path, page.mailer, page.campaign, referrer_url)
        if clicks:
            place += tuple(clicks)
            if "gad_source" in clicks or "gad_campaignid" in clicks:  # whose few values decide, too
                place += clicks.get("gad_source"), clicks.get("gad_campaignid")
        try:
            channel = self._channels[place]
        except KeyError:
            channel = _keep(self._channels, place, self._know_channel(known.touch, page, referrer_url))
        try:
            visitor_id = str(named[2:], "utf-8")
        except UnicodeDecodeError:
            return None
        try:
            who = self._visitors[visitor_id]
        except KeyError:
            who = _keep(self._visitors, visitor_id, self._know_visitor(visitor_id))
        encoded = encode_visit(known.encoded, session_id, visitor_id, said, observed_by)
        if channel is None or who is None or encoded is None:
            return None

        written, is_warned = channel
        token, key_name_of_visitor = who
        match_keys = None
        if key_name_of_visitor:
            match_keys = match_keys_of_visit(client_ip, user_agent, observed_by, named, key_name_of_visitor)
        payload_digest = self.rules.payload_digest.of(encoded)
        if nanos % 1_000:
            moment.nanos -= nanos % 1_000
        if clicks:
            written += write_click_ids(clicks, moment.SerializeToString())
        context.ClearField("client_ip")
        context.ClearField("user_agent")
        event.ClearField("identifiers")
        body = event.SerializeToString()
        rank = BACKEND_RANK if observed_by == Observer.BACKEND else FRONT_RANK
        learned = _HEADS[rank] + payload_digest + token + agent_evidence
        channel_evidence = _EVIDENCE_TAG + varint(len(written)) + written
        warning = _WARNING if is_warned else b""
        admitted = b"".join((_EVENT_TAG, varint(len(body)), body, learned, channel_evidence, warning))
        return Packed(
            event_id,
            _ACCEPTED,
            [UTM_IGNORED] if is_warned else [],
            self._digest(event_id),
            payload_digest,
            NO_KEY,
            rank,
            admitted,
            match_keys,
        )

    def _know_channel(self, touch: Touch, page: Url, referrer_url: str) -> tuple[bytes, bool] | None:
        """Decides on the channel of a touch on a page like this.

        Returns:
            A serialised `ChannelEvidence` without click ids, and whether UTM parameters were ignored.
        """
        referrer = read_referrer(referrer_url)
        if referrer.is_cut or len(referrer_url) > _KEPT_CHARACTERS:
            return None
        evidence = self.rules.channels.classify(touch._replace(page=page, referrer=referrer))
        return write_evidence(evidence), evidence.utm_ignored

    def _know_touch(self, touchpoint: bytes) -> _KnownTouch | None:
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
        if reasons or any(True for _ in texts.personal_texts(readings)):
            return None
        touch = touch_of(event, readings, NO_URL, NO_URL)
        decides = touch.kind, touch.utm, touch.ad, touch.landing, touch.coupon_code
        alike = self._alike.get(decides) or _keep(self._alike, decides, object())
        return _KnownTouch(encode_touch(event, readings), touch, alike)

    def _know_visitor(self, visitor_id: str) -> _KnownVisitor | None:
        token = self.rules.identification.visitor_token(visitor_id)
        if not token:
            return None
        written = token.encode()
        name = key_name(self.rules.workspace_id, token) if self.rules.wrapping_keys else b""
        return _TOKEN_TAG + varint(len(written)) + written, name

    def _know_agent(self, user_agent: str, observed_by: int) -> bool:
        if not 0 <= observed_by < len(self._agents) or len(user_agent) > texts.CONTEXT.limit("user_agent"):
            return False
        agent, reason = judge_user_agent(user_agent, observed_by, is_touchpoint=True)
        return _keep(self._agents[observed_by], user_agent, reason is None and not agent.name)

    def _know_address(self, client_ip: str) -> bytes | None:
        if len(client_ip) > texts.CONTEXT.limit("client_ip"):
            return None
        token, address_list = self.rules.judge_address(client_ip)
        if not token or address_list:
            return None
        written = token.encode()
        written = _ADDRESS_TOKEN_TAG + varint(len(written)) + written
        return _AGENT_EVIDENCE_TAG + varint(len(written)) + written


def _is_wrong(sent_time: Any, receive_micros: int) -> bool:
    """Tells whether the client's clock has to be corrected, or says no time."""
    sent_micros = read_micros(sent_time)
    return sent_micros is None or clock_correction(sent_micros, receive_micros) != 0


def _keep(table: dict[Key, Kept], key: Key, value: Kept) -> Kept:
    if len(table) >= KEPT:
        table.clear()
    table[key] = value
    return value
