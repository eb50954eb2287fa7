"""The settings of query."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tributary_runtime.settings import (
    ServiceSettings,
    WithAttribution,
    WithClickHouse,
    WithDedup,
    WithDelivery,
    WithLogStore,
    WithStateStore,
    WithWorkspaces,
)


class QuerySettings(
    ServiceSettings,
    WithLogStore,
    WithStateStore,
    WithClickHouse,
    WithWorkspaces,
    WithAttribution,
    WithDedup,
    WithDelivery,
):
    """Reports, health, integrity; journeys by way of attribution."""

    service: ClassVar[str] = "query"

    query_connections: Annotated[int, Field(ge=1, le=64)] = 8
    """Statements to ClickHouse at once; further ones wait."""

    query_timeout_seconds: Annotated[float, Field(ge=1, le=300)] = 30.0
    """How long one statement may take."""
