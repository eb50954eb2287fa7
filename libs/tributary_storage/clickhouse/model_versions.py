"""The models of data_driven in ClickHouse: every version that a credit may name, and how much evidence a name has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from tributary.attribution.v1.model_pb2 import Model, ModelMethod, ModelStatus
from tributary_runtime import metrics
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.names import micros, names_of
from tributary_storage.clickhouse.statements import statement

MODEL_COLUMNS: Final = (
    *("workspace", "conversion_name", "version", "method", "status", "paths", "conversions"),
    *("minimum_paths", "minimum_conversions", "conversion_probability"),
    *("channels", "weight_picos", "removal_effect_picos", "publish_time", "model"),
)
_METHODS: Final = names_of(ModelMethod.DESCRIPTOR)
_STATUSES: Final = names_of(ModelStatus.DESCRIPTOR)


class ModelPlace(NamedTuple):
    """Where a model stands in the list of all."""

    time_micros: int
    conversion_name: str
    version: str


class ModelVersions:
    """Keeps models. Every method raises `StorageUnavailableError` if ClickHouse does not answer; all may run twice.

    Args:
        clickhouse: Where they are kept.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def write(self, models: Iterable[tuple[str, Model]]) -> None:
        """Returns when models, each with its workspace, are stored."""
        rows = [
            (
                *(workspace, model.conversion_name, model.version, _METHODS[model.method], _STATUSES[model.status]),
                *(model.paths, model.conversions, model.minimum_paths, model.minimum_conversions),
                model.conversion_probability_picos / 1e12,
                [weight.channel for weight in model.channels],
                [weight.weight_picos for weight in model.channels],
                [weight.removal_effect_picos for weight in model.channels],
                micros(model.publish_time),
                model.SerializeToString(deterministic=True),
            )
            for workspace, model in models
        ]
        if rows:
            columns = list(zip(*rows, strict=True))
            written = await self._clickhouse.insert(metrics.Table.MODEL_VERSIONS.value, MODEL_COLUMNS, columns)
            metrics.WRITTEN_ROWS.add(written, table=metrics.Table.MODEL_VERSIONS)

    async def find(self, workspace: str, version: str) -> Model | None:
        """Returns a model by its version."""
        parameters = {"workspace": workspace, "version": version}
        rows = await self._clickhouse.execute(statement("model_by_version"), parameters, raw_strings=True)
        return Model.FromString(rows[0][0]) if rows else None

    async def newest(self, workspace: str) -> list[Model]:
        """Returns the newest evaluation of every conversion name, by name."""
        rows = await self._clickhouse.execute(statement("newest_models"), {"workspace": workspace}, raw_strings=True)
        return [Model.FromString(row[0]) for row in rows]

    async def published(self, workspace: str) -> dict[str, tuple[str, str]]:
        """Returns the versions of the first and of the newest model of every conversion name that ever had one."""
        rows = await self._clickhouse.execute(statement("published_models"), {"workspace": workspace})
        return {name: (first, newest) for name, first, newest in rows}

    async def page(
        self, workspace: str, conversion_name: str, after: ModelPlace | None, limit: int
    ) -> list[tuple[ModelPlace, Model]]:
        """Returns models with their places, newest first.

        Args:
            workspace: Whose.
            conversion_name: Only of this; empty: of all.
            after: The place before; None: from the newest on.
            limit: How many at most.
        """
        time, name, last = after or ModelPlace(2**62, "", "")
        parameters = {
            "workspace": workspace,
            "conversion_name": conversion_name,
            "time": time,
            "name": name,
            "last": last,
            "limit": limit,
        }
        rows = await self._clickhouse.execute(statement("models_page"), parameters, raw_strings=True)
        return [(ModelPlace(int(row[0]), row[1].decode(), row[2].decode()), Model.FromString(row[3])) for row in rows]
