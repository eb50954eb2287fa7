"""Which of a person's conversions of one name count, where its name says `counting`: read from the person's journey.

Pure, and only asked for names that do not count every one. What the journey has forgotten decides nothing any more, but
for the first of a name that counts once per person, which is kept for ever; a conversion that was not counted for the
sake of one that is forgotten stays so, until that is taken back: then the journey is recalled (`recalling`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary_domain.conversion import ConversionFacts, ConversionStatus, conversion_facts
from tributary_domain.counting import CountableConversion, Counting, UncountedReason, count, leading_click
from tributary_domain.event_order import OrderKey
from tributary_domain.journey import NO_CONSENT, QUARANTINED, JourneyTouch, TouchKind
from tributary_domain.sessions import session_ids
from tributary_domain.settings import SECOND, AttributionSettings
from tributary_domain.ties import most_telling
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.codec.conversion_states import STATUS_OF_REASON
from tributary_storage.redis.descriptors import digest_of
from tributary_storage.redis.firsts import FirstConversion, PersonFirsts
from tributary_storage.redis.journey_layout import Journey

_STATUSES: Final = {
    UncountedReason.REPEATED_BY_PERSON: ConversionStatus.REPEATED_BY_PERSON,
    UncountedReason.REPEATED_IN_SESSION: ConversionStatus.REPEATED_IN_SESSION,
    UncountedReason.REPEATED_FOR_CLICK: ConversionStatus.REPEATED_FOR_CLICK,
}
REPEATED: Final = frozenset(_STATUSES.values())
"""Why a good conversion does not count."""


def rivals(
    workspace: Workspace, journey: Journey | None, parts: Sequence[ConversionPart], conversion_id: str
) -> list[str]:
    """Returns the other conversions of its name and person: those that may count in its place, or not for its sake.

    Args:
        workspace: Whose.
        journey: The person's.
        parts: Of the conversion.
        conversion_id: Its id.
    """
    name = _name(parts)
    if journey is None or workspace.conversion(name).counting is Counting.EVERY:
        return []
    digest = digest_of(name.encode())
    found = {journey.conversion_ids[one.event_hash]: None for one in journey.entries if _is_of(one, digest, journey)}
    found.pop(conversion_id, None)
    return list(found)


def forgotten_first(journey: Journey, parts: Sequence[ConversionPart], firsts: PersonFirsts) -> FirstConversion | None:
    """Returns the first conversion of its name that its person ever had, where the journey does not hold it any more.

    Args:
        journey: The person's.
        parts: Of the conversion.
        firsts: How the person began.
    """
    first = firsts.conversions.get(digest_of(_name(parts).encode()))
    return None if first is None or first.conversion_id in journey.conversion_ids.values() else first


def counts_every(workspace: Workspace, parts: Sequence[ConversionPart]) -> bool:
    """Tells whether every conversion of its name counts."""
    return workspace.conversion(_name(parts)).counting is Counting.EVERY


def counts_once(workspace: Workspace, parts: Sequence[ConversionPart]) -> bool:
    """Tells whether of the conversions of its name one counts per person, whenever it was."""
    return workspace.conversion(_name(parts)).counting is Counting.ONCE_PER_PERSON


def may_move_rivals(journey: Journey | None, parts: Sequence[ConversionPart], arrived: Collection[int]) -> bool:
    """Tells whether events may have changed which other conversions count, whatever their places in time.

    An adjustment may: it takes a conversion back, or restates it. So may a further observation that carries a click id:
    it moves the conversion to that click from its earliest observation on; and one of another identifier: it may be
    another's since.

    Args:
        journey: The person's.
        parts: Of the conversion.
        arrived: Hashes of the events.
    """
    observed = 0
    is_moved = has_joined = False
    homes: set[str] = set()
    for part in parts:
        observed += part.is_observation
        if part.is_observation and part.admitted.identity_tokens:
            homes.add(most_telling(part.admitted.identity_tokens))
        if part.event_hash in arrived:
            if not part.is_observation:
                return True
            has_joined = True
            is_moved = is_moved or (journey is not None and part.event_hash in journey.own_clicks)
    return observed > 1 and (is_moved or (has_joined and len(homes) > 1))


def is_retracted(parts: Sequence[ConversionPart]) -> bool:
    """Tells whether a conversion that somebody observed was taken back."""
    facts = conversion_facts(
        [part.observation() for part in parts if part.is_observation],
        [part.adjustment() for part in parts if not part.is_observation],
    )
    return facts.is_retracted


def status_of(
    workspace: Workspace,
    conversion_id: str,
    facts: ConversionFacts,
    name: str,
    journey: Journey | None,
    entries: Sequence[JourneyTouch],
    settings: AttributionSettings,
    retracted: Collection[str],
    takes_place_of: Collection[str],
    published: ConversionState | None,
    first: FirstConversion | None = None,
    *,
    is_whole: bool,
) -> ConversionStatus:
    """Says whether a conversion counts among those of its name and person.

    Args:
        workspace: Whose.
        conversion_id: The conversion.
        facts: What its parts say.
        name: Of it.
        journey: Of its person.
        entries: The journey as it sees it, in event order.
        settings: It is credited under: they say when a session ends.
        retracted: Other conversions in the journey that were taken back, or are another's.
        takes_place_of: Those that it counts for, too: of its lead, or the same order told otherwise.
        published: What is published of it.
        first: Of its name and person, where the journey has forgotten it.
        is_whole: Whether the journey holds all that ever was in its window, or who had the rest is known.
    """
    rule, anchor = workspace.conversion(name).counting, facts.anchor
    if rule is Counting.EVERY or facts.status is not ConversionStatus.COUNTED or anchor is None:
        return facts.status
    if (
        rule is Counting.ONCE_PER_PERSON
        and first is not None
        and first.order_key < anchor.order_key
        and first.conversion_id not in {conversion_id, *retracted, *takes_place_of}
    ):
        return ConversionStatus.REPEATED_BY_PERSON
    before = None if published is None or published.counted else STATUS_OF_REASON.get(published.not_counted_reason)
    known = [] if journey is None else _countable(journey, entries, name, settings, retracted)
    known = _at_earliest(known, conversion_id, takes_place_of)
    if (
        before in REPEATED
        and not is_whole
        and not any(
            (one.event_time_micros, one.event_hash) < anchor.order_key and one.conversion_id != conversion_id
            for one in known
        )
    ):
        return before or facts.status  # what counts in its place is forgotten
    own = next((one for one in known if one.conversion_id == conversion_id), None)
    if own is None:  # the journey has forgotten it: it counts as it did
        return before if before in REPEATED else facts.status
    decision = next(one for one in count(known, rule) if one.conversion_id == conversion_id)
    return facts.status if decision.reason is None else _STATUSES[decision.reason]


def _at_earliest(
    known: Sequence[CountableConversion], conversion_id: str, takes_place_of: Collection[str]
) -> list[CountableConversion]:
    """Returns conversions, one of them at the place of the earliest that it counts for, instead of all of these."""
    together = [one for one in known if one.conversion_id == conversion_id or one.conversion_id in takes_place_of]
    others = [one for one in known if one not in together]
    if not any(one.conversion_id == conversion_id for one in together):
        return others
    earliest = min(together, key=lambda one: (one.event_time_micros, one.event_hash))
    return [*others, replace(earliest, conversion_id=conversion_id)]


def has_earlier(journeys: Iterable[Journey], name: str, place: OrderKey) -> bool:
    """Tells whether somebody who may have been the same person has a conversion of a name before a place in time."""
    digest = digest_of(name.encode())
    return any(
        _is_of(entry, digest, journey) and entry[:2] < place for journey in journeys for entry in journey.entries
    )


def _countable(
    journey: Journey,
    entries: Sequence[JourneyTouch],
    name: str,
    settings: AttributionSettings,
    retracted: Collection[str],
) -> list[CountableConversion]:
    """Returns the conversions of a name in a journey, each at its earliest observation."""
    digest = digest_of(name.encode())
    found: dict[str, CountableConversion] = {}
    own_clicks: dict[str, int] = {}  # of the earliest observation that carries one
    active = [entry for entry in entries if not entry.flags & (QUARANTINED | NO_CONSENT)]  # the others hold no session
    sessions = dict(zip(active, session_ids(active, settings.session_timeout_seconds * SECOND), strict=True))
    for entry in entries:
        if not _is_of(entry, digest, journey):
            continue
        conversion_id = journey.conversion_ids[entry.event_hash]
        if conversion_id not in found:
            found[conversion_id] = CountableConversion(
                conversion_id=conversion_id,
                event_time_micros=entry.event_time_micros,
                event_hash=entry.event_hash,
                session=sessions.get(entry, 0),
                click=leading_click(entries, entry[:2]),
                is_good=conversion_id not in retracted,
            )
        own_click = journey.own_clicks.get(entry.event_hash)
        if own_click and not entry.flags & NO_CONSENT:
            own_clicks.setdefault(conversion_id, own_click)
    return [
        replace(one, click=own_clicks[one.conversion_id]) if one.conversion_id in own_clicks else one
        for one in found.values()
    ]


def _is_of(entry: JourneyTouch, digest: int, journey: Journey) -> bool:
    is_named = entry.kind == TouchKind.CONVERSION and entry.descriptor == digest
    return is_named and not entry.flags & QUARANTINED and entry.event_hash in journey.conversion_ids


def _name(parts: Sequence[ConversionPart]) -> str:
    return next((part.event.conversion.name for part in parts if part.is_observation), "")
