"""The settings of attribution."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tributary_runtime.settings import ServiceSettings, WithClickHouse, WithLogStore, WithStateStore, WithWorkspaceGrace


class AttributionServiceSettings(ServiceSettings, WithLogStore, WithStateStore, WithClickHouse, WithWorkspaceGrace):
    """People, journeys, credit, revisions."""

    service: ClassVar[str] = "attribution"

    attribution_consumer: str = ""
    """Name of this process in the consumer group; unique among those running, the same after a restart. Empty: the
    host's. Its second consumer, with which it takes turns, has the same name and `/2` behind."""

    attribution_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """With durability `replicated`: how many replicas of the state store must have credit before its events are done.
    """

    attribution_batch_events: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """About how many events are credited at once."""

    attribution_linger_ms: Annotated[int, Field(ge=0, le=5_000)] = 100
    """How long after it read last the attributor waits for more events when it has fewer."""

    attribution_path_delay_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """How long after an event its person is counted as a path that did not convert: once for all events until then."""

    attribution_model_interval_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3_600
    """How often the models of data_driven are evaluated anew, by one process for all."""

    attribution_replay_horizon_seconds: Annotated[int, Field(ge=900, le=86_400)] = 3_600
    """How long revisions are kept in the conversion log after delivery has finished them."""
