"""Events as they arrive from the log -> what they add to a journey and to a conversion.

The one rule: only what was admitted is read. A and M count, also of what is released from quarantine; Q goes into the
journey, flagged, and proves neither who a person is nor that there was a conversion; D, C and R are somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent, ChannelEvidence
from tributary.event.v1.consent_pb2 import Consent
from tributary.event.v1.conversion_pb2 import Conversion
from tributary.event.v1.event_pb2 import Event, Traffic
from tributary_attribution.memberships import is_related
from tributary_domain import ids
from tributary_domain.consent import (
    DENIED,
    NOTHING,
    PURPOSES,
    UNSAID,
    Assumed,
    Decision,
    Purpose,
    decision_of,
    is_own_word,
    packed,
    stricter,
)
from tributary_domain.consent_strings import states_by
from tributary_domain.erasures import SEVERED_PREFIX
from tributary_domain.event_order import event_hash
from tributary_domain.journey import DIRECT, NO_CONSENT, NO_TOUCH, QUARANTINED, JourneyTouch, TouchKind
from tributary_domain.traces import INTERNAL as INTERNAL_TRACE
from tributary_domain.traces import flags_of
from tributary_domain.vendor_consent import VendorDecision, vendor_decisions
from tributary_runtime.errors import PoisonEvent
from tributary_storage.codec.conversion_parts import pack_part
from tributary_storage.codec.event_digests import digest_of_event
from tributary_storage.codec.event_traces import traces_of
from tributary_storage.codec.own_clicks import NOT_ONE_CLICK, own_click_ids
from tributary_storage.codec.touch_sources import TouchSources
from tributary_storage.redis.click_ids import Click, hash_of_click
from tributary_storage.redis.descriptors import digest_of
from tributary_storage.redis.journey_layout import (
    ASSUMED_DENIED,
    CONSENTED,
    INTERNAL,
    event_field,
    pack_conversion,
    pack_sighting,
    pack_touch,
)
from tributary_storage.redis.trace_layout import Left

ADMITTED: Final = frozenset("AMQ")

_UNCOUNTED: Final = frozenset({Traffic.TRAFFIC_INTERNAL, Traffic.TRAFFIC_TEST})
_CONVERSION: Final = int(TouchKind.CONVERSION)


class Replayed(NamedTuple):
    """A recorded event that is brought to attribution once more."""

    letter: str
    """Of the mask."""
    admitted: bytes
    accept_micros: int
    traceparent: str


class Arrival(NamedTuple):
    """One event, taken apart."""

    workspace: str
    event_id: str
    event_hash: int
    event_time_micros: int
    accept_time_micros: int
    traceparent: str
    tokens: list[str]
    sighting: bytes
    """When its most telling identifier was seen; empty if the event is quarantined."""
    entry: tuple[bytes, bytes] | None
    """Field and value for the journey."""
    conversion_id: str
    """The conversion it observes or adjusts; empty: none."""
    part: bytes
    """What it says about that conversion."""
    claims_conversion: bool = False
    """Whether the conversion it observes was claimed with it, and it was never read before: then the conversion is new.
    """
    own_conversion_id: str = ""
    """Where it observes an order: the conversion it would be without one, by which adjustments may name the order."""
    named_conversion_id: str = ""
    """As `conversion_id`, of a quarantined event too: what it proves nothing of, it names all the same."""
    decision: Decision | None = None
    """What the person decided beyond this event."""
    is_released: bool = False
    """Whether it was in quarantine until now."""
    is_redelivered: bool = False
    """Whether it was handed out before, as far as the log knows: it may have had effects already."""
    related: Conversion | None = None
    """The conversion it observes, where it is of a lead or a subscription."""
    traces: Sequence[Left] = ()
    """By what destinations can recognise the person later, with slots."""
    vendor_decisions: tuple[VendorDecision, ...] = ()
    """Whom of the destinations the person decided to be told of them or not, beyond this event."""

    @property
    def reach_micros(self) -> int:
        """From when on conversions may change by it: a click that it names may be older than it."""
        return min((trace.time_micros for _, trace in self.traces), default=self.event_time_micros)

    @property
    def is_quarantined(self) -> bool:
        """Whether it proves nothing."""
        return not self.sighting


_arrival: Final[Callable[..., Arrival]] = tuple.__new__  # in place of the one that takes arguments: a fifth of the time
_journey_touch: Final[Callable[..., JourneyTouch]] = tuple.__new__


class ArrivalReader:
    """Takes events apart; remembers the texts of the sources it met until they are written.

    Args:
        assumed_of: Workspace -> what its people are assumed to consent to.
    """

    def __init__(self, assumed_of: Callable[[str], Assumed] = lambda _: Assumed()) -> None:
        self._assumed_of = assumed_of
        self._sources = TouchSources()
        self.new_texts: dict[tuple[str, int], bytes] = {}
        """(workspace, descriptor) -> text, of every source met and not known to be written yet."""
        self.new_clicks: dict[tuple[str, int], Click] = {}
        """(workspace, number) -> click id, likewise."""

    def forget_clicks(self, living: Sequence[Arrival], gone: Sequence[Arrival]) -> None:
        """Forgets the click ids that only events named that are gone; those of other batches stay."""
        kept, lost = (b" ".join(one.entry[1] for one in some if one.entry) for some in (living, gone))
        for place in list(self.new_clicks):
            number = place[1].to_bytes(8)
            if number in lost and number not in kept:
                del self.new_clicks[place]

    def read(
        self,
        workspace: str,
        letter: str,
        content: bytes,
        accept_time_micros: int,
        traceparent: str,
        *,
        is_first_sight: bool = False,
        is_redelivered: bool = False,
    ) -> Arrival:
        """Reads one event.

        Args:
            workspace: Of the admission.
            letter: Of the mask; one of `ADMITTED`.
            content: Serialised `AdmittedEvent`.
            accept_time_micros: Of the log.
            traceparent: Of the request that brought it.
            is_first_sight: Whether it was never handed to anybody before, and was claimed under a live claim.
            is_redelivered: Whether it was handed to somebody before.

        Raises:
            PoisonEvent: The bytes are no event, or one of another time.
        """
        try:
            admitted = AdmittedEvent.FromString(content)
        except DecodeError as error:
            raise PoisonEvent("EVENT_UNREADABLE", "The bytes are no AdmittedEvent.") from error
        event = admitted.event
        time = event.event_time
        micros = time.seconds * 1_000_000 + time.nanos // 1_000
        event_id, named = event.event_id, admitted.conversion_id
        if not event_id or micros < 0:
            raise PoisonEvent("EVENT_UNREADABLE", "The event has no id, or is older than 1970.")
        hashed = event_hash(event_id)
        is_good = letter != "Q"
        is_released = admitted.HasField("decision")  # before a part is made of it, which does not show that
        tokens = list(admitted.identity_tokens)
        consent = event.consent if event.HasField("consent") else None
        assumed = self._assumed_of(workspace)
        flags, stored_flags = _flags(event, consent, micros, assumed, is_quarantined=not is_good)
        traces = _traces(admitted, consent, micros, hashed, assumed) if is_good and tokens else ()
        session = event_hash(event.session_id) if event.session_id else 0
        entry: tuple[bytes, bytes] | None = None
        conversion_id, own_id, part = "", "", b""
        kind = event.WhichOneof("kind")
        if kind == "touchpoint":
            value = self._touch(workspace, admitted, (micros, hashed, flags, session), stored_flags)
            entry = event_field(hashed), value
        elif kind == "conversion":
            name = digest_of(event.conversion.name.encode())
            touch = JourneyTouch(micros, hashed, _CONVERSION, name, flags, session=session)
            entry = event_field(hashed), pack_conversion(touch, named, stored_flags, _own_click(event))
            if named.startswith(SEVERED_PREFIX):
                named = ""  # what it observed went with whom it was of
            conversion_id = named
            own_id = ids.conversion_id(digest_of_event(workspace, admitted))
        elif kind == "adjustment":
            conversion_id = named or event.adjustment.conversion_id
        if conversion_id and is_good:
            part = pack_part(admitted, accept_time_micros)
        own_conversion_id = own_id if named and own_id != named else ""  # without: what is left of an erased one's
        claims = is_first_sight and letter == "A" and kind == "conversion" and not is_released
        decision = _decision(consent, micros, accept_time_micros) if consent is not None and is_good else None
        on_vendors = _vendor_decisions(admitted, micros, accept_time_micros) if is_good else ()
        related = event.conversion if part and kind == "conversion" and is_related(event.conversion) else None
        return _arrival(
            Arrival,
            (
                *(workspace, event_id, hashed, micros, accept_time_micros, traceparent, tokens),
                pack_sighting(micros, hashed, 0) if is_good else b"",
                *(entry, conversion_id if is_good else "", part),
                *(claims, own_conversion_id, named, decision, is_released, is_redelivered, related, traces, on_vendors),
            ),
        )

    def _touch(
        self, workspace: str, admitted: AdmittedEvent, place: tuple[int, int, int, int], stored_flags: int
    ) -> bytes:
        time, hashed, flags, session = place
        touchpoint = admitted.event.touchpoint
        evidence = admitted.channel_evidence
        ad = touchpoint.ad if touchpoint.HasField("ad") else None
        click, click_time = self._click(workspace, evidence) if evidence.click_ids else (admitted.sighted_click, 0)
        descriptor, text = self._sources.describe(evidence, ad)
        if descriptor:
            self.new_texts[workspace, descriptor] = text
        if evidence.continues_session:
            flags |= NO_TOUCH
        elif evidence.rule == "direct":
            flags |= DIRECT
        said = touchpoint.interaction_id
        interaction = event_hash(said) if said else admitted.sighted_interaction
        entry = time, hashed, touchpoint.kind, descriptor, flags, click, interaction, session, click_time
        return pack_touch(_journey_touch(JourneyTouch, entry), stored_flags)

    def _click(self, workspace: str, evidence: ChannelEvidence) -> tuple[int, int]:
        """Returns the number of the click id that names one click, and when it was made; 0: none does, nobody said."""
        for found in evidence.click_ids:
            family, value = found.family, found.value
            if family not in NOT_ONE_CLICK:
                number = hash_of_click(family, value)
                self.new_clicks[workspace, number] = family, value
                made = found.click_time
                return number, max(0, made.seconds * 1_000_000 + made.nanos // 1_000)
        return 0, 0


def _own_click(event: Event) -> int:
    """Returns the number of the click id that a conversion carries itself, the one that a visit to its page would have.

    0: none, or consent to measure was denied, so that what it carries may tell nothing.
    """
    if event.consent.analytics_storage == DENIED:
        return 0
    for family, value in own_click_ids(event).items():
        if family not in NOT_ONE_CLICK:
            return hash_of_click(family, value)
    return 0


def _flags(
    event: Event, consent: Consent | None, micros: int, assumed: Assumed, *, is_quarantined: bool
) -> tuple[int, int]:
    """Returns the flags of the core, and those that are only stored."""
    flags = QUARANTINED if is_quarantined else 0
    stored = INTERNAL if event.traffic in _UNCOUNTED else 0
    said = UNSAID if consent is None else consent.analytics_storage
    if said == DENIED:
        flags |= NO_CONSENT
    elif said == UNSAID:
        region = "" if consent is None else consent.region
        if assumed.defaults and assumed.state(region, Purpose.ANALYTICS_STORAGE) == DENIED:
            stored |= ASSUMED_DENIED
    elif consent is not None and is_own_word(_consent_micros(consent), micros):
        stored |= CONSENTED
    return flags, stored


def _traces(
    admitted: AdmittedEvent, consent: Consent | None, micros: int, hashed: int, assumed: Assumed
) -> Sequence[Left]:
    """Returns what an event leaves; nothing where it may not."""
    flags: int | None = 0
    if consent is None:
        if assumed.defaults:
            flags = flags_of(NOTHING, 0, micros, "", assumed)
    else:
        flags = flags_of(_states(consent), _consent_micros(consent), micros, consent.region, assumed)
    if flags is None:
        return ()
    if admitted.event.traffic in _UNCOUNTED:
        flags |= INTERNAL_TRACE
    return traces_of(admitted, micros, hashed, flags)


def _decision(consent: Consent, event_micros: int, accept_micros: int) -> Decision | None:
    """Returns what an event decides beyond itself."""
    states = _states(consent)
    if not states:
        return None
    return decision_of(states, _consent_micros(consent), event_micros, accept_micros, consent.region, consent.source)


def _vendor_decisions(admitted: AdmittedEvent, event_micros: int, accept_micros: int) -> tuple[VendorDecision, ...]:
    """Returns what an event decides about vendors beyond itself."""
    allowed, denied = admitted.allowed_vendors, admitted.denied_vendors
    if not allowed and not denied:
        return ()
    return vendor_decisions(allowed, denied, _consent_micros(admitted.event.consent), event_micros, accept_micros)


def _states(consent: Consent) -> int:
    """Returns what an event says of all purposes: in words, in strings and by its browser, the strictest of them."""
    words = packed([getattr(consent, purpose) for purpose in PURPOSES])
    strings = states_by(consent.tcf_string, consent.gpp_string, gpc=consent.gpc)
    return stricter(words, strings) if strings else words


def _consent_micros(consent: Consent) -> int:
    """Returns when the person decided; 0: nobody said."""
    time = consent.consent_time
    return max(0, time.seconds * 1_000_000 + time.nanos // 1_000)
