"""Makes the state store whole again after a confirmed loss, from what ClickHouse has recorded.

One process does it for all, beside the events that arrive, and rests as long as it works. For each workspace, one after
another: the models in use; what operators said of who is who; the events, which give back who was seen with whom,
journeys, and the people who are paths; how people began, from events that are older than that; then the conversions,
which are restored, counted as the paths that data_driven learns from, and credited: for those that came meanwhile may
have missed what was not back yet. Nothing is credited before all that it is computed from is back; so what nobody
changed gets no revision. Of what had ended before the loss only what data_driven learned from it comes back
(`old_evidence`). It is finished when all paths are counted: data_driven learns nothing until then.

The one rule: whatever is brought back is ignored where it is there. So every page may be done twice, a run that was
stopped goes on after the last page that was noted, and nobody has to wait.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from tributary_attribution.affected import Affected
from tributary_attribution.arrivals import Replayed
from tributary_attribution.attributor import Attributor
from tributary_attribution.directory import EveryWorkspace
from tributary_attribution.old_evidence import OldEvidence
from tributary_attribution.old_people import lost_time
from tributary_attribution.publishing import Publisher
from tributary_attribution.repair import Words, said_of
from tributary_domain.revision import Cause
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import PoisonEvent, TributaryError, WorkerDecision
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.lost_state import MARGIN_SECONDS, EventPlace, LostState, LostTime
from tributary_storage.clickhouse.model_versions import ModelVersions
from tributary_storage.redis.converted_paths import ConvertedPaths
from tributary_storage.redis.current_models import CurrentModels
from tributary_storage.redis.person_paths import PersonPaths
from tributary_storage.redis.rebuild_progress import RebuildPlace, RebuildProgress, RebuildStage

log = structlog.get_logger(__name__)

_SECOND: Final = 1_000_000
_DAY_SECONDS: Final = 86_400
_EVENTS_OF_A_PAGE: Final = 4_000
_EVENTS_AT_ONCE: Final = 1_000
_CONVERSIONS_AT_ONCE: Final = 200
_LEASE_SECONDS: Final = 120
_LOOK_SECONDS: Final = 1.0
_REST: Final = 1.0
"""How much longer it rests after a page than the page took: so that it takes half of the process."""


class Rebuild:
    """Makes the state store whole again: a loop.

    Args:
        progress: How far it is.
        lost: What the store was made of.
        words: What operators said.
        attributor: Brings events back.
        publisher: Credits conversions.
        converted: Adds up the paths of conversions.
        paths: Counts people as paths.
        current: The models in use.
        versions: All models.
        old: Counts what had ended before the loss.
        directory: Knows the workspaces.
        clock: Measures.
        loss_micros: Tells when the last confirmed loss was; 0: there was none.
    """

    name = "rebuild"

    def __init__(
        self,
        progress: RebuildProgress,
        lost: LostState,
        words: Words,
        attributor: Attributor,
        publisher: Publisher,
        converted: ConvertedPaths,
        paths: PersonPaths,
        current: CurrentModels,
        versions: ModelVersions,
        old: OldEvidence,
        directory: EveryWorkspace,
        clock: Clock,
        loss_micros: Callable[[], int],
    ) -> None:
        self._progress = progress
        self._lost = lost
        self._words = words
        self._attributor = attributor
        self._publisher = publisher
        self._converted = converted
        self._paths = paths
        self._current = current
        self._versions = versions
        self._old = old
        self._directory = directory
        self._clock = clock
        self._loss_micros = loss_micros
        self._holder = secrets.token_hex(8)
        self._whole_micros = 0

    def is_whole(self) -> bool:
        """Tells whether all is back that was lost. Never blocks."""
        return self._loss_micros() <= self._whole_micros

    async def run(self, stop: asyncio.Event) -> None:
        """Looks whether something was lost, and brings it back, until stopped; an outage is for the next time."""
        while not stop.is_set():
            wait = _LOOK_SECONDS
            try:
                if not self.is_whole():
                    since = self._clock.monotonic_seconds()
                    if await self.some():
                        wait = _REST * (self._clock.monotonic_seconds() - since)
            except (TributaryError, WorkerDecision) as failure:
                log.warning("rebuild_interrupted", reason=str(failure))
            try:
                async with asyncio.timeout(wait):
                    await stop.wait()
            except TimeoutError:
                continue

    async def some(self) -> bool:
        """Brings one page back, and notes that.

        Returns:
            Whether there is more that can be done at once; not where another process does it.

        Raises:
            StorageUnavailableError: A store did not answer; the next call does the same page.
            Backpressure: Conversions moved again and again; likewise.
        """
        loss = self._loss_micros()
        place = await self._progress.read()
        if place.is_finished and place.loss_micros >= loss:
            self._whole_micros = place.loss_micros
            return False
        if not await self._progress.hold(self._holder, _LEASE_SECONDS):
            return False
        if place.loss_micros < loss:
            place = RebuildPlace(loss)
            log.warning("rebuild_began", loss_micros=loss)
        workspace = self._workspace(place)
        if workspace is None:
            await self._finish(place)
            return False
        if workspace.id != place.workspace:
            place = _at(place, workspace.id, RebuildStage.WORDS)
        after = await self._page(workspace, place)
        if (after.stage, after.workspace) != (place.stage, place.workspace):
            log.info(
                "rebuild_went_on",
                workspace=place.workspace,
                finished=place.stage.value,
                events=after.events,
                conversions=after.conversions,
            )
        await self._progress.note(after)
        return True

    async def _finish(self, place: RebuildPlace) -> None:
        """Finishes once all paths are counted that wait to be when all is back."""
        noted, added = await self._converted.progress()
        first, last = await self._paths.due_span()
        if not place.noted_paths:
            place = replace(place, noted_paths=max(1, noted), due_seconds=last)
        elif added >= place.noted_paths * bool(noted) and (not first or first > place.due_seconds):
            place = replace(place, is_finished=True)
            log.warning("rebuild_finished", events=place.events, conversions=place.conversions)
        await self._progress.note(place)

    def _workspace(self, place: RebuildPlace) -> Workspace | None:
        """Returns the workspace that is to be gone on with; None after the last."""
        left = [one for one in self._directory.current.workspaces if one.id >= place.workspace]
        return min(left, key=lambda one: one.id, default=None)

    async def _page(self, workspace: Workspace, place: RebuildPlace) -> RebuildPlace:
        """Brings one page of a workspace back; returns how far it is then."""
        time = lost_time(workspace, place.loss_micros)
        match place.stage:
            case RebuildStage.WORDS:
                await self._models(workspace)
                said, until = said_of(workspace.id, await self._words.read(workspace.id)), time.until_micros
                if said:
                    await self._attributor.bring_back(workspace, (), said, time.journeys_since_micros, until)
                return _at(place, workspace.id, RebuildStage.EVENTS)
            case RebuildStage.EVENTS:
                return await self._events(workspace, place, time)
            case RebuildStage.FIRSTS:
                return await self._firsts(workspace, place, time)
            case RebuildStage.CONVERSIONS:
                return await self._conversions(workspace, place, time)
            case RebuildStage.OLD_CONVERSIONS:
                last = await self._old.conversions(workspace, time, _last(place))
                return _at(place, workspace.id, RebuildStage.OLD_PEOPLE) if last is None else _after(place, last)
            case RebuildStage.OLD_PEOPLE:
                last = await self._old.identifiers(workspace, time, _last(place))
                return _at(place, workspace.id + "\0", RebuildStage.WORDS) if last is None else _after(place, last)

    async def _models(self, workspace: Workspace) -> None:
        """Puts the models of before in use again, so that what comes meanwhile is credited under them."""
        held = await self._current.read()
        lost = {
            (workspace.id, model.conversion_name): model.SerializeToString(deterministic=True)
            for model in await self._versions.newest(workspace.id)
            if model.version and (workspace.id, model.conversion_name) not in held
        }
        if lost:
            await self._current.use(lost)

    async def _events(self, workspace: Workspace, place: RebuildPlace, time: LostTime) -> RebuildPlace:
        page = await self._lost.events(time, _last(place), _EVENTS_OF_A_PAGE)
        if not page:
            return _at(place, workspace.id, RebuildStage.FIRSTS)
        for start in range(0, len(page), _EVENTS_AT_ONCE):
            some = [Replayed(*event) for _, event in page[start : start + _EVENTS_AT_ONCE]]
            await self._bring_back(workspace, some, time)
        metrics.REBUILT_EVENTS.add(len(page))
        return _after(replace(place, events=place.events + len(page)), page[-1][0])

    async def _firsts(self, workspace: Workspace, place: RebuildPlace, time: LostTime) -> RebuildPlace:
        page = await self._lost.firsts(time, _last(place), _EVENTS_OF_A_PAGE)
        if not page:
            return _at(place, workspace.id, RebuildStage.CONVERSIONS)
        for start in range(0, len(page), _EVENTS_AT_ONCE):
            some = [Replayed(*event) for _, event in page[start : start + _EVENTS_AT_ONCE]]
            await self._remember(workspace, some)
        return _after(place, page[-1][0])

    async def _remember(self, workspace: Workspace, events: Sequence[Replayed]) -> None:
        """Notes how people began; an event that cannot be read is left out, alone."""
        try:
            await self._attributor.remember_firsts(workspace, events)
        except PoisonEvent as poison:
            if len(events) == 1:
                log.error("event_not_brought_back", workspace=workspace.id, reason=poison.reason)
                return
            for event in events:
                await self._remember(workspace, [event])

    async def _bring_back(self, workspace: Workspace, events: Sequence[Replayed], time: LostTime) -> None:
        """Brings events back; one that cannot be read is left out, alone."""
        told = time.until_micros - (MARGIN_SECONDS + _DAY_SECONDS) * _SECOND  # the log brings back who changed since
        try:
            await self._attributor.bring_back(workspace, events, (), time.journeys_since_micros, told)
        except PoisonEvent as poison:
            if len(events) == 1:
                log.error("event_not_brought_back", workspace=workspace.id, reason=poison.reason)
                return
            for event in events:
                await self._bring_back(workspace, [event], time)

    async def _conversions(self, workspace: Workspace, place: RebuildPlace, time: LostTime) -> RebuildPlace:
        page = await self._lost.conversions(time, _last(place), _CONVERSIONS_AT_ONCE)
        if not page:
            return _at(place, workspace.id, RebuildStage.OLD_CONVERSIONS)
        await self._credit(workspace, list(dict.fromkeys(conversion for _, conversion in page)))
        return _after(replace(place, conversions=place.conversions + len(page)), page[-1][0])

    async def _credit(self, workspace: Workspace, conversions: Sequence[str]) -> None:
        """Restores conversions, counts their paths, and credits those that missed something; leaves out what cannot."""
        affected = [Affected(workspace, one, known_causes={Cause.RECONCILIATION}, recounts=True) for one in conversions]
        try:
            revisions = await self._publisher.publish(affected)
        except PoisonEvent as poison:
            if len(conversions) == 1:
                log.error("conversion_not_brought_back", conversion_id=conversions[0], reason=poison.reason)
                return
            for one in conversions:
                await self._credit(workspace, [one])
            return
        # Whoever was counted meanwhile was counted as if the conversion had not been.
        people = dict.fromkeys(place for one in affected for place in (one.place(), *one.strays()) if place is not None)
        await self._publisher.tell(revisions, people)


def _at(place: RebuildPlace, workspace: str, stage: RebuildStage) -> RebuildPlace:
    """Returns the beginning of a stage."""
    return replace(place, workspace=workspace, stage=stage, event_time_micros=0, event_id="")


def _after(place: RebuildPlace, last: EventPlace) -> RebuildPlace:
    return replace(place, event_time_micros=last.event_time_micros, event_id=last.event_id)


def _last(place: RebuildPlace) -> EventPlace:
    return EventPlace(place.event_time_micros, place.event_id)
