"""The packed events of one caller, as bytes that dedup passes on.

The one rule: callers with the same credential, lane and trace are one to dedup and to the log; others never are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from tributary.dedup.v1 import admitted_events_pb2, dedup_service_pb2
from tributary.event.v1 import verdict_pb2
from tributary_domain import claim_records
from tributary_domain.business_keys import NO_KEY
from tributary_domain.channel import CHANNEL_RULES_VERSION
from tributary_domain.claim_records import CLAIM_RECORD, NO_ORDER, order_part, payload_mark
from tributary_domain.payloads import PAYLOAD_DIGEST_VERSION
from tributary_ingestion.packed import Packed
from tributary_storage.codec.framing import length_tag, varint, write_time

_EVENT_TAG: Final = length_tag(admitted_events_pb2.Admission.EVENTS_FIELD_NUMBER)
_CONTEXT_TAG: Final = length_tag(admitted_events_pb2.Admission.ACCEPT_CONTEXT_FIELD_NUMBER)
_RECEIVE_TIME_TAG: Final = length_tag(admitted_events_pb2.AcceptContext.RECEIVE_TIME_FIELD_NUMBER)
_MARKS: Final = tuple(payload_mark(PAYLOAD_DIGEST_VERSION, bytes((first, 0, 0)))[:1] for first in range(256))
"""First byte of a payload digest -> the first of its mark; the others are the same."""
_DECISIONS: Final = {
    verdict_pb2.VERDICT_ACCEPTED: claim_records.ACCEPTED,
    verdict_pb2.VERDICT_QUARANTINED: claim_records.QUARANTINED,
    verdict_pb2.VERDICT_REJECTED: claim_records.REJECTED,
}


class Sender(NamedTuple):
    """Whose events they are."""

    workspace: str
    """The credential's."""
    api_key_id: str
    """Which key it was."""
    backfill: bool
    """Whether the accept window was lifted."""
    traceparent: str
    """Of the call; empty if there is none."""
    bulk: bool = False
    """Whether they take the bulk lane: a backfill always, and what exceeds the workspace's share of the live one."""
    late: bool = False
    """Whether they happened longer ago than claims live; a backfill's may have always."""

    @property
    def looks_up(self) -> bool:
        """Whether claims of theirs may be past their life."""
        return self.backfill or self.late


class CallerEvents(NamedTuple):
    """The events of one caller, packed."""

    sender: Sender
    receive_micros: int
    """When the call came."""
    size: int
    """How many events."""
    claims: bytes
    """A claim record per event."""
    events: bytes
    """Framed as in an `Admission`."""


def pack(sender: Sender, receive_micros: int, packed: Sequence[Packed], sealed: Sequence[bytes]) -> CallerEvents:
    """Packs the events of one call, in order.

    Args:
        sender: Whose they are.
        receive_micros: When the call came.
        packed: The events.
        sealed: Per event a further field of it, or nothing.
    """
    claims: list[bytes] = []
    events: list[bytes] = []
    record, marks = CLAIM_RECORD.pack, _MARKS
    for one, field in zip(packed, sealed, strict=True):
        _, verdict, _, event_digest, digest, key, rank, admitted, *_ = one
        size = len(admitted) + len(field)
        length = varint(size)
        events += _EVENT_TAG, length, admitted, field
        order = NO_ORDER if key is NO_KEY or not key[0] else order_part(key.order_digest, rank, key.value_digest)
        mark = marks[digest[0]] + digest[1:3]
        claims.append(record(event_digest, mark, _DECISIONS[verdict], 1 + len(length) + size, order))
    return CallerEvents(sender, receive_micros, len(packed), b"".join(claims), b"".join(events))


def merge(callers: Sequence[CallerEvents]) -> list[dedup_service_pb2.CallerEvents]:
    """Returns what dedup is told, neighbours of one sender as one; the order of the events is kept."""
    merged: list[dedup_service_pb2.CallerEvents] = []
    first = 0
    for end in range(1, len(callers) + 1):
        if end < len(callers) and callers[end].sender == callers[first].sender:
            continue
        alike, sender = callers[first:end], callers[first].sender
        merged.append(
            dedup_service_pb2.CallerEvents(
                workspace=sender.workspace,
                lane=dedup_service_pb2.LANE_BULK if sender.bulk or sender.backfill else dedup_service_pb2.LANE_LIVE,
                admission=_admission_of(sender, min([one.receive_micros for one in alike])),
                claims=b"".join([one.claims for one in alike]),
                events=b"".join([one.events for one in alike]),
                looks_up=sender.looks_up,
            )
        )
        first = end
    return merged


def _admission_of(sender: Sender, receive_micros: int) -> bytes:
    """Returns a serialised `Admission` without events; of several calls the first is said to be when they came."""
    time = write_time(receive_micros)
    head = (_CONTEXT_TAG, varint(len(time) + 2), _RECEIVE_TIME_TAG, varint(len(time)))
    return b"".join((_fixed_part(sender), *head, time))


@lru_cache(1_024)
def _fixed_part(sender: Sender) -> bytes:
    """Returns what the calls of a sender share; `AcceptContext` is merged from both parts when it is read."""
    return admitted_events_pb2.Admission(
        workspace=sender.workspace,
        traceparent=sender.traceparent,
        accept_context=admitted_events_pb2.AcceptContext(
            api_key_id=sender.api_key_id, backfill=sender.backfill, channel_rules_version=CHANNEL_RULES_VERSION
        ),
    ).SerializeToString()
