"""Revisions that are published, and that ClickHouse and the conversion log may lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.affected import Affected
from tributary_attribution.crediting import Revision
from tributary_storage.codec.credit_bytes import Credited
from tributary_storage.redis.conversions import StoredConversion
from tributary_storage.redis.ties import Place

Told = tuple[ConversionRevised, bytes] | tuple[ConversionRevised, bytes, Credited | None]
"""A revision, serialised, and its credit as it was computed, which the message may lack then."""


class Unpublished(NamedTuple):
    """A revision that ClickHouse and the conversion log may lack."""

    key: str
    """Of the conversion."""
    revised: ConversionRevised
    """Without what of it is credit, where there is `credit`."""
    content: bytes
    """The whole revision, serialised."""
    credit: Credited | None
    """Its credit as it was computed; None: the message has it."""
    place: Place | None
    """The identifier that the conversion belongs to."""
    others: Sequence[Place] = ()
    """Those it was observed with that are another's: it may have been theirs until now."""


def unpublished(one: Affected, stored: StoredConversion, revision: Revision | None) -> list[Unpublished]:
    """Returns what is published of a conversion and not everywhere yet, oldest first.

    Args:
        one: The conversion.
        stored: As it was read: with what was not everywhere before.
        revision: What was published now; None: nothing changed.
    """
    told: list[tuple[ConversionRevised, bytes, Credited | None]] = [
        (ConversionRevised.FromString(content), content, None) for content in stored.pending.values()
    ]
    if revision is not None:
        told.append((revision.said, revision.content, revision.credit))
    if not told:
        return []
    place, others = one.place(), one.strays()
    return [Unpublished(one.key, *own, place, others) for own in told]
