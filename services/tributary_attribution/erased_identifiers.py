"""Events that name identifiers of somebody who was erased -> what stays of them without these. Pure.

The one rule: an event stays that of its most telling identifier, and says all that it said; only whom else it named, it
names no more. What the erased one said of somebody else's conversion is that conversion's, and nobody's.
"""

from __future__ import annotations

from collections.abc import Collection

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.anonymous import anonymous_entry, anonymous_observation
from tributary_attribution.arrivals import Arrival
from tributary_storage.codec.conversion_parts import pack_part, unpack_parts


def without(arrival: Arrival, gone: Collection[str]) -> Arrival:
    """Returns an event as if it had never named some identifiers; its most telling one is not among them."""
    part = b""
    for one in unpack_parts([arrival.part] if arrival.part else ()):
        part = pack_part(admitted_without(one.admitted, gone), one.accept_time_micros)
    return arrival._replace(tokens=[token for token in arrival.tokens if token not in gone], part=part)


def said_by_nobody(arrival: Arrival) -> Arrival:
    """Returns an event of somebody who was erased as what it says of a conversion alone, which is somebody else's."""
    part = b""
    for one in unpack_parts([arrival.part]):
        part = pack_part(anonymous_observation(one.admitted), one.accept_time_micros)
    return arrival._replace(
        traceparent="",
        tokens=[],
        entry=None,
        part=part,
        claims_conversion=False,
        decision=None,
        traces=(),
        vendor_decisions=(),
    )


def admitted_without(admitted: AdmittedEvent, gone: Collection[str]) -> AdmittedEvent:
    """Returns an admitted event as if it had never named some identifiers."""
    kept = AdmittedEvent()
    kept.CopyFrom(admitted)
    kept.identity_tokens[:] = [token for token in admitted.identity_tokens if token not in gone]
    return kept


def recorded_as(admitted: bytes, arrival: Arrival, left: Arrival) -> bytes:
    """Returns an admitted event as its row is once somebody is erased whom it names.

    Args:
        admitted: As it was accepted.
        arrival: Of it.
        left: Of `without` or `said_by_nobody`.
    """
    said = AdmittedEvent.FromString(admitted)
    if left.tokens:
        stays = admitted_without(said, set(arrival.tokens).difference(left.tokens))
    else:
        stays = anonymous_observation(said)
        stays.payload_digest = said.payload_digest  # by it the same is known again if it is sent once more
    return stays.SerializeToString(deterministic=True)


def entry_left(admitted: bytes, arrival: Arrival, left: Arrival, order: str) -> bytes:
    """Returns an event as an erasure leaves it in a journey whose order it strips; empty: nothing of it stays.

    Args:
        admitted: As it was accepted.
        arrival: Of it.
        left: What is left of that, whatever became of the order: it itself, or of `without` or `said_by_nobody`.
        order: The random id of what it observed; empty: it is not known any more.
    """
    said = AdmittedEvent.FromString(admitted)
    # What is in quarantine observes nothing, and a refund is its order's: neither stays.
    if not left.tokens or arrival.is_quarantined or said.event.WhichOneof("kind") != "conversion":
        return b""
    gone = set(arrival.tokens).difference(left.tokens)
    return anonymous_entry(said, gone, order).SerializeToString(deterministic=True)
