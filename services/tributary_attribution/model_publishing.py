"""Evidence -> models of data_driven: evaluated now and then by one process for all, stored first and used then.

A model whose content is what is in use is not published again. Where the evidence has become too little (its floor was
raised, conversions were taken back), the model goes out of use, and that is stored too. After a loss of the state store
nothing is evaluated until the evidence is whole again (`rebuild`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from tributary.attribution.v1.model_pb2 import Model, ModelStatus
from tributary_attribution.directory import EveryWorkspace
from tributary_domain.data_driven import MAX_CHANNELS, Floor, NotEnoughEvidence, fit
from tributary_domain.path_counts import PathCounts
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import TributaryError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.model_versions import ModelVersions
from tributary_storage.codec.models import model_message
from tributary_storage.redis.current_models import CurrentModels

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0


class Counts(Protocol):
    """Where paths are counted."""

    async def counts(self, workspace_id: str) -> dict[str, PathCounts]:
        """Returns all counts of a workspace by conversion name.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        ...


class ModelPublishing:
    """Evaluates and publishes: a loop.

    Args:
        counts: The evidence.
        current: Which models are in use.
        versions: Where every version is kept.
        directory: Knows the workspaces.
        clock: Says when.
        interval_seconds: How often.
        is_whole: Tells whether all evidence is there; while it is not, the models in use stay.
    """

    name = "model-publishing"

    def __init__(
        self,
        counts: Counts,
        current: CurrentModels,
        versions: ModelVersions,
        directory: EveryWorkspace,
        clock: Clock,
        interval_seconds: int,
        is_whole: Callable[[], bool] = lambda: True,
    ) -> None:
        self._counts = counts
        self._current = current
        self._versions = versions
        self._directory = directory
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._is_whole = is_whole

    async def run(self, stop: asyncio.Event) -> None:
        """Evaluates until stopped; an outage is for the next time."""
        while not stop.is_set():
            try:
                if self._is_whole() and await self._current.begin_round(self._interval_seconds):
                    for workspace in self._directory.current.workspaces:
                        await self.evaluate(workspace)
            except TributaryError as failure:
                log.warning("models_not_evaluated", reason=failure.message)
            try:
                async with asyncio.timeout(min(_LOOK_SECONDS, self._interval_seconds)):
                    await stop.wait()
            except TimeoutError:
                continue

    async def evaluate(self, workspace: Workspace) -> list[Model]:
        """Publishes what the paths of a workspace say now; returns what differs from what was in use.

        Raises:
            StorageUnavailableError: A store did not answer; the next round does the same.
        """
        counts = await self._counts.counts(workspace.id)
        if not counts:
            return []
        found = await asyncio.to_thread(_fitted, counts, workspace, self._clock.unix_micros())
        held = {
            name: content for (owner, name), content in (await self._current.read()).items() if owner == workspace.id
        }
        newest = {name: Model.FromString(content).version for name, content in held.items()}
        changed = [one for one in found if one.version != newest.get(one.conversion_name, "") or not one.version]
        await self._versions.write([(workspace.id, one) for one in changed])
        used = {
            (workspace.id, one.conversion_name): one.SerializeToString(deterministic=True) if one.version else b""
            for one in changed
            if one.version or one.conversion_name in held
        }
        if used:
            await self._current.use(used)
            metrics.PUBLISHED_MODELS.add(sum(bool(content) for content in used.values()))
            log.info("models_published", workspace=workspace.id, models=len(used))
        return changed


def _fitted(counts: Mapping[str, PathCounts], workspace: Workspace, now_micros: int) -> list[Model]:
    """Fits all names of a workspace."""
    method = workspace.data_driven.method
    floor = Floor(workspace.data_driven.minimum_conversions, workspace.data_driven.minimum_paths)
    found = []
    for name, own in sorted(counts.items()):
        channels = {state for step in own.steps for state in step if isinstance(state, str)}
        if len(channels) > MAX_CHANNELS:
            few = NotEnoughEvidence(own.paths, own.conversions, floor)
            message = model_message(name, few, method, floor, now_micros)
            message.status = ModelStatus.MODEL_STATUS_TOO_MANY_CHANNELS
        else:
            message = model_message(name, fit(own, method, floor), method, floor, now_micros)
        found.append(message)
    return found
