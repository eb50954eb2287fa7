"""What data_driven learned from people and conversions whose state had ended before it was lost: counted again.

The counts of paths outlive what was counted: journeys end, and so do conversions, but what they taught stays. So after
a loss it is learned again from ClickHouse: of conversions, as they are published, in the window that data_driven had
under the settings of each; of people, as the paths they were
when their journeys ended (`old_people`), and as those that were kept when their events were deleted (`ended_paths`).

The one rule: each is counted once. Of conversions of erased people only the channels are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from tributary.attribution.v1.conversion_pb2 import ConversionState, InheritanceReason
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.credit_settings import core_settings, declared_for
from tributary_attribution.old_people import OldPeople
from tributary_runtime.attribution_settings import AttributionSettings
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.lost_state import EventPlace, LostState, LostTime, OldEvent
from tributary_storage.clickhouse.names import micros
from tributary_storage.codec.counted_paths import conversion_changes, pack_conversion_path
from tributary_storage.redis.conversions import Conversions, conversion_key
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


class OldEvidence:
    """Counts again, a page at a time. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        lost: What the store was made of.
        history: What is published of conversions.
        people: Reads what people count.
        conversions: Knows which conversions are counted already.
        paths: The counts.
        settings: Knows what conversions were credited under.
    """

    def __init__(
        self,
        lost: LostState,
        history: Past,
        people: OldPeople,
        conversions: Conversions,
        paths: OldPaths,
        settings: Settings,
    ) -> None:
        self._lost = lost
        self._history = history
        self._people = people
        self._conversions = conversions
        self._paths = paths
        self._settings = settings

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
        """Counts the people of the next page of identifiers; returns its last one, None where there is none.

        After the last one, those whose events are deleted.
        """
        tokens = await self._lost.old_identifiers(time, after, _IDENTIFIERS_OF_A_PAGE)
        if not tokens:
            kept = await self._lost.ended_paths(workspace.id)
            await self._paths.add_people(workspace.id, _name("ended", time, EventPlace(0, "")), kept)
            return None
        changes = await self._people.counted(workspace, time, set(tokens), [(_all, 1)])
        await self._paths.add_people(workspace.id, _name("people", time, after), changes)
        return EventPlace(0, tokens[-1])

    async def _channels_of(self, workspace: Workspace, state: ConversionState) -> list[str]:
        """Returns the channels of what data_driven shared a conversion among: other models may look further back."""
        time = micros(state.conversion_time)
        declared = await self._settings.find(workspace, state.settings_version) or declared_for(workspace, time)
        begin = time - core_settings(declared).path_lookback_days * _DAY_SECONDS * _SECOND
        return [touch.source.channel for touch in state.touches if micros(touch.touch_time) >= begin]


def _all(_: OldEvent) -> bool:
    return True


def _name(what: str, time: LostTime, after: EventPlace) -> str:
    return f"{time.until_micros}|{what}|{after.event_time_micros}|{after.event_id}"
