"""People who did not convert are paths too: each is counted as the path he is now, a while after his last event.

Beside the batches and never within: a touch changes its person's path, and counting that with every touch would cost
more than crediting. Whoever is marked is read here once, however many events marked him, and counted in one step with
what he was counted as before. A person is a path that led nowhere for every conversion name he has no counted
conversion of. He is counted under the identifier that his person id is made of, whichever of them marked him; what is
counted under an identifier that is not the first of its person any more is taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary_attribution.affected import Affected
from tributary_attribution.credit_settings import conversion_life_seconds, journey_life_seconds, settings_for
from tributary_domain.journey import JourneyTouch, in_event_order
from tributary_domain.path_counts import PathCounts
from tributary_domain.settings import AttributionSettings
from tributary_domain.touch_paths import last_touch, person_path
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import TributaryError
from tributary_runtime.workspace_lookup import WorkspaceLookup
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.counted_paths import EVERY_NAME, pack_person_path
from tributary_storage.codec.touch_sources import SourceCache
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.converted_paths import ConvertedPaths
from tributary_storage.redis.descriptors import Descriptors, digest_of
from tributary_storage.redis.journey_layout import Journey
from tributary_storage.redis.people import People
from tributary_storage.redis.person_paths import PersonPaths
from tributary_storage.redis.ties import Place, person_key

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 64
"""People of one shard that are read and counted together."""
_CHANGES_AT_ONCE: Final = 2_000
"""Changes of conversions of one shard that are added up together."""
_REST: Final = 2.0
"""How much longer it rests after some people than they took: so that it takes a third of the process."""
_LOOK_SECONDS: Final = 1.0
"""How often it looks whether anybody waits."""


class PeopleAsPaths:
    """Counts people as paths: a loop.

    Args:
        paths: Knows who is marked, and keeps as what path each is counted.
        converted: Adds up what published conversions changed.
        people: Knows who is one person, and what they did.
        conversions: Knows which of their conversions count.
        descriptors: Keeps the texts of sources.
        lookup: Knows the workspaces.
        clock: Measures.
    """

    name = "paths"

    def __init__(
        self,
        paths: PersonPaths,
        converted: ConvertedPaths,
        people: People,
        conversions: Conversions,
        descriptors: Descriptors,
        lookup: WorkspaceLookup,
        clock: Clock,
    ) -> None:
        self._paths = paths
        self._converted_paths = converted
        self._people = people
        self._conversions = conversions
        self._descriptors = descriptors
        self._lookup = lookup
        self._clock = clock
        self._sources = SourceCache()

    async def run(self, stop: asyncio.Event) -> None:
        """Counts whoever is marked until stopped; an outage is for the next time."""
        while not stop.is_set():
            taken, since = 0, self._clock.monotonic_seconds()
            try:
                taken = await self.fold_some() + await self.count_some()
            except TributaryError as failure:
                log.warning("paths_not_counted", reason=failure.message)
            wait = _REST * (self._clock.monotonic_seconds() - since) if taken else _LOOK_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await stop.wait()
            except TimeoutError:
                continue

    async def fold_some(self) -> int:
        """Adds up some of what published conversions changed; returns how many changes were found.

        Raises:
            StorageUnavailableError: The state store did not answer; nothing is lost.
        """
        return await self._converted_paths.fold(_CHANGES_AT_ONCE)

    async def counts(self, workspace_id: str) -> dict[str, PathCounts]:
        """Returns all counts of a workspace, of conversions and of people, by conversion name.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        converted, people = await self._converted_paths.counts(workspace_id), await self._paths.counts(workspace_id)
        nobody = PathCounts()
        everybody = people.get(EVERY_NAME, nobody)
        return {name: own.plus(everybody).plus(people.get(name, nobody)).possible() for name, own in converted.items()}

    async def count_some(self) -> int:
        """Counts some of those whose time has come; returns how many were looked at.

        Raises:
            StorageUnavailableError: The state store did not answer; they are handed out again.
        """
        held = await self._paths.take(_AT_ONCE)
        workspaces = await self._lookup.find({person.workspace for person in held})
        held = [person for person in held if person.workspace in workspaces]
        if not held:
            return 0
        found = await self._people.find_each([person.place for person in held])
        journeys: dict[Place, Journey] = {}
        elsewhere: dict[Place, None] = {}
        for person, journey in zip(held, found, strict=True):
            if journey is not None:
                first = _first(person.workspace, journey)
                if first == person.token:
                    journeys[person.place] = journey
                else:
                    elsewhere[person.workspace, first] = None
        await self._paths.mark(elsewhere.keys() - journeys.keys())
        packed = await self._packed(journeys, workspaces)
        counted = await self._paths.count(
            [(person, packed.get(person.place, b"")) for person in held],
            journey_life_seconds(workspaces.values()),
        )
        metrics.COUNTED_PEOPLE.add(counted)
        return len(held)

    async def _packed(
        self, journeys: Mapping[Place, Journey], workspaces: Mapping[str, Workspace]
    ) -> dict[Place, bytes]:
        """Returns the path of each person who is one."""
        paths: dict[Place, Sequence[JourneyTouch]] = {}
        for (workspace_id, token), journey in journeys.items():
            touches = path_of(journey, workspaces[workspace_id])
            if touches:
                paths[workspace_id, token] = touches
        places = {(workspace_id, touch.descriptor) for (workspace_id, _), touches in paths.items() for touch in touches}
        texts = await self._descriptors.read(places, conversion_life_seconds(workspaces.values()))
        source_of = self._sources.reading(texts)
        names = await self._converted({person: journeys[person] for person in paths}, workspaces)
        packed = {}
        for person, touches in paths.items():
            sources: list[TouchSource | None] = [source_of(person[0], touch.descriptor) for touch in touches]
            channels = [source.channel for source in sources if source is not None]
            packed[person] = pack_person_path(channels, names.get(person, ()))
        return packed

    async def _converted(
        self, journeys: Mapping[Place, Journey], workspaces: Mapping[str, Workspace]
    ) -> dict[Place, list[str]]:
        """Returns the names of the counted conversions of each person who has any.

        His are those that belong to one of his identifiers: not what was observed where he was seen and is another's.
        """
        wanted: dict[str, list[Place]] = {}
        for person, journey in journeys.items():
            for conversion_id in journey.conversions:
                wanted.setdefault(conversion_key(person[0], conversion_id), []).append(person)
        names: dict[Place, list[str]] = {}
        if wanted:
            for key, stored in (await self._conversions.observe({key: {} for key in wanted}, 0)).items():
                state = ConversionRevised.FromString(stored.published).state
                if state.counted:
                    one = Affected(workspaces[wanted[key][0][0]], state.conversion_id)
                    one.take(stored)
                    for person in wanted[key]:
                        if not one.is_nobodys(journeys[person]):
                            names.setdefault(person, []).append(state.name)
        return names


def _first(workspace_id: str, journey: Journey) -> str:
    """Returns the identity token that a person id is made of."""
    return next(token for token in journey.tokens if person_key(workspace_id, token) == journey.person_id)


def path_of(journey: Journey, workspace: Workspace) -> Sequence[JourneyTouch]:
    """Returns the touches of a person as a path that led nowhere, oldest first."""
    entries = in_event_order(entry for entry in journey.entries if entry.event_hash not in journey.internal)
    last = last_touch(entries)
    if last is None:
        return ()
    settings = settings_for(workspace, last.event_time_micros)
    return person_path(entries, settings, _resetting(settings), journey.orders)


def _resetting(settings: AttributionSettings) -> set[int]:
    return {digest_of(name.encode()) for name in settings.path_reset_names}
