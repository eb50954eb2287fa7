"""Which model of data_driven somebody means, and what is known of the one that a credit pins.

The one rule: a conversion is moved to a model of its own name only. Who names none that there is, is told so.
"""

from __future__ import annotations

from typing import NamedTuple

from tributary.attribution.v1.model_pb2 import Model, ModelStatus
from tributary.attribution.v1.reattribution_pb2 import ModelChoice
from tributary_attribution.assessment import Assessment
from tributary_attribution.crediting import model_for
from tributary_attribution.known import Known
from tributary_attribution.models import Models, UnknownModelError
from tributary_domain.data_driven import DataDrivenModel
from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_storage.clickhouse.model_versions import ModelVersions
from tributary_storage.codec.models import model_of


class Evidence(NamedTuple):
    """What a conversion is credited by under data_driven."""

    model: DataDrivenModel | None
    """None: it is not."""
    message: Model | None
    """The model, or the newest evaluation where there is none; None: there never was one."""


class ModelChoices:
    """Knows models for who asks. Every method may raise `StorageUnavailableError`.

    Args:
        models: Those in use, and whatever a credit pins.
        versions: All that ever were.
    """

    def __init__(self, models: Models, versions: ModelVersions) -> None:
        self.models = models
        self._versions = versions

    async def by_name(self, workspace: str, choice: ModelChoice, field: str) -> dict[str, str]:
        """Returns which version conversions are to be moved to, by their name; names without one are left out.

        Args:
            workspace: Whose.
            choice: What was asked for.
            field: Where it stands in the request.

        Raises:
            InvalidRequestError: There is no such model, or none is named.
        """
        if choice.WhichOneof("model") == "version":
            message = await self.named(workspace, choice.version, f"{field}.version")
            return {message.conversion_name: message.version}
        if not (choice.first or choice.newest):
            raise no_model(field, "Name a version, or say first or newest.")
        published = await self._versions.published(workspace)
        return {name: first if choice.first else newest for name, (first, newest) in published.items()}

    async def named(self, workspace: str, version: str, field: str) -> Model:
        """Returns a published model.

        Args:
            workspace: Whose.
            version: Its version.
            field: Where it stands in the request.

        Raises:
            InvalidRequestError: There is none.
        """
        message = await self._versions.find(workspace, version) if version else None
        if message is None or message.status != ModelStatus.MODEL_STATUS_PUBLISHED:
            raise no_model(field, "There is no such model in this workspace; `ListModels` names them.")
        return message

    async def pinned(self, known: Known, assessed: Assessment) -> DataDrivenModel | None:
        """Returns the model that a conversion is credited under; None: there is none.

        Args:
            known: All that is known of it, with `models`.
            assessed: What it is.

        Raises:
            PoisonEvent: ClickHouse has lost it.
        """
        while True:
            try:
                return model_for(known, assessed)
            except UnknownModelError as unknown:
                await self.models.load(known.workspace.id, unknown.version)

    async def evidence(self, known: Known, assessed: Assessment) -> Evidence:
        """Returns what a conversion is credited by under data_driven, or what is known where it is not.

        Args:
            known: All that is known of it; whether it is to be moved to another model too.
            assessed: What it is.
        """
        workspace, published = known.workspace.id, assessed.published
        version = known.model_version or ("" if published is None else published.attribution.model_version)
        message = await self._versions.find(workspace, version) if version else None
        if message is not None:
            return Evidence(model_of(message), message)
        newest = await self._versions.newest(workspace)
        return Evidence(None, next((one for one in newest if one.conversion_name == name_of(known)), None))


def name_of(known: Known) -> str:
    """Returns the name of a conversion; empty where nobody observed it."""
    return next((part.event.conversion.name for part in known.parts if part.is_observation), "")


def no_model(field: str, description: str) -> InvalidRequestError:
    """Returns what is raised where somebody names a model that cannot be."""
    return InvalidRequestError("There is no such model.", [FieldViolation(field, description)])
