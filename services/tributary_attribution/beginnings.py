"""How people began, for those who ask: the touch they were acquired by, and the first conversion of each name.

The one rule: what the journey still holds and what is kept beside it are one; the earlier of both is the first. A
conversion that was taken back never was one: the next is the first that the journey holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from tributary.attribution.v1 import journey_pb2
from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.credit_settings import conversion_life_seconds
from tributary_domain.journey import NO_CONSENT, QUARANTINED, SEEN_KINDS, TouchKind
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.conversion_parts import unpack_parts
from tributary_storage.codec.touch_sources import SourceCache
from tributary_storage.redis.conversions import Conversions, StoredConversion, conversion_key
from tributary_storage.redis.descriptors import Descriptors, digest_of
from tributary_storage.redis.firsts import FirstConversion, FirstTouch, PersonFirsts
from tributary_storage.redis.journey_layout import Journey
from tributary_storage.redis.people import People


class Published(Protocol):
    """What knows what was published of conversions that the state store has forgotten."""

    async def newest(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, ConversionRevised]:
        """Returns the newest revision by conversion id; raises `StorageUnavailableError`."""
        ...


class Beginnings:
    """Reads how people began. Every method raises `StorageUnavailableError` if a store does not answer.

    Args:
        people: Keeps it.
        conversions: Knows what conversions are called, and which were taken back.
        descriptors: Keeps the texts of sources.
        published: Knows that of those that are forgotten.
    """

    def __init__(
        self, people: People, conversions: Conversions, descriptors: Descriptors, published: Published
    ) -> None:
        self._published = published
        self._people = people
        self._conversions = conversions
        self._descriptors = descriptors
        self._sources = SourceCache()

    async def of(
        self, workspace: Workspace, tokens: Iterable[str], journey: Journey | None = None
    ) -> journey_pb2.Beginning:
        """Returns how a person began.

        Args:
            workspace: Whose.
            tokens: All identity tokens of the person.
            journey: What is known of the journey; None: nothing.
        """
        [kept] = await self._people.firsts.of_people([(workspace.id, tokens)])
        message = journey_pb2.Beginning()
        touch = _earlier(kept, journey)
        if touch is not None:
            texts = await self._descriptors.read(
                [(workspace.id, touch.descriptor)], conversion_life_seconds([workspace])
            )
            source = self._sources.reading(texts)(workspace.id, touch.descriptor)
            message.touchpoint.CopyFrom(
                journey_pb2.FirstTouchpoint(
                    event_time=timestamp(touch.event_time_micros),
                    event_hash=touch.event_hash,
                    kind=touch.kind,  # type: ignore[arg-type]  # the numbers are the contract's
                    source=source,  # unset if its text was lost
                )
            )
        firsts = await self._firsts(workspace.id, kept, journey)
        names = await self._names(workspace, firsts)
        for digest, first in sorted(firsts.items(), key=lambda one: one[1].order_key):
            message.conversions.add(
                conversion_name=names.get(digest, ""),
                conversion_id=first.conversion_id,
                event_time=timestamp(first.event_time_micros),
            )
        return message

    async def _firsts(self, workspace: str, kept: PersonFirsts, journey: Journey | None) -> dict[int, FirstConversion]:
        """Returns the first conversion by name that was not taken back, as far as one is known."""
        firsts = dict(kept.conversions)
        gone = await self._taken_back(workspace, {one.conversion_id for one in firsts.values()})
        lost = {digest for digest, one in firsts.items() if one.conversion_id in gone}
        if not lost:
            return firsts
        held = [] if journey is None else _observed(journey, lost)
        gone |= await self._taken_back(workspace, {one.conversion_id for _, one in held} - gone)
        for digest in lost:
            del firsts[digest]
        for digest, one in held:
            if one.conversion_id not in gone:
                firsts.setdefault(digest, one)
        return firsts

    async def _taken_back(self, workspace: str, conversion_ids: Collection[str]) -> set[str]:
        """Returns which conversions were taken back: they themselves, or what counts in their place."""
        states = await self._states(workspace, conversion_ids)
        into = {name: one.merged_into.conversion_id for name, one in states.items() if one.HasField("merged_into")}
        states |= await self._states(workspace, set(into.values()) - states.keys())
        gone = {name for name, one in states.items() if one.retracted}
        return gone.union(name for name, counted in into.items() if counted in gone)

    async def _states(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, ConversionState]:
        """Returns what is published of conversions; of what the state store has forgotten, what was."""
        wanted = {conversion_key(workspace, name): name for name in conversion_ids}
        if not wanted:
            return {}
        stored = await self._conversions.observe({key: {} for key in wanted}, 0)
        held = {wanted[key]: one.published for key, one in stored.items() if one.published}
        states = {name: ConversionRevised.FromString(published).state for name, published in held.items()}
        if forgotten := sorted(set(conversion_ids).difference(states)):
            newest = await self._published.newest(workspace, forgotten)
            states |= {name: revised.state for name, revised in newest.items()}
        return states

    async def _names(self, workspace: Workspace, conversions: Mapping[int, FirstConversion]) -> dict[int, str]:
        """Returns what first conversions are called: as is declared, else as the conversion itself says."""
        names = {digest_of(one.name.encode()): one.name for one in workspace.conversions}
        wanted = {
            conversion_key(workspace.id, first.conversion_id): digest
            for digest, first in conversions.items()
            if digest not in names
        }
        if wanted:
            for key, stored in (await self._conversions.observe({key: {} for key in wanted}, 0)).items():
                names[wanted[key]] = _name(stored)
        return names


def _earlier(kept: PersonFirsts, journey: Journey | None) -> FirstTouch | None:
    """Returns the first touch of what is kept and what the journey holds."""
    found = [] if kept.touch is None else [kept.touch]
    found += [
        FirstTouch(*entry[:4])
        for entry in (() if journey is None else journey.entries)
        if entry.is_touch
        and entry.kind not in SEEN_KINDS
        and not entry.flags & (QUARANTINED | NO_CONSENT)
        and journey is not None
        and entry.event_hash not in journey.internal
    ]
    return min(found, default=None)


def _observed(journey: Journey, digests: Collection[int]) -> list[tuple[int, FirstConversion]]:
    """Returns the good observations of conversions of some names that a journey holds, oldest first."""
    found = [
        (entry.descriptor, FirstConversion(*entry[:2], journey.conversion_ids[entry.event_hash]))
        for entry in journey.entries
        if entry.kind == TouchKind.CONVERSION
        and entry.descriptor in digests
        and not entry.flags & QUARANTINED
        and entry.event_hash in journey.conversion_ids
        and entry.event_hash not in journey.internal
    ]
    return sorted(found, key=lambda one: one[1].order_key)


def _name(stored: StoredConversion) -> str:
    if stored.published:
        return ConversionRevised.FromString(stored.published).state.name
    parts = unpack_parts(stored.parts.values())
    return next((part.event.conversion.name for part in parts if part.is_observation), "")
