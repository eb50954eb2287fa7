"""The settings of dedup."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tributary_runtime.settings import ServiceSettings, WithClickHouse, WithLogStore


class DedupSettings(ServiceSettings, WithLogStore, WithClickHouse):
    """Claims, event log, recorder."""

    service: ClassVar[str] = "dedup"

    dedup_consumer: str = ""
    """Name of this process in the consumer group; unique among those running, the same after a restart. Empty: the
    host's."""

    dedup_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """With durability `replicated`: how many replicas must have an event before it is acknowledged."""

    dedup_replay_horizon_seconds: Annotated[int, Field(ge=900, le=86_400)] = 86_400
    """How long entries are kept after all groups have finished them; shortened to 900 when memory gets scarce."""

    dedup_batch_events: Annotated[int, Field(ge=1, le=20_000)] = 2_000
    """About how many events the recorder inserts at once."""

    dedup_linger_ms: Annotated[int, Field(ge=0, le=5_000)] = 400
    """How long after it read last the recorder waits for more events when it has fewer. Nothing on the way to credit
    waits for it, and an insert costs ClickHouse about the same whether it brings one row or a thousand."""

    dedup_accept_older_log: bool = False
    """Vouches for the event log while nobody else can: Redis was restarted, no dedup lived through it, and ClickHouse
    does not answer.

    Unset it once ClickHouse answers. A log that is known to lack something has lost it: that is confirmed once with
    `tributary migrate --confirm-loss log`."""
