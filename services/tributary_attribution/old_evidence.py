"""What data_driven learned from people and conversions whose state had ended before it was lost: counted again.

The counts of paths outlive what was counted: journeys end, and so do conversions, but what they taught stays. So after
a loss it is learned again from ClickHouse: of conversions, as they are published, in the window that data_driven had
under the settings of each; of people, as the paths they were
when their journeys ended. Somebody who was away for longer than a journey lives was another path each time. What is
part of a journey again is counted with it (`people_as_paths`), and not here.

The one rule: a person is of the page that has the first of their identifiers in the alphabet, so that each is counted
once. Of conversions of erased people only the channels are known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from tributary.attribution.v1.conversion_pb2 import ConversionState, InheritanceReason
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.arrivals import Arrival, ArrivalReader
from tributary_attribution.credit_settings import core_settings, declared_for, journey_life_seconds
from tributary_attribution.people_as_paths import path_of
from tributary_attribution.people_then import ties_of
from tributary_attribution.repair import Words
from tributary_domain.consent import Assumed
from tributary_domain.identity import Person, clusters_of, missing
from tributary_domain.ties import Tie, most_telling
from tributary_runtime.attribution_settings import AttributionSettings
from tributary_runtime.errors import PoisonEvent
from tributary_runtime.identity_limits import identity_limits
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.lost_state import EventPlace, LostState, LostTime, OldEvent
from tributary_storage.clickhouse.names import micros
from tributary_storage.clickhouse.past_events import PastEvent, PastEvents
from tributary_storage.codec.counted_paths import (
    conversion_changes,
    pack_conversion_path,
    pack_person_path,
    person_changes,
)
from tributary_storage.codec.touch_sources import SourceCache
from tributary_storage.redis.consents import Consents, pack_field, pack_texts
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.journey_layout import Journey, unpack_journey
from tributary_storage.redis.old_paths import OldPaths

_CONVERSIONS_OF_A_PAGE: Final = 1_000
_IDENTIFIERS_OF_A_PAGE: Final = 500
_SECOND: Final = 1_000_000
_DAY_SECONDS: Final = 86_400
_FIRST_PAYMENT: Final = InheritanceReason.INHERITANCE_REASON_FIRST_PAYMENT


class Past(Protocol):
    """What ClickHouse knows of conversions."""

    async def newest(self, workspace: str, conversion_ids: Sequence[str]) -> dict[str, ConversionRevised]:
        """Returns the newest revision of each that has any; raises `StorageUnavailableError`."""
        ...


class Settings(Protocol):
    """What versions of settings stand for."""

    async def find(self, workspace: Workspace, version: str) -> AttributionSettings | None:
        """Returns the settings that a version names, None if nobody knows them; raises `StorageUnavailableError`."""
        ...


class _Path(NamedTuple):
    """A person as a path that led nowhere."""

    channels: Sequence[str]
    conversions: Sequence[str]
    """Ids of the conversions that were part of the journey."""


class OldEvidence:
    """Counts again, a page at a time. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        lost: What the store was made of.
        history: What is published of conversions.
        events: Whom events named.
        words: What operators said of who is who.
        consents: Knows what people decided.
        conversions: Knows which conversions are counted already.
        paths: The counts.
        settings: Knows what conversions were credited under.
        assumed_of: Workspace -> what its people are assumed to consent to.
    """

    def __init__(
        self,
        lost: LostState,
        history: Past,
        events: PastEvents,
        words: Words,
        consents: Consents,
        conversions: Conversions,
        paths: OldPaths,
        settings: Settings,
        assumed_of: Callable[[str], Assumed] = lambda _: Assumed(),
    ) -> None:
        self._lost = lost
        self._history = history
        self._events = events
        self._words = words
        self._consents = consents
        self._conversions = conversions
        self._paths = paths
        self._settings = settings
        self._assumed_of = assumed_of
        self._sources = SourceCache()

    async def conversions(self, workspace: Workspace, time: LostTime, after: EventPlace) -> EventPlace | None:
        """Counts the conversions of the next page; returns its last one, None where there is none."""
        page = await self._lost.old_conversions(time, after, _CONVERSIONS_OF_A_PAGE)
        if not page:
            return None
        published = await self._history.newest(workspace.id, [one.conversion_id for one in page])
        keyed = {conversion_key(workspace.id, one.conversion_id): one for one in page}
        stored = await self._conversions.observe({key: {} for key in keyed}, 0)
        noted = []
        for key, one in keyed.items():
            revised = published.get(one.conversion_id)
            channels = one.channels
            if revised is not None and revised.state.touches:
                channels = await self._channels_of(workspace, revised.state)
            is_own = revised is None or revised.state.inherited_from.reason != _FIRST_PAYMENT
            if is_own and not stored[key].counted:
                noted.append(b"\0" + pack_conversion_path(workspace.id, one.name, channels))
        changes = conversion_changes(noted).get(workspace.id, {})
        await self._paths.add_converted(workspace.id, _name("conversions", time, after), changes)
        return EventPlace(page[-1].time_micros, page[-1].conversion_id)

    async def identifiers(self, workspace: Workspace, time: LostTime, after: EventPlace) -> EventPlace | None:
        """Counts the people of the next page of identifiers; returns its last one, None where there is none."""
        tokens = await self._lost.old_identifiers(time, after, _IDENTIFIERS_OF_A_PAGE)
        if not tokens:
            return None
        here = set(tokens)
        people = [one for one in await self._people(workspace, time, here) if min(one.tokens) in here]
        paths = await self._paths_of(workspace, time, people)
        wanted = {one for path in paths for one in path.conversions}
        names = await self._lost.counted_names(workspace.id, wanted)
        changes: Counter[bytes] = Counter()
        for path in paths:
            converted = {names[one] for one in path.conversions if one in names}
            changes.update(person_changes(b"", pack_person_path(path.channels, converted)))
        await self._paths.add_people(workspace.id, _name("people", time, after), changes)
        return EventPlace(0, tokens[-1])

    async def _channels_of(self, workspace: Workspace, state: ConversionState) -> list[str]:
        """Returns the channels of what data_driven shared a conversion among: other models may look further back."""
        time = micros(state.conversion_time)
        declared = await self._settings.find(workspace, state.settings_version) or declared_for(workspace, time)
        begin = time - core_settings(declared).path_lookback_days * _DAY_SECONDS * _SECOND
        return [touch.source.channel for touch in state.touches if micros(touch.touch_time) >= begin]

    async def _people(self, workspace: Workspace, time: LostTime, tokens: Collection[str]) -> list[Person]:
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
        return sorted(person for person in persons if not read.isdisjoint(person.tokens))

    async def _paths_of(self, workspace: Workspace, time: LostTime, people: Sequence[Person]) -> list[_Path]:
        """Returns the paths that people were whenever their journeys ended."""
        owners = {token: person for person in people for token in person.tokens}
        if not owners:
            return []
        events = await self._lost.old_events(time, list(owners))
        decided = await self._consents.read([(workspace.id, token) for token in owners])
        reader = ArrivalReader(self._assumed_of)
        life_micros = journey_life_seconds([workspace]) * _SECOND
        of_person: dict[Person, list[OldEvent]] = defaultdict(list)
        for event in events:
            owner = owners.get(most_telling(event.tokens))
            if owner is not None:
                of_person[owner].append(event)
        found = []
        for person, own in of_person.items():
            decisions = [one for token in person.tokens for one in decided[workspace.id, token].decisions]
            said = {pack_field(one): pack_texts(one) for one in decisions}
            for period in _periods(own, life_micros):
                arrivals = list(_read(reader, workspace.id, period))
                fields = said | {one.entry[0]: one.entry[1] for one in arrivals if one.entry}
                journey = unpack_journey(person.first, [fields])
                channels = self._channels(reader, workspace, journey)
                if channels:
                    found.append(_Path(channels, list(journey.conversions)))
        return found

    def _channels(self, reader: ArrivalReader, workspace: Workspace, journey: Journey) -> list[str]:
        source_of = self._sources.reading(reader.new_texts)
        sources = (source_of(workspace.id, touch.descriptor) for touch in path_of(journey, workspace))
        return [source.channel for source in sources if source is not None]


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


def _name(what: str, time: LostTime, after: EventPlace) -> str:
    return f"{time.until_micros}|{what}|{after.event_time_micros}|{after.event_id}"
