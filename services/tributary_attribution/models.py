"""The models of data_driven as crediting needs them: those in use, and whatever version a credit pins.

The one rule: a conversion is credited under the model that was in use when it was credited first, and keeps it. Where
there was none then, it has no data_driven credit; another model is applied on purpose only, with its own cause.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from tributary.attribution.v1.model_pb2 import Model
from tributary_domain.data_driven import DataDrivenModel
from tributary_runtime.errors import PoisonEvent, TributaryError
from tributary_storage.clickhouse.model_versions import ModelVersions
from tributary_storage.codec.models import model_of
from tributary_storage.redis.current_models import CurrentModels

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0
_REMEMBERED: Final = 1_000
"""Versions that are not in use; of more, all are read again."""


class UnknownModelError(Exception):
    """A credit pins a model that was not read yet.

    Args:
        version: Its version.
    """

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.version = version


class Models:
    """Knows models; a loop that looks which are in use.

    Args:
        current: Which are in use.
        versions: All that ever were.
    """

    name = "models"

    def __init__(self, current: CurrentModels, versions: ModelVersions) -> None:
        self._current = current
        self._versions = versions
        self._in_use: dict[tuple[str, str], DataDrivenModel] = {}
        self._known: dict[tuple[str, str], DataDrivenModel] = {}
        self._generation = -1

    def in_use(self, workspace: str, conversion_name: str) -> DataDrivenModel | None:
        """Returns the model that a conversion is credited under first; None: there is none."""
        return self._in_use.get((workspace, conversion_name))

    def pinned(self, workspace: str, version: str) -> DataDrivenModel:
        """Returns a model by its version.

        Raises:
            UnknownModelError: It has to be loaded first.
        """
        found = self._known.get((workspace, version))
        if found is None:
            raise UnknownModelError(version)
        return found

    async def load(self, workspace: str, version: str) -> None:
        """Loads a model that a credit pins.

        Raises:
            StorageUnavailableError: ClickHouse does not answer.
            PoisonEvent: There is no such model: nothing may be published that names it.
        """
        message = await self._versions.find(workspace, version)
        if message is None:
            raise PoisonEvent("MODEL_LOST", "ClickHouse has lost a model that a credit names.")
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[workspace, version] = model_of(message)

    async def refresh(self) -> None:
        """Looks which models are in use.

        Raises:
            StorageUnavailableError: The state store does not answer.
        """
        generation = await self._current.generation()
        if generation != self._generation:
            held = await self._current.read()
            self._in_use = {subject: model_of(Model.FromString(content)) for subject, content in held.items()}
            self._known |= {(workspace, model.version): model for (workspace, _), model in self._in_use.items()}
            self._generation = generation

    async def run(self, stop: asyncio.Event) -> None:
        """Looks until stopped; during an outage the models in use stay."""
        while not stop.is_set():
            try:
                await self.refresh()
            except TributaryError as failure:
                log.warning("models_not_read", reason=failure.message)
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue
