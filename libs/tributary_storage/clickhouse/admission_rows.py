"""Rows of `events` -> what attribution reads once more: the event as the log carried it, or what is left of it.

The one rule: of an event that is older than it is kept stays which identifiers it showed together, if it was the first
to show them. Attribution reads that as an identification: it ties these as the event did, at its place among all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_storage.clickhouse.event_rows import KEPT

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
    """
    content = admitted or _identification(event_micros, event_id, tokens)
    return RecordedAdmission(_LETTERS[verdict], content, accept_micros, traceparent.decode())


def _identification(event_micros: int, event_id: bytes, tokens: Sequence[bytes]) -> bytes:
    admitted = AdmittedEvent(identity_tokens=[token.decode() for token in tokens])
    admitted.event.event_id = event_id.decode()
    admitted.event.event_time.FromMicroseconds(event_micros)
    admitted.event.identify.SetInParent()
    return admitted.SerializeToString(deterministic=True)
