"""The commonest event by far, packed quickly: a touchpoint with nothing unusual about it, though it may be a bot's.

Whatever is the same for many such events (the campaign, the user agent, the referrer, the address) is decided once, by
the same rules as in `intake`, and kept. The one rule: what is packed here is what `intake.take` would have packed, or
nothing: whatever a rule has something to say about (a reason, a warning, a cut) takes the long way. A property test
holds the two together; a new rule belongs into `intake`, and here only if it may concern such an event.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1 import verdict_pb2
from tributary_domain import texts
from tributary_domain.blanks import bare
from tributary_domain.bots import Observer
from tributary_domain.business_keys import NO_KEY
from tributary_domain.event_times import MICROS, clock_correction, read_micros
from tributary_domain.ids import REDACTED_PREFIX, RESERVED_EVENT_PREFIXES
from tributary_domain.payloads import PAYLOAD_DIGEST_VERSION, encode_visit
from tributary_domain.personal import may_hold_personal
from tributary_domain.personal_devices import holds_device
from tributary_domain.placeholders import is_placeholder
from tributary_domain.urls import read_url
from tributary_domain.validation import EVENT_ID_CHARACTERS
from tributary_ingestion.admitted import write_click_ids
from tributary_ingestion.match_keys import match_keys_of_visit
from tributary_ingestion.packed import BACKEND_RANK, FRONT_RANK, UTM_IGNORED, Packed
from tributary_ingestion.reasons import to_messages
from tributary_ingestion.sliced import SlicedEvent
from tributary_ingestion.visit_parts import (
    REFERRER_CHARACTERS,
    KnownAgent,
    KnownChannel,
    KnownTouch,
    VisitParts,
    Who,
    keep,
    may_hold_client_ip,
    read_properties,
)
from tributary_ingestion.workspace_rules import WorkspaceRules
from tributary_storage.codec.framing import length_tag, varint

_EVENT_TAG: Final = length_tag(AdmittedEvent.EVENT_FIELD_NUMBER)
_EVIDENCE_TAG: Final = length_tag(AdmittedEvent.CHANNEL_EVIDENCE_FIELD_NUMBER)
_WARNING: Final = AdmittedEvent(reasons=to_messages([UTM_IGNORED])).SerializeToString()
_HEADS: Final = {
    (verdict, rank): AdmittedEvent(verdict=verdict, source_rank=rank).SerializeToString()
    + length_tag(AdmittedEvent.PAYLOAD_DIGEST_FIELD_NUMBER)
    + bytes((9, PAYLOAD_DIGEST_VERSION))
    for verdict in (verdict_pb2.VERDICT_ACCEPTED, verdict_pb2.VERDICT_QUARANTINED)
    for rank in (FRONT_RANK, BACKEND_RANK)
}
"""Verdict and rank of the observer -> what comes before a payload digest."""

_read_event = attrgetter(
    *("event_id", "event_time", "touchpoint", "identifiers", "session_id", "context"),
    *("click_ids", "browser_ids", "consent", "human_check", "experiment", "origin", "traffic"),
)
_NOTHING_ELSE: Final = [b"", b"", b"", b"", b"", 0, 0]
_read_context = attrgetter(*texts.CONTEXT.names, "observed_by")
_BACKEND: Final = int(Observer.BACKEND)
_packed: Final[Callable[..., Packed]] = tuple.__new__  # in place of the one that takes arguments: half the time
_NOT_USUAL: Final = frozenset((*RESERVED_EVENT_PREFIXES, REDACTED_PREFIX))
"""What event ids begin with of which there is something to say."""
_SESSION_CHARACTERS: Final = texts.EVENT.limit("session_id")
_URL_CHARACTERS: Final = texts.CONTEXT.limit("page_url")
_AGENT_CHARACTERS: Final = texts.CONTEXT.limit("user_agent")
_ADDRESS_CHARACTERS: Final = texts.CONTEXT.limit("client_ip")
_TOUCHPOINT_BYTES: Final = 1_024
"""Longer ones are not kept."""
_VISITOR_ID_TAG: Final = 0x12
"""First byte of `Identifiers` that begin with the visitor id; a second byte below 128 is its length."""


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
        self._digest, self._payload_digest = rules.event_digest, rules.payload_digest.of
        self._reads_paths = rules.channels.reads_paths
        self._needs_session = "touchpoint" in rules.expected.kinds_with_session
        self._parts = VisitParts(rules)
        self._least_age, self._most_age = -rules.expected.window.ahead_micros, rules.expected.window.event_micros
        self._touches: dict[bytes, KnownTouch | None] = {}
        self._channels: dict[tuple[Any, ...], KnownChannel | None] = {}
        self._visitors: dict[bytes, Who | None] = {}
        self._agents: dict[int, dict[str, KnownAgent]] = {int(observer): {} for observer in Observer}
        self._addresses: dict[str, bytes | None] = {"": b""}

    def take(self, event: SlicedEvent, receive_micros: int) -> Packed | None:
        """Packs an event; returns `None`, and changes nothing, if it is not a usual visit.

        Args:
            event: As sent. Ours from now on.
            receive_micros: When the call came.
        """
        event_id, moment, touchpoint, named, session_id, context, *rest = _read_event(event)
        if rest != _NOTHING_ELSE or len(touchpoint) > _TOUCHPOINT_BYTES:
            return None
        properties = read_properties(event.properties) if event.properties else b""
        if properties is None:
            return None
        try:
            known = self._touches[touchpoint]
        except KeyError:
            known = keep(self._touches, touchpoint, self._parts.touch(touchpoint))
        if known is None:
            return None
        if not 0 < len(event_id) <= EVENT_ID_CHARACTERS or event_id[:3] in _NOT_USUAL:
            return None
        if may_hold_personal(event_id) or is_placeholder(event_id) or holds_device(event_id):
            return None
        if session_id:
            if len(session_id) > _SESSION_CHARACTERS or may_hold_personal(session_id) or is_placeholder(session_id):
                return None
            if bare(session_id) != session_id or holds_device(session_id):
                return None
        elif self._needs_session:
            return None
        nanos = moment.nanos
        age = receive_micros - moment.seconds * MICROS - nanos // 1_000
        if not (0 <= nanos < 1_000_000_000 and self._least_age <= age <= self._most_age):
            return None
        if event.HasField("sent_time") and _is_wrong(event.sent_time, receive_micros):
            return None

        *said, observed_by = _read_context(context)
        client_ip, user_agent, page_url, referrer_url, language, app_id, app_version = said
        if language or app_id or app_version:
            kept = "\0".join(said[4:])
            if any(map(int.__gt__, map(len, said), texts.CONTEXT.limits)) or may_hold_personal(kept):
                return None
            if holds_device(kept):
                return None
        elif len(page_url) > _URL_CHARACTERS or len(referrer_url) > REFERRER_CHARACTERS:
            return None
        agents = self._agents.get(observed_by)
        if agents is None or len(user_agent) > _AGENT_CHARACTERS or len(client_ip) > _ADDRESS_CHARACTERS:
            return None
        try:
            agent_verdict, agent_reasons, agent_written = agents[user_agent]
        except KeyError:
            judged = keep(agents, user_agent, self._parts.agent(user_agent, observed_by))
            agent_verdict, agent_reasons, agent_written = judged
        try:
            agent_evidence = self._addresses[client_ip]
        except KeyError:
            agent_evidence = keep(self._addresses, client_ip, self._parts.address(client_ip))
        if properties and client_ip and may_hold_client_ip(event.properties, client_ip):
            return None
        page = read_url(page_url)
        host, path, _, clicks, _, is_cut, mailer, campaign = page
        if agent_evidence is None or is_cut:
            return None
        place: tuple[Any, ...] = (
            known.alike, host, path if self._reads_paths else "", mailer, campaign, referrer_url, *clicks
        )  # fmt: skip
        if "gad_source" in clicks or "gad_campaignid" in clicks:  # whose few values decide, too
            place += clicks.get("gad_source"), clicks.get("gad_campaignid")
        try:
            channel = self._channels[place]
        except KeyError:
            channel = keep(self._channels, place, self._parts.channel(known.touch, page, referrer_url))
        size = len(named)
        if 2 < size < 130 and named[0] == _VISITOR_ID_TAG and named[1] == size - 2:
            try:
                who = self._visitors[named]
            except KeyError:
                who = keep(self._visitors, named, self._parts.visitor(named))
        else:
            who = self._parts.identify(named)  # which may hold what nobody shall keep
        if channel is None or who is None:
            return None
        who_texts, who_tokens, name, is_telling = who
        encoded = encode_visit(known.encoded, session_id, who_texts, said, observed_by)
        if encoded is None:
            return None

        channel_evidence, written, is_warned = channel
        match_keys = None
        if name:
            match_keys = match_keys_of_visit(
                client_ip, user_agent, observed_by, named, name, receive_micros - age, is_telling=is_telling
            )
        payload_digest = self._payload_digest(encoded + properties)
        if nanos % 1_000:
            moment.nanos -= nanos % 1_000
        if clicks:
            written += write_click_ids(clicks, moment.SerializeToString())
            channel_evidence = _EVIDENCE_TAG + varint(len(written)) + written
        context.client_ip = context.user_agent = ""
        event.identifiers = b""
        body = event.SerializeToString()
        rank = BACKEND_RANK if observed_by == _BACKEND else FRONT_RANK
        head = _HEADS[agent_verdict, rank]
        parts = (_EVENT_TAG, varint(len(body)), body, head, payload_digest, who_tokens, agent_evidence, agent_written)
        return _packed(
            Packed,
            (
                event_id,
                agent_verdict,
                [*agent_reasons, UTM_IGNORED] if is_warned else agent_reasons,
                self._digest(event_id),
                payload_digest,
                NO_KEY,
                rank,
                b"".join((*parts, channel_evidence, _WARNING if is_warned else b"")),
                match_keys,
                (),
                None,
                False,
                None,
            ),
        )


def _is_wrong(sent_time: Any, receive_micros: int) -> bool:
    """Tells whether the client's clock has to be corrected, or says no time."""
    sent_micros = read_micros(sent_time)
    return sent_micros is None or clock_correction(sent_micros, receive_micros) != 0
