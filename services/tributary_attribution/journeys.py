"""A person's journey as it is known now, for those who ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tributary.attribution.v1 import journey_pb2
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_attribution.affected import Affected
from tributary_attribution.assessment import complete_since_micros
from tributary_attribution.beginnings import Beginnings
from tributary_attribution.credit_settings import conversion_life_seconds, core_settings, journey_life_seconds
from tributary_attribution.directory import Directory
from tributary_domain.identifiers import Identification
from tributary_domain.journey import NO_CONSENT, NO_TOUCH, QUARANTINED, JourneyTouch, TouchKind, in_event_order
from tributary_domain.sessions import session_ids
from tributary_domain.settings import SECOND
from tributary_runtime.clock import Clock
from tributary_runtime.errors import NotFoundError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.touch_sources import SourceCache
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.descriptors import Descriptors
from tributary_storage.redis.journey_layout import Journey
from tributary_storage.redis.people import People


class JourneyReader:
    """Reads journeys. Every method may raise `NotFoundError` and `StorageUnavailableError`.

    Args:
        people: Leads tokens to journeys.
        conversions: Knows whose a conversion is.
        descriptors: Keeps the texts of sources.
        directory: Knows the workspaces.
        beginnings: Knows how people began.
        clock: Says since when a journey would be there.
    """

    def __init__(
        self,
        people: People,
        conversions: Conversions,
        descriptors: Descriptors,
        directory: Directory,
        beginnings: Beginnings,
        clock: Clock,
    ) -> None:
        self._people = people
        self._conversions = conversions
        self._descriptors = descriptors
        self._directory = directory
        self._sources = SourceCache()
        self._beginnings = beginnings
        self._clock = clock

    async def by_person_id(self, workspace_id: str, person_id: str) -> journey_pb2.Journey:
        """Returns a journey by a person id; one of before a merge leads to the person it is now."""
        workspace = self._directory.get(workspace_id)
        token = await self._people.token_of(workspace.id, person_id)  # None for one of another workspace
        return await self._read(workspace, [] if token is None else [token])

    async def by_identifiers(self, workspace_id: str, identifiers: Identifiers) -> journey_pb2.Journey:
        """Returns a journey by identifiers, of which one suffices."""
        workspace = self._directory.get(workspace_id)
        tokens = tokens_to_find(workspace, identifiers)
        return await self._read(workspace, tokens)

    async def by_conversion_id(self, workspace_id: str, conversion_id: str) -> journey_pb2.Journey:
        """Returns the journey that led to a conversion."""
        workspace = self._directory.get(workspace_id)
        key = conversion_key(workspace.id, conversion_id)
        stored = (await self._conversions.observe({key: {}}, 0))[key]
        one = Affected(workspace, conversion_id)
        one.take(stored)
        place = one.place()
        return await self._read(workspace, [] if place is None else [place[1]])

    async def _read(self, workspace: Workspace, tokens: Sequence[str]) -> journey_pb2.Journey:
        journey = await self._people.find(workspace.id, tokens)
        if journey is None:
            raise _nobody()
        return await self._message(workspace, journey)

    async def _message(self, workspace: Workspace, journey: Journey) -> journey_pb2.Journey:
        descriptors = {entry.descriptor for entry in journey.entries if entry.kind != TouchKind.CONVERSION}
        places = ((workspace.id, descriptor) for descriptor in descriptors)
        texts = await self._descriptors.read(places, conversion_life_seconds([workspace]))
        source_of = self._sources.reading(texts)
        message = _message(workspace, journey, lambda descriptor: source_of(workspace.id, descriptor))
        since = complete_since_micros(journey, journey_life_seconds([workspace]), self._clock.unix_micros())
        if since > 0:
            message.complete_since_time.CopyFrom(timestamp(since))
        message.beginning.CopyFrom(await self._beginnings.of(workspace, journey.tokens, journey))
        return message


def _nobody() -> NotFoundError:
    message = "There is no such person in this workspace, or not any more."
    return NotFoundError(message, resource_type="person", resource_name="")


def identification(workspace: Workspace) -> Identification:
    """Returns what makes the identity tokens of a workspace."""
    return Identification(
        workspace.pepper.reveal().encode(),
        workspace.default_region,
        frozenset(workspace.identity.blocked_identifiers),
    )


def tokens_to_find(workspace: Workspace, identifiers: Identifiers) -> list[str]:
    """Returns the identity tokens by which a person is looked for, the most telling first.

    Where all stand for nobody, those that they have all the same: whoever was stored before a value came to be blocked
    can be shown, and erased. But beside one that names somebody they are left out: they may be of strangers.
    """
    tokens = identification(workspace).identify(identifiers).tokens
    if tokens:
        return tokens
    pepper = workspace.pepper.reveal().encode()
    return Identification(pepper, workspace.default_region, blocked=None).identify(identifiers).tokens


def _message(
    workspace: Workspace, journey: Journey, source_of: Callable[[int], TouchSource | None]
) -> journey_pb2.Journey:
    message = journey_pb2.Journey(person_id=journey.person_id, identity_tokens=sorted(journey.tokens))
    entries = in_event_order(journey.entries)
    timeout = core_settings(workspace.attribution[-1]).session_timeout_seconds * SECOND
    for entry, session in zip(entries, session_ids(entries, timeout), strict=True):
        step = message.steps.add(
            event_time=timestamp(entry.event_time_micros), event_hash=entry.event_hash, session=session
        )
        if entry.kind == TouchKind.CONVERSION:
            step.conversion.conversion_id = journey.conversion_ids.get(entry.event_hash, "")
        else:
            step.touchpoint.CopyFrom(_touchpoint(entry, source_of))
    return message


def _touchpoint(entry: JourneyTouch, source_of: Callable[[int], TouchSource | None]) -> journey_pb2.TouchpointStep:
    return journey_pb2.TouchpointStep(
        kind=entry.kind,  # type: ignore[arg-type]  # the numbers are the contract's
        source=source_of(entry.descriptor),  # unset if its text was lost
        quarantined=bool(entry.flags & QUARANTINED),
        continues_session=bool(entry.flags & NO_TOUCH),
        consented=not entry.flags & NO_CONSENT,
    )
