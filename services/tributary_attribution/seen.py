"""What a conversion's own parts say of it, as far as its lead, its subscription and its order want to know. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.affected import Affected
from tributary_attribution.pinned_values import default_value
from tributary_domain.conversion import ConversionFacts, ConversionStatus, conversion_facts
from tributary_domain.event_order import OrderKey
from tributary_storage.codec.conversion_parts import ConversionPart

Find = Callable[[str], Affected | None]
"""Conversion id -> what was read of it; None: nothing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a conversion's own parts say of it, as far as its family wants to know."""

    facts: ConversionFacts
    event_time_micros: int
    event_hash: int
    is_good: bool
    is_observed: bool
    """Whether anybody observed it for good: taken back, it was told all the same."""
    stage: str
    """Empty: it is no stage."""
    kind: int
    """A `CycleKind`; 0: it is no cycle."""

    @property
    def order_key(self) -> OrderKey:
        """Its place in event order."""
        return self.event_time_micros, self.event_hash


def seen_of(one: Affected | None, lent: Sequence[ConversionPart] = ()) -> Seen | None:
    """Returns what its own parts say, and what changes it through another; None: nobody observed it."""
    if one is None:
        return None
    observed = {part.event.event_id: part for part in one.parts if part.is_observation}
    name = next((part.event.conversion.name for part in observed.values()), "")
    published = b"" if one.stored is None else one.stored.published
    facts = conversion_facts(
        [part.observation() for part in observed.values()],
        [part.adjustment() for part in (*one.parts, *lent) if not part.is_observation],
        default_value(one.workspace, name, ConversionRevised.FromString(published).state if published else None),
    )
    if facts.anchor is None:
        return None
    ranked = sorted(facts.observations, key=lambda observation: -observation.source_rank)
    said = [observed[observation.event_id].event.conversion for observation in ranked]
    return Seen(
        facts=facts,
        event_time_micros=facts.anchor.event_time_micros,
        event_hash=facts.anchor.event_hash,
        is_good=facts.status is ConversionStatus.COUNTED and not one.is_severed,
        is_observed=facts.status in (ConversionStatus.COUNTED, ConversionStatus.RETRACTED),
        stage=next((conversion.lead.stage for conversion in said if conversion.HasField("lead")), ""),
        kind=next((conversion.recurrence.kind for conversion in said if conversion.HasField("recurrence")), 0),
    )
