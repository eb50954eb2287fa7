"""Who a conversion's person was at a moment, and what of their journey was known, from the events known then. Pure.

The one rule: people are made by the same limits as now (`tributary_domain.identity`), from what had been accepted by
then; an event is that of its most telling identifier. Of identifiers that are not the person's today only what was seen
beside them is known: they take their places, as they did then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from tributary_attribution.order_edges import Observed, edges_between
from tributary_domain.event_order import event_hash
from tributary_domain.identity import IdentityLimits, clusters_of
from tributary_domain.journey import QUARANTINED, JourneyTouch
from tributary_domain.ties import Tie, edges_of, join, most_telling, operator_edge, telling
from tributary_storage.clickhouse.identity_words import StoredWord
from tributary_storage.clickhouse.past_events import PastEvent
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.redis.tie_layout import Said


def person_then(
    parts: Iterable[ConversionPart],
    events: Mapping[int, PastEvent],
    words: Iterable[StoredWord],
    limits: IdentityLimits,
) -> frozenset[str]:
    """Returns the identifiers of a conversion's person; none: nobody was named.

    Args:
        parts: Of the conversion, as known then.
        events: By hash, those known then that name any identifier of today's person.
        words: What operators had said by then.
        limits: What keeps people apart.
    """
    homes = [
        (telling(home)[0], part.event_time_micros, part.event_hash, home)
        for part in parts
        if part.is_observation and part.admitted.identity_tokens
        for home in [most_telling(part.admitted.identity_tokens)]
    ]
    if not homes:
        return frozenset()
    own = min(homes)[3]
    ties = ties_of(events, words, limits)
    persons = (person for cluster in clusters_of(ties, [own], limits) for person in cluster.persons)
    return next((frozenset(person.tokens) for person in persons if own in person.tokens), frozenset({own}))


def ties_of(
    events: Mapping[int, PastEvent], words: Iterable[StoredWord], limits: IdentityLimits
) -> dict[str, list[Tie]]:
    """Returns whom identifiers were seen with, each tie with both its ends.

    Args:
        events: By hash.
        words: What operators said.
        limits: What keeps people apart.
    """
    ties: dict[str, list[Tie]] = defaultdict(list)
    for tie in join(_edges(events, words, limits), limits.shared_device_days).values():
        ties[tie.first].append(tie)
        ties[tie.second].append(tie)
    return ties


def entries_then(
    entries: Iterable[JourneyTouch], events: Mapping[int, PastEvent], person: frozenset[str]
) -> list[JourneyTouch]:
    """Returns what was known of a journey that is a person's now: what waited in quarantine then, as it stood then.

    Args:
        entries: Of today.
        events: By hash, those known then.
        person: Whose journey it was.
    """
    found = []
    for entry in entries:
        event = events.get(entry.event_hash)
        if event is None:
            continue
        if event.is_quarantined and not person.isdisjoint(event.tokens):
            found.append(entry._replace(flags=entry.flags | QUARANTINED))
        elif is_of_person(event, person):
            found.append(entry)
    return found


def is_of_person(event: PastEvent | None, person: frozenset[str]) -> bool:
    """Tells whether an event was known to be a good one of a person."""
    if event is None or event.is_quarantined or not event.tokens:
        return False
    return most_telling(event.tokens) in person


def _edges(events: Mapping[int, PastEvent], words: Iterable[StoredWord], limits: IdentityLimits) -> Iterable[Tie]:
    orders: dict[str, list[Observed]] = defaultdict(list)
    for hashed, event in events.items():
        if not event.is_quarantined:
            yield from edges_of(event.tokens, event.event_time_micros, hashed)
            if event.conversion_id:
                orders[event.conversion_id].append((event.tokens, Said("", event.event_time_micros, hashed, 0)))
    for observed in orders.values():
        if len(observed) > 1:
            in_order = sorted(observed, key=lambda one: one[1][1:3])
            yield from (edge for _, edge in edges_between(in_order, limits.shared_device_days))
    for word in words:
        yield operator_edge(word.first, word.second, word.word, word.time_micros, event_hash(word.event_id))
