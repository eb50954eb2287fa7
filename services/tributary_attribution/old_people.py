"""The paths that people were whenever their journeys ended, read again from ClickHouse.

Somebody who was away for longer than a journey lives was another path each time. What is part of a journey still is
none here: it is counted with that (`people_as_paths`).

The one rule: a person is of the page that has the first of their identifiers in the alphabet, of those that were seen
in the time that is looked through, so that each is counted once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple

from tributary_attribution.arrivals import Arrival, ArrivalReader
from tributary_attribution.credit_settings import counts_seen, journey_life_seconds, ties_seconds
from tributary_attribution.people_as_paths import path_of
from tributary_attribution.people_then import ties_of
from tributary_attribution.repair import Words
from tributary_domain.consent import Assumed
from tributary_domain.identity import Person, clusters_of, missing
from tributary_domain.ties import Tie, most_telling
from tributary_runtime.errors import PoisonEvent
from tributary_runtime.identity_limits import identity_limits
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.lost_state import MARGIN_SECONDS, LostState, LostTime, OldEvent
from tributary_storage.clickhouse.past_events import PastEvent, PastEvents
from tributary_storage.codec.counted_paths import Changes, pack_person_path, person_changes
from tributary_storage.codec.touch_sources import SourceCache
from tributary_storage.redis import trace_layout
from tributary_storage.redis.consents import Consents, pack_field, pack_texts
from tributary_storage.redis.journey_layout import Journey, unpack_journey

_SECOND: Final = 1_000_000
_EVER: Final = 1 << 62

Keeps = Callable[[OldEvent], bool]
"""Whether an event is there."""


class _Path(NamedTuple):
    """A person as a path that led nowhere."""

    channels: Sequence[str]
    conversions: Sequence[str]
    """Ids of the conversions that were part of the journey."""


class OldPeople:
    """Reads them. Every method raises `StorageUnavailableError`.

    Args:
        lost: What people did.
        events: Whom events named.
        words: What operators said of who is who.
        consents: Knows what people decided.
        assumed_of: Workspace -> what its people are assumed to consent to.
    """

    def __init__(
        self,
        lost: LostState,
        events: PastEvents,
        words: Words,
        consents: Consents,
        assumed_of: Callable[[str], Assumed] = lambda _: Assumed(),
    ) -> None:
        self._lost = lost
        self._events = events
        self._words = words
        self._consents = consents
        self._assumed_of = assumed_of
        self._sources = SourceCache()

    async def counted(
        self,
        workspace: Workspace,
        time: LostTime,
        tokens: Collection[str],
        worlds: Sequence[tuple[Keeps, int]],
        seen: tuple[int, int] = (0, _EVER),
    ) -> Changes:
        """Returns what the people of a page of identifiers count as paths that ended.

        Args:
            workspace: Whose.
            time: What is part of journeys still, and what is not known yet.
            tokens: The page.
            worlds: Each which events there are, and how often what people are then counts.
            seen: From when, and before when, identifiers were seen that are paged; in microseconds.
        """
        people = await self._people(workspace, time, tokens, seen)
        found = await self._paths_of(workspace, time, people, [keeps for keeps, _ in worlds])
        names = await self._lost.counted_names(
            workspace.id, {one for paths in found for path in paths for one in path.conversions}
        )
        changes: Changes = {}
        for paths, (_, times) in zip(found, worlds, strict=True):
            for path in paths:
                converted = {names[one] for one in path.conversions if one in names}
                for field, by in person_changes(b"", pack_person_path(path.channels, converted)).items():
                    changes[field] = changes.get(field, 0) + times * by
        return {field: by for field, by in changes.items() if by}

    async def _people(
        self, workspace: Workspace, time: LostTime, tokens: Collection[str], seen: tuple[int, int]
    ) -> list[Person]:
        """Returns who identifiers are, by all events there are: ties that made people long ago have ended, too."""
        limits, words = identity_limits(workspace), await self._words.read(workspace.id)
        events: dict[int, PastEvent] = {}
        read: set[str] = set()
        ties: dict[str, list[Tie]] = {}
        while wanted := {*tokens, *missing(ties, tokens, limits)} - read:
            events |= await self._events.of_tokens(workspace.id, wanted, time.until_micros)
            read |= wanted
            whole = ties_of(events, words, limits)
            ties = {token: whole.get(token, []) for token in read}
        persons = {person for cluster in clusters_of(ties, tokens, limits) for person in cluster.persons}
        paged = {
            token for event in events.values() if seen[0] <= event.event_time_micros < seen[1] for token in event.tokens
        }
        return sorted(person for person in persons if min(paged.intersection(person.tokens), default="") in tokens)

    async def _paths_of(
        self, workspace: Workspace, time: LostTime, people: Sequence[Person], worlds: Sequence[Keeps]
    ) -> list[list[_Path]]:
        """Returns the paths that people were whenever their journeys ended, in each world."""
        found: list[list[_Path]] = [[] for _ in worlds]
        owners = {token: person for person in people for token in person.tokens}
        if not owners:
            return found
        events = await self._lost.old_events(time, list(owners))
        decided = await self._consents.read([(workspace.id, token) for token in owners])
        reader = ArrivalReader(self._assumed_of)
        life_micros = journey_life_seconds([workspace]) * _SECOND
        of_person: dict[Person, list[OldEvent]] = defaultdict(list)
        for event in events:
            owner = owners.get(most_telling(event.tokens))
            if owner is not None:
                of_person[owner].append(event)
        for person, own in of_person.items():
            decisions = [one for token in person.tokens for one in decided[workspace.id, token].decisions]
            said = {pack_field(one): pack_texts(one) for one in decisions}
            for keeps, paths in zip(worlds, found, strict=True):
                for period in _periods([event for event in own if keeps(event)], life_micros):
                    arrivals = list(_read(reader, workspace.id, period))
                    fields = said | {one.entry[0]: one.entry[1] for one in arrivals if one.entry}
                    journey = unpack_journey(person.first, [fields])
                    channels = self._channels(reader, workspace, journey)
                    if channels:
                        paths.append(_Path(channels, list(journey.conversions)))
        return found

    def _channels(self, reader: ArrivalReader, workspace: Workspace, journey: Journey) -> list[str]:
        source_of = self._sources.reading(reader.new_texts)
        sources = (source_of(workspace.id, touch.descriptor) for touch in path_of(journey, workspace))
        return [source.channel for source in sources if source is not None]


def lost_time(workspace: Workspace, loss_micros: int) -> LostTime:
    """Returns of which events the state store was made at a moment."""
    life_seconds = max(journey_life_seconds([workspace]), trace_layout.LIFE_SECONDS)
    return LostTime(
        workspace=workspace.id,
        journeys_since_micros=loss_micros - life_seconds * _SECOND,
        ties_since_micros=loss_micros - ties_seconds([workspace]) * _SECOND,
        until_micros=loss_micros + MARGIN_SECONDS * _SECOND,
        keeps_seen=counts_seen(workspace),
    )


def _periods(events: Sequence[OldEvent], life_micros: int) -> list[list[OldEvent]]:
    """Returns the times between which a journey ended; without that which is part of one again."""
    periods: list[list[OldEvent]] = []
    last = -life_micros
    for event in events:
        if not periods or event.accept_micros - last > life_micros:
            periods.append([])
        periods[-1].append(event)
        last = event.accept_micros
    return [period for period in periods if all(event.admitted for event in period)]


def _read(reader: ArrivalReader, workspace: str, events: Iterable[OldEvent]) -> Iterable[Arrival]:
    for event in events:
        try:
            yield reader.read(workspace, "A", event.admitted, event.accept_micros, "")
        except PoisonEvent:
            continue  # nobody ever credited it
