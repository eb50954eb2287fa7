"""The settings of delivery."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tributary_runtime.settings import (
    ServiceSettings,
    WithClickHouse,
    WithJobsStore,
    WithStateStore,
    WithWorkspaceGrace,
)


class DeliverySettings(ServiceSettings, WithStateStore, WithJobsStore, WithClickHouse, WithWorkspaceGrace):
    """Planner, lanes, ledger."""

    service: ClassVar[str] = "delivery"

    delivery_consumer: str = ""
    """Name of this process in the consumer group; unique among those running, the same after a restart. Empty: the
    host's."""

    delivery_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """With durability `replicated`: how many replicas of the jobs' store must have a job, or an attempt, before it
    counts."""

    delivery_batch_revisions: Annotated[int, Field(ge=1, le=5_000)] = 500
    """How many revisions the planner reads at once."""

    delivery_concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    """Calls to one destination at once, by this process."""

    delivery_call_seconds: Annotated[float, Field(ge=1, le=60)] = 15.0
    """How long one call to a destination may take."""

    delivery_margin_seconds: Annotated[float, Field(ge=1, le=60)] = 15.0
    """How much longer than a call a job is one process' own; what a killed one had is tried again after both."""

    delivery_horizon_seconds: Annotated[int, Field(ge=60, le=30 * 86_400)] = 72 * 3600
    """How long a delivery that fails is tried, from its first attempt; time when nobody tried, because the destination
    was paused or held, does not count."""

    delivery_export_seconds: Annotated[int, Field(ge=10, le=3_600)] = 300
    """How long ClickHouse may take for one statement of an export to a warehouse: to write a file, for one."""
