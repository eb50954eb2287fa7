"""Conversions that end the path of later ones, where settings say so: which these are, and what they count as. Pure.

The one rule: what was taken back never was a conversion, and ended no path. An order that is told with its cycle and
without is one, and ends it once; its own path it does not end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from tributary_attribution.affected import Affected
from tributary_attribution.taken_back import has_kin_arrived, is_taken_back
from tributary_domain.conversion_parts import AdjustmentKind
from tributary_domain.erasures import SEVERED_PREFIX
from tributary_domain.event_order import NEVER, OrderKey
from tributary_domain.journey import QUARANTINED, TouchKind
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.redis.descriptors import digest_of
from tributary_storage.redis.journey_layout import Journey


def credited_at(affected: Sequence[Affected]) -> list[Affected]:
    """Returns conversions, and those whose credit they have instead of that of their own paths: tried alike."""
    found = {id(one): one for one in affected}
    for one in affected:
        origin = one.kin.origin
        while origin is not None:
            origin.tried = one.tried
            found[id(origin)] = origin
            origin = origin.kin.origin
    return list(found.values())


def path_ends(
    journey: Journey | None,
    conversion_id: str,
    parts: Sequence[ConversionPart],
    names: Collection[str],
    history_micros: int = NEVER,
) -> list[str]:
    """Returns the other conversions that may have ended the path of one.

    Args:
        journey: Of its person.
        conversion_id: Its id.
        parts: Of it.
        names: Of those that end its path.
        history_micros: How far before it a path is looked at.
    """
    own = _places(parts)
    if journey is None or not own or not names:
        return []
    digests = {digest_of(name.encode()) for name in names}
    found = {
        journey.conversion_ids[entry.event_hash]: None
        for entry in journey.entries
        if entry.kind == TouchKind.CONVERSION
        and entry.descriptor in digests
        and not entry.flags & QUARANTINED
        and own[0][0] - history_micros <= entry.event_time_micros
        and entry[:2] < own[-1]
        and entry.event_hash in journey.conversion_ids
    }
    found.pop(conversion_id, None)
    return list(found)


def told_as(other: Affected, own: Affected) -> str | None:
    """Returns which conversion one counts as that would end a path; empty: as none. None: as itself.

    Args:
        other: It, with what its family is to it.
        own: The conversion whose path that is, likewise.
    """
    if is_taken_back(other):
        return ""
    counted = _counted_as(other)
    if counted == _counted_as(own):
        return own.conversion_id
    return None if counted == other.conversion_id else counted


def later_ones(one: Affected, history_micros: int) -> Iterator[str]:
    """Yields the conversions whose path one may end, or not any more, because of what became of it.

    Args:
        one: With its parts and journey, the names that end paths, and what its family is to it.
        history_micros: How far before a conversion its path is looked at.
    """
    own = _places(one.parts)
    if not own or _name(one) not in one.ending_names or not _moves_ends(one):
        return
    for journey in (one.journey, *one.elsewhere):
        for other, times in () if journey is None else journey.conversions.items():
            if other != one.conversion_id and own[0][0] <= max(times) and min(times) - history_micros <= own[-1][0]:
                yield other


def frees_forgotten_paths(one: Affected) -> bool:
    """Tells whether what a conversion ended may be another now, and its person's journey has forgotten it.

    Args:
        one: With its parts and journey, and what its family is to it.
    """
    if not any(_name(one) in settings.resets_after for settings in one.workspace.attribution):
        return False  # nearly always
    is_held = one.journey is not None and one.conversion_id in one.journey.conversions
    return not is_held and _moves_ends(one)


def _moves_ends(one: Affected) -> bool:
    """Tells whether what arrived may have taken a conversion back, or not any more, or made it one with another."""
    changes = [part for part in one.kin.order.with_adjustments(one.parts) if not part.is_observation]
    has_changed = any(part.event_hash in one.arrived for part in changes)
    if has_changed and any(part.adjustment().kind is AdjustmentKind.RETRACTION for part in changes):
        return True  # a restatement ends a retraction, which is there still
    return has_kin_arrived(one)


def _counted_as(one: Affected) -> str:
    """Returns the conversion that one counts as; what an erasure left of an order is known by nothing here."""
    into = one.kin.order.merged_into
    is_known = into is not None and not into.conversion_id.startswith(SEVERED_PREFIX)
    return into.conversion_id if into is not None and is_known else one.conversion_id


def _places(parts: Iterable[ConversionPart]) -> list[OrderKey]:
    return sorted((part.event_time_micros, part.event_hash) for part in parts if part.is_observation)


def _name(one: Affected) -> str:
    return next((part.event.conversion.name for part in one.parts if part.is_observation), "")
