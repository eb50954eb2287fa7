"""Rows of `events` -> what attribution reads once more: the event as the log carried it, or what is left of it.

The one rule: what is left of an event that is older than it is kept goes the way it would have gone. Which identifiers
it showed together is an identification, that ties these at its place among all; how somebody began, and that the id of
a click was seen, is a touch with nothing else to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.consent_pb2 import ConsentState
from tributary.event.v1.event_pb2 import Traffic
from tributary.event.v1.touchpoint_pb2 import Ad, TouchpointKind
from tributary_storage.clickhouse.event_details import AD_DETAILS, SOURCE_DETAILS
from tributary_storage.clickhouse.event_rows import KEPT
from tributary_storage.clickhouse.names import numbers_of

_NOTHING: Final[Mapping[bytes, bytes]] = {}
_KINDS: Final = numbers_of(TouchpointKind.DESCRIPTOR)
_TRAFFIC: Final = numbers_of(Traffic.DESCRIPTOR)
_CONSENT: Final = numbers_of(ConsentState.DESCRIPTOR)
_EVIDENCE: Final = ("channel", "sub_channel", "source", "medium", "campaign", "campaign_id", "rule", *SOURCE_DETAILS)
_AD: Final = ("destination", "account_id", "campaign_id")
_LETTERS: Final = {verdict.encode(): letter for letter, verdict in KEPT.items()}


class RecordedAdmission(NamedTuple):
    """An event as the log carried it."""

    letter: str
    """Of the mask."""
    admitted: bytes
    accept_micros: int
    traceparent: str


def recorded_admission(
    verdict: bytes,
    admitted: bytes,
    accept_micros: int,
    traceparent: bytes,
    event_micros: int = 0,
    event_id: bytes = b"",
    tokens: Sequence[bytes] = (),
    sighted: Mapping[bytes, bytes] = _NOTHING,
) -> RecordedAdmission:
    """Returns the event of a row that was read as bytes.

    Args:
        verdict: As the column has it.
        admitted: Likewise; empty: the row is a sighting.
        accept_micros: When it was accepted.
        traceparent: Of the request that brought it.
        event_micros: Of a sighting, when it happened.
        event_id: Of a sighting, the id of the event.
        tokens: Of a sighting, the identifiers that were seen together.
        sighted: What else it says, of how somebody began and which ids were seen; empty: it ties identifiers.
    """
    content = admitted or _sighting(event_micros, event_id, tokens, sighted)
    return RecordedAdmission(_LETTERS[verdict], content, accept_micros, traceparent.decode())


def _sighting(event_micros: int, event_id: bytes, tokens: Sequence[bytes], sighted: Mapping[bytes, bytes]) -> bytes:
    admitted = AdmittedEvent(identity_tokens=[token.decode() for token in tokens])
    event = admitted.event
    event.event_id = event_id.decode()
    event.event_time.FromMicroseconds(event_micros)
    if sighted:
        _touch(admitted, {name.decode(): value.decode() for name, value in sighted.items()})
    else:
        event.identify.SetInParent()
    return admitted.SerializeToString(deterministic=True)


def _touch(admitted: AdmittedEvent, sighted: Mapping[str, str]) -> None:
    """Says of a touch what is left of it; without a source it is no first touch of anybody."""
    event, evidence = admitted.event, admitted.channel_evidence
    event.touchpoint.kind = _KINDS(sighted.get("touchpoint_kind", ""))
    event.traffic = _TRAFFIC(sighted.get("traffic", ""))
    if "consent" in sighted or "consent_region" in sighted:
        event.consent.analytics_storage = _CONSENT(sighted.get("consent", ""))
        event.consent.region = sighted.get("consent_region", "")
        if "consent_time_micros" in sighted:
            event.consent.consent_time.FromMicroseconds(int(sighted["consent_time_micros"]))
    for name in _EVIDENCE:
        setattr(evidence, name, sighted.get(name, ""))
    evidence.continues_session = not evidence.rule
    ad = {name: value for name in _AD if (value := sighted.get(f"ad_{name}", ""))}
    ad |= {name: sighted[name] for name in AD_DETAILS if name in sighted}
    if ad:
        event.touchpoint.ad.MergeFrom(Ad(**ad))
    admitted.sighted_click = int(sighted.get("sighted_click", 0))
    admitted.sighted_interaction = int(sighted.get("sighted_interaction", 0))
