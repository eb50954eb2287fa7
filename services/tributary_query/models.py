"""The models of data_driven, and what is shown of a conversion that was credited without one."""

from __future__ import annotations

from typing import Final

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.credit_pb2 import AppliedModel, UnattributedCredit, UnattributedReason
from tributary.attribution.v1.model_pb2 import Model
from tributary.query.v1.query_service_pb2 import (
    GetModelRequest,
    GetModelResponse,
    ListModelsRequest,
    ListModelsResponse,
)
from tributary_domain.attribution import WHOLE
from tributary_domain.settings import AttributionModel
from tributary_query.page_tokens import fingerprint, make_token, read_token
from tributary_query.violations import Violations
from tributary_runtime.errors import NotFoundError
from tributary_storage.clickhouse.model_versions import ModelPlace, ModelVersions

DEFAULT_PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1_000
MAX_NAME_CHARACTERS: Final = 128

_DATA_DRIVEN: Final = AttributionModel.DATA_DRIVEN.value


class Models:
    """Answers what is asked of models.

    Args:
        versions: Where they are kept.
    """

    def __init__(self, versions: ModelVersions) -> None:
        self._versions = versions

    async def page(self, request: ListModelsRequest, workspace: str) -> ListModelsResponse:
        """Returns a page of models, newest first.

        Raises:
            InvalidRequestError: The request is wrong; with everything that is.
            StorageUnavailableError: ClickHouse did not answer.
        """
        wrong = Violations()
        mark = fingerprint(workspace, request)
        if request.page_size < 0:
            wrong.add("page_size", f"Must not be negative; 0 means {DEFAULT_PAGE_SIZE}.")
        if len(request.conversion_name) > MAX_NAME_CHARACTERS:
            wrong.add("conversion_name", f"Must have at most {MAX_NAME_CHARACTERS} characters.")
        after = _after(request.page_token, mark, wrong)
        wrong.raise_if_any()
        size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        found = await self._versions.page(workspace, request.conversion_name, after, size + 1)
        page = found[:size]
        token = make_token(tuple(page[-1][0]), mark) if len(found) > size else ""
        return ListModelsResponse(models=[model for _, model in page], next_page_token=token)

    async def get(self, request: GetModelRequest, workspace: str) -> GetModelResponse:
        """Returns a model.

        Raises:
            InvalidRequestError: The request names no version.
            NotFoundError: There is none of this version.
            StorageUnavailableError: ClickHouse did not answer.
        """
        if not request.version:
            wrong = Violations()
            wrong.add("version", "Name a model's version, as credits and ListModels do.")
            wrong.raise_if_any()
        model = await self._versions.find(workspace, request.version)
        if model is None:
            message = "There is no such model in this workspace."
            raise NotFoundError(message, resource_type="model", resource_name=request.version)
        return GetModelResponse(model=model)

    async def newest(self, workspace: str) -> list[Model]:
        """Returns the newest evaluation of every conversion name."""
        return await self._versions.newest(workspace)


def show_missing_model(state: ConversionState) -> None:
    """Shows of a conversion that was credited without a model of data_driven that nobody earned it, and why."""
    if not state.models or any(model.name == _DATA_DRIVEN for model in state.models):
        return
    nobody = UnattributedCredit(
        credit_micros=WHOLE,
        value_micros=state.value.amount_micros,
        reason=UnattributedReason.UNATTRIBUTED_REASON_NO_MODEL,
        reporting_value_micros=state.reporting_value.amount_micros,
    )
    state.models.append(AppliedModel(name=_DATA_DRIVEN, unattributed=nobody))
    for touch in state.touches:
        touch.credits.add()


def _after(token: str, mark: str, wrong: Violations) -> ModelPlace | None:
    if not token:
        return None
    try:
        time, name, version = read_token(token, mark)
    except ValueError as error:
        wrong.add("page_token", str(error))
        return None
    return ModelPlace(int(time), str(name), str(version))
