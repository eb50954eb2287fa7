"""Corrections say again what was sent first: the same person, by the same identifiers, at the same time.

The one rule: what is known since, of who the person is or of which click brought them, is not said to who has the
conversion already: a destination that keys by it would make it a second one. What was sent first is found by the
revision that the ledger names: its match keys are sealed in it, and open as long as a correction may come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tributary.attribution.v1.conversion_pb2 import ResolvedClickId
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_RETRACT
from tributary_delivery.attempt import Attempt
from tributary_delivery.destinations.adapter import Mapped, Pinned
from tributary_delivery.destinations.destination import OK, Outcome
from tributary_delivery.ledger import Memory
from tributary_delivery.sent_values import sent_value
from tributary_storage.redis.delivery_job import Lane

NOT_REPEATED: Final = "what it recognised the person by is gone, and anything else would be a new conversion"


@dataclass(frozen=True, slots=True)
class Pin:
    """A conversion as it is now, known by what it was known by when it was sent first."""

    revised: ConversionRevised
    first: Pinned | None
    """How it was sent first; None: the ledger does not know, or has forgotten."""

    def is_repeated_by(self, mapped: Mapped) -> bool:
        """Tells whether a correction names the same person, click and time."""
        first = self.first
        if first is None or first.is_forgotten:
            return False
        said = (mapped.click_id_family, mapped.click_id, dict(mapped.digests), mapped.time_micros)
        return said == (first.click_id_family, first.click_id, dict(first.digests), first.time_micros)


class Corrections:
    """Finds what conversions of one lane were when they were sent first.

    Args:
        lane: Which.
        memory: What was published.
    """

    def __init__(self, lane: Lane, memory: Memory) -> None:
        self._lane = lane
        self._memory = memory

    async def pinned(self, attempts: Sequence[Attempt]) -> list[Pin | None]:
        """Returns how each correction names its conversion; None: it is no correction. One question for all.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        numbered = {
            (one.pinned.conversion_id, one.pinned.revision)
            for one in attempts
            if one.is_correction and one.pinned is not None
        }
        sent = await self._memory.revisions_of(self._lane.workspace, numbered) if numbered else {}
        return [_pin(one, sent) for one in attempts]


def _pin(attempt: Attempt, sent: Mapping[tuple[str, int], ConversionRevised]) -> Pin | None:
    first = attempt.pinned
    if not attempt.is_correction:
        return None
    if first is None:
        return Pin(attempt.revised, None)
    as_sent = sent.get((first.conversion_id, first.revision))
    return Pin(attempt.revised if as_sent is None else _known_as(attempt.revised, as_sent), first)


def _known_as(now: ConversionRevised, sent: ConversionRevised) -> ConversionRevised:
    """Returns a conversion as it is now, with whom it was of and where it happened as it was sent; consent as it is."""
    known = ConversionRevised()
    known.CopyFrom(now)
    known.match.CopyFrom(sent.match)
    known.match.consent.CopyFrom(now.match.consent)
    known.state.origin = sent.state.origin
    return known


def worth(attempt: Attempt, revised: ConversionRevised) -> tuple[int | None, str]:
    """Returns the amount that is told, and its currency: of what is taken back none, if the destination has one."""
    value = sent_value(revised.state, attempt.told)
    if attempt.operation != DELIVERY_OPERATION_RETRACT:
        return (None, "") if value is None else (value.amount_micros, value.currency_code)
    currency = attempt.taken.currency if attempt.taken is not None else ""
    currency = currency or ("" if value is None else value.currency_code)
    return (0, currency) if currency else (None, "")


def sent_click_ids(revised: ConversionRevised, pinned: Pinned | None) -> dict[str, ResolvedClickId]:
    """Returns the click ids by family; of a correction the one that was sent first, and no other of its family."""
    click_ids = {one.family: one for one in revised.match.click_ids}
    if pinned is not None and pinned.click_id:
        known = click_ids.get(pinned.click_id_family)
        if known is None or known.value != pinned.click_id:
            click_ids[pinned.click_id_family] = ResolvedClickId(family=pinned.click_id_family, value=pinned.click_id)
    return click_ids


def as_wished(attempt: Attempt, outcome: Outcome) -> Outcome:
    """Returns an outcome: OK of what was to be taken back, and is gone already."""
    is_wished = outcome.is_gone and attempt.operation == DELIVERY_OPERATION_RETRACT
    return replace(outcome, outcome=OK, is_untaken=False) if is_wished else outcome
