"""Admitted events as rows of `events`, `refusals` and `quarantine_decisions`.

The one rule: an event that cannot become a row is found here, alone, before it could take its batch along. Hot: every
event passes here once, so rows are tuples, built from parts that are shared where a kind of event lacks them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from tributary.dedup.v1.admitted_events_pb2 import AcceptContext, AdmittedEvent, ChannelEvidence
from tributary.event.v1.adjustment_pb2 import Adjustment, AdjustmentReason
from tributary.event.v1.consent_pb2 import ConsentState
from tributary.event.v1.context_pb2 import Observer
from tributary.event.v1.conversion_pb2 import Conversion
from tributary.event.v1.event_pb2 import Event, Origin, Traffic
from tributary.event.v1.touchpoint_pb2 import Touchpoint, TouchpointKind
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED, ReasonCode
from tributary_domain.reasons import Reason, order_value_differs, payload_differs
from tributary_runtime.errors import PoisonEvent
from tributary_storage.clickhouse.event_details import event_details
from tributary_storage.clickhouse.names import names_of
from tributary_storage.codec.refusal_times import happened_micros

Row = tuple[Any, ...]

KEPT: Final = {"A": "ACCEPTED", "M": "DUPLICATE", "Q": "QUARANTINED"}
"""Mask letter to the verdict of a row of `events`."""

_QUARANTINED: Final = KEPT["Q"]

REFUSED: Final = {"C": "CONFLICT", "V": "CONFLICT", "R": "REJECTED"}
"""Mask letter to the verdict of a row of `refusals`."""

DECISION: Final = "X"
"""Mask letter of a decision that makes no other row than its own."""

_CONFLICTS: Final[dict[str, Callable[[str | None], Reason]]] = {
    "C": lambda _kind: payload_differs(),
    "V": order_value_differs,
}
"""Mask letter and kind of event to what differs."""

EVENT_COLUMNS: Final = (
    *("workspace", "event_time", "event_id", "kind", "verdict", "reason_codes"),
    *("accept_time", "log_shard", "log_lane", "log_milliseconds", "log_sequence", "log_index"),
    *("api_key_id", "backfill", "traceparent"),
    *("identity_tokens", "session_id", "conversion_id", "source_rank", "origin", "traffic"),
    *("payload_digest", "admitted", "properties"),
    *("is_bot", "address_token"),
    *("observed_by", "page_url"),
    *("consent_analytics_storage", "consent_ad_user_data", "consent_ad_personalization"),
    *("channel", "sub_channel", "source", "medium", "campaign", "campaign_id", "channel_rule"),
    *("channel_rules_version", "continues_session", "referrer_host", "click_id_families", "click_id_values"),
    *("touchpoint_kind", "ad_destination", "ad_account_id", "ad_campaign_id", "interaction_id"),
    *("conversion_name", "order_id", "store", "cycle", "currency", "value_micros"),
    *("adjustment_reason", "adjustment_id"),
    "details",
)

_CONVERSION_ID: Final = EVENT_COLUMNS.index("conversion_id")
_ADMITTED: Final = EVENT_COLUMNS.index("admitted")

REFUSAL_COLUMNS: Final = (
    *("workspace", "accept_time", "log_shard", "log_lane", "log_milliseconds", "log_sequence", "log_index"),
    *("verdict", "reason_codes", "reason_fields", "reason_messages", "event_id", "kind", "conversion_id"),
    *("payload_digest", "api_key_id", "traceparent", "admitted", "event_time"),
)

DECISION_COLUMNS: Final = (
    *("workspace", "event_id", "action", "decide_time", "decided_by", "reason", "first_accept_time", "conversion_id"),
)

_NO_AGENT: Final[Row] = (False, "")
_NO_CONTEXT: Final[Row] = ("", "")
_NO_CONSENT: Final[Row] = ("", "", "")
_NO_EVIDENCE: Final[Row] = ("", "", "", "", "", "", "", 0, False, "", (), ())
_NO_TOUCHPOINT: Final[Row] = ("", "", "", "", "")
_NO_VALUE: Final[Row] = ("", "", "", "", "", None, "", "")
_NO_PROPERTIES: Final[dict[str, str]] = {}

_KINDS: Final = names_of(TouchpointKind.DESCRIPTOR)
_ORIGINS: Final = names_of(Origin.DESCRIPTOR)
_TRAFFIC: Final = names_of(Traffic.DESCRIPTOR)
_OBSERVERS: Final = names_of(Observer.DESCRIPTOR)
_CONSENT: Final = names_of(ConsentState.DESCRIPTOR)
_ADJUSTMENTS: Final = names_of(AdjustmentReason.DESCRIPTOR)
_CODES: Final = names_of(ReasonCode.DESCRIPTOR, prefix="REASON_CODE_")

_EARLIEST_MICROS: Final = -2_208_988_800_000_000
_LATEST_MICROS: Final = 10_413_792_000_000_000
"""1900 and 2300: what DateTime64 holds."""


class LogPlace(NamedTuple):
    """Where an entry of the event log is, and when it got there."""

    shard: int
    lane: str
    milliseconds: int
    sequence: int
    accept_time_micros: int

    @classmethod
    def of(cls, shard: int, lane: str, entry_id: str | bytes, accept_time_micros: int) -> LogPlace:
        """Reads the id of a stream entry, `1764000000000-0`."""
        text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
        milliseconds, _, sequence = text.partition("-")
        return cls(shard, lane, int(milliseconds), int(sequence), accept_time_micros)


class EventBatch:
    """Rows for `EventWriter.write`, added event by event."""

    __slots__ = ("_targets", "decisions", "events", "refusals")

    def __init__(self) -> None:
        """Starts empty."""
        self.events: list[Row] = []
        self.refusals: list[Row] = []
        self.decisions: list[Row] = []
        self._targets: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.events) + len(self.refusals) + len(self.decisions)

    def quarantined(self) -> list[tuple[str, str]]:
        """Returns workspace and id of each event that a row says is quarantined."""
        return [(row[0], row[2]) for row in self.events if row[4] == _QUARANTINED]

    def targets(self) -> list[tuple[str, str, int]]:
        """Returns what adjustments name by the id of an event for which a token stands.

        Returns:
            (workspace, the conversion that the event would be by itself, hash of its id as sent) of each.
        """
        return [(self.events[at][0], self.events[at][_CONVERSION_ID], hashed) for at, hashed in self._targets.items()]

    def name_orders(self, workspace: str, orders: Mapping[str, str]) -> None:
        """Names orders in place of events that observed them: what the event would be by itself -> the order."""
        for at in self._targets:
            row = self.events[at]
            order = orders.get(row[_CONVERSION_ID], "")
            if row[0] == workspace and order:
                message = AdmittedEvent.FromString(row[_ADMITTED])
                message.conversion_id = order
                changed = list(row)
                changed[_CONVERSION_ID], changed[_ADMITTED] = order, message.SerializeToString()
                self.events[at] = tuple(changed)

    def drop_quarantined(self, released: Collection[tuple[str, str]]) -> None:
        """Drops rows that say that events are quarantined, of those that are not any more: (workspace, event id)."""
        self.events = [row for row in self.events if row[4] != _QUARANTINED or (row[0], row[2]) not in released]
        self._targets = {}

    def add(
        self,
        place: LogPlace,
        index: int,
        letter: str,
        workspace: str,
        admitted: bytes,
        context: AcceptContext,
        traceparent: str = "",
    ) -> None:
        """Adds one event of an entry; one that is only a duplicate (`D`) is passed over.

        Args:
            place: Of the entry.
            index: Which event of the entry it is, over all admissions, from 0: with `place` it names the row.
            letter: Its letter in the entry's mask.
            workspace: `Admission.workspace`.
            admitted: The serialised `AdmittedEvent`.
            context: `Admission.accept_context`.
            traceparent: `Admission.traceparent`.

        Raises:
            PoisonEvent: The event can never be a row; nothing was added.
        """
        verdict = KEPT.get(letter)
        if verdict is not None:
            message = _read(admitted)
            row = _event_row(place, index, verdict, workspace, (message, admitted), context, traceparent)
            if message.HasField("decision"):
                self.decisions.append(_decision_row(place, workspace, message))
            if row[3] == "adjustment" and (sent_hash := message.sent_target_hash):
                self._targets[len(self.events)] = sent_hash
            self.events.append(row)
        elif letter == DECISION:
            self.decisions.append(_decision_row(place, workspace, _read(admitted)))
        elif letter in REFUSED:
            self.refusals.append(_refusal_row(place, index, letter, workspace, admitted, context, traceparent))
        elif letter != "D":
            raise PoisonEvent("MASK_UNKNOWN", f"The mask has the letter {letter!r}, which this version does not know.")


def _read(admitted: bytes) -> AdmittedEvent:
    try:
        return AdmittedEvent.FromString(admitted)
    except DecodeError as error:
        raise PoisonEvent("EVENT_UNREADABLE", "The bytes are no AdmittedEvent.") from error


def _event_row(
    place: LogPlace,
    index: int,
    verdict: str,
    workspace: str,
    of: tuple[AdmittedEvent, bytes],
    context: AcceptContext,
    traceparent: str,
) -> Row:
    message, admitted = of
    event = message.event
    event_id = event.event_id
    if not event_id:
        raise PoisonEvent("EVENT_ID_MISSING", "An admitted event has no id.")
    event_time = event.event_time
    event_micros = event_time.seconds * 1_000_000 + event_time.nanos // 1_000
    if not _EARLIEST_MICROS <= event_micros < _LATEST_MICROS:
        raise PoisonEvent("EVENT_TIME_UNSTORABLE", "The event's time is outside the years 1900 to 2299.")
    kind = event.WhichOneof("kind") or ""
    touchpoint = _NO_TOUCHPOINT
    value = _NO_VALUE
    if kind == "touchpoint":
        touchpoint = _touchpoint(event.touchpoint)
    elif kind == "conversion":
        value = _conversion(event.conversion)
    elif kind == "adjustment":
        value = _adjustment(event.adjustment)
    return (
        *(workspace, event_micros, event_id, kind, verdict),
        [_CODES[reason.code] for reason in message.reasons] if message.reasons else (),
        *(place.accept_time_micros, place.shard, place.lane, place.milliseconds, place.sequence, index),
        *(context.api_key_id, context.backfill, traceparent),
        *(list(message.identity_tokens), event.session_id, message.conversion_id, message.source_rank),
        *(_ORIGINS[event.origin], _TRAFFIC[event.traffic], message.payload_digest, admitted),
        dict(event.properties) if event.properties else _NO_PROPERTIES,
        *(_agent(message) if message.HasField("agent_evidence") else _NO_AGENT),
        *(_context(event) if event.HasField("context") else _NO_CONTEXT),
        *(_consent(event) if event.HasField("consent") else _NO_CONSENT),
        *(_evidence(message.channel_evidence) if message.HasField("channel_evidence") else _NO_EVIDENCE),
        *touchpoint,
        *value,
        event_details(message, kind),
    )


def _decision_row(place: LogPlace, workspace: str, message: AdmittedEvent) -> Row:
    decision = message.decision
    decided = decision.quarantine
    if not decided.event_id:
        raise PoisonEvent("DECISION_UNKNOWN", "The decision is none that this version knows.")
    first = decided.first_accept_time
    return (
        *(workspace, decided.event_id, "RELEASED" if decided.verdict == VERDICT_ACCEPTED else "REJECTED"),
        *(place.accept_time_micros, decision.decided_by, decision.reason),
        *(first.seconds * 1_000_000 + first.nanos // 1_000, decided.conversion_id),
    )


def _refusal_row(
    place: LogPlace,
    index: int,
    letter: str,
    workspace: str,
    admitted: bytes,
    context: AcceptContext,
    traceparent: str,
) -> Row:
    message = _read(admitted)
    event = message.event
    kind = event.WhichOneof("kind")
    codes = [_CODES[reason.code] for reason in message.reasons]
    fields = [reason.field for reason in message.reasons]
    texts = [reason.message for reason in message.reasons]
    if letter in _CONFLICTS:  # the claim script found it, so the door could not say it
        code, field, text = _CONFLICTS[letter](kind)
        codes.insert(0, code.value)
        fields.insert(0, field)
        texts.insert(0, text)
    return (
        *(workspace, place.accept_time_micros, place.shard, place.lane, place.milliseconds, place.sequence, index),
        *(REFUSED[letter], codes, fields, texts, event.event_id, kind or ""),
        *(message.conversion_id, message.payload_digest, context.api_key_id, traceparent, admitted),
        happened_micros(event, place.accept_time_micros),
    )


def _agent(message: AdmittedEvent) -> Row:
    evidence = message.agent_evidence
    return evidence.bot, evidence.address_token


def _context(event: Event) -> Row:
    context = event.context
    return _OBSERVERS[context.observed_by], context.page_url


def _consent(event: Event) -> Row:
    consent = event.consent
    return _CONSENT[consent.analytics_storage], _CONSENT[consent.ad_user_data], _CONSENT[consent.ad_personalization]


def _evidence(evidence: ChannelEvidence) -> Row:
    click_ids = evidence.click_ids
    return (
        evidence.channel,
        evidence.sub_channel,
        evidence.source,
        evidence.medium,
        evidence.campaign,
        evidence.campaign_id,
        evidence.rule,
        evidence.rules_version,
        evidence.continues_session,
        evidence.referrer_host,
        [click_id.family for click_id in click_ids] if click_ids else (),
        [click_id.value for click_id in click_ids] if click_ids else (),
    )


def _touchpoint(touchpoint: Touchpoint) -> Row:
    kind = _KINDS[touchpoint.kind]
    if not touchpoint.HasField("ad"):
        return kind, "", "", "", touchpoint.interaction_id
    ad = touchpoint.ad
    return kind, ad.destination, ad.account_id, ad.campaign_id, touchpoint.interaction_id


def _conversion(conversion: Conversion) -> Row:
    currency, value_micros = "", None
    if conversion.HasField("value"):
        currency, value_micros = conversion.value.currency_code, conversion.value.amount_micros
    cycle = conversion.recurrence.cycle if conversion.HasField("recurrence") else ""
    return conversion.name, conversion.order_id, conversion.store, cycle, currency, value_micros, "", ""


def _adjustment(adjustment: Adjustment) -> Row:
    currency, value_micros = "", None
    if adjustment.HasField("amount"):
        currency, value_micros = adjustment.amount.currency_code, adjustment.amount.amount_micros
    return (
        *(adjustment.conversion_name, adjustment.order_id, adjustment.store, adjustment.cycle, currency, value_micros),
        *(_ADJUSTMENTS[adjustment.reason], adjustment.adjustment_id),
    )
