"""How the pipeline is doing: latencies and success rates from what was stored, backlogs from the logs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from google.protobuf.duration_pb2 import Duration

from tributary.query.v1.health_pb2 import Backlog, DestinationHealth, PipelineHealth, StageLatency
from tributary.query.v1.query_service_pb2 import GetPipelineHealthRequest, GetPipelineHealthResponse
from tributary_query.violations import refuse
from tributary_runtime.settings import DurabilityMode
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.latencies import (
    DestinationAttempts,
    Latency,
    read_destinations,
    read_latencies,
)
from tributary_storage.redis.backlogs import GroupBacklog
from tributary_storage.redis.progress import complete_through

DEFAULT_WINDOW_SECONDS: Final = 3_600
MAX_WINDOW_SECONDS: Final = 31 * 86_400
MICROS: Final = 1_000_000


class Logs(Protocol):
    """Knows what waits, and what was counted. May raise `StorageUnavailableError`."""

    async def backlogs(self) -> list[GroupBacklog]:
        """Returns what waits before every group."""
        ...

    async def verdicts(self, workspace: str) -> dict[str, int]:
        """Returns what the claim scripts counted, by verdict."""
        ...


class Health:
    """Answers for the pipeline of one workspace.

    Args:
        clickhouse: Where times and attempts are.
        logs: What waits.
        durability: As declared.
    """

    def __init__(self, clickhouse: ClickHouse, logs: Logs, durability: DurabilityMode) -> None:
        self._clickhouse = clickhouse
        self._logs = logs
        self._durability = durability

    async def get(self, request: GetPipelineHealthRequest, workspace: str) -> GetPipelineHealthResponse:
        """Returns health over the window.

        Raises:
            InvalidRequestError: The window is negative or too long.
            StorageUnavailableError: ClickHouse or a Redis did not answer.
        """
        window = _window(request)
        latencies, destinations, backlogs, verdicts = await asyncio.gather(
            read_latencies(self._clickhouse, workspace, window),
            read_destinations(self._clickhouse, workspace, window),
            self._logs.backlogs(),
            self._logs.verdicts(workspace),
        )
        return GetPipelineHealthResponse(health=self._health(latencies, destinations, backlogs, verdicts))

    def _health(
        self,
        latencies: Sequence[Latency],
        destinations: Sequence[DestinationAttempts],
        backlogs: Sequence[GroupBacklog],
        verdicts: dict[str, int],
    ) -> PipelineHealth:
        health = PipelineHealth(
            latencies=[_latency(latency) for latency in latencies],
            backlogs=[_backlog(backlog) for backlog in backlogs],
            destinations=[
                DestinationHealth(
                    destination_id=destination.destination_id,
                    attempts=destination.attempts,
                    success_ratio_micros=_ratio(destination.successes, destination.attempts),
                    unsent=destination.unsent,
                )
                for destination in destinations
            ],
            duplicate_ratio_micros=_ratio(verdicts.get("DUPLICATE", 0), sum(verdicts.values())),
            durability=self._durability.value,
        )
        moment = complete_through(backlogs)
        if moment is not None:
            health.complete_through_time.FromMicroseconds(moment)
        return health


def _window(request: GetPipelineHealthRequest) -> int:
    if not request.HasField("window"):
        return DEFAULT_WINDOW_SECONDS
    seconds = request.window.seconds + (1 if request.window.nanos > 0 else 0)
    if not 0 < seconds <= MAX_WINDOW_SECONDS:
        raise refuse("window", "Must be more than nothing and at most 31 days.")
    return seconds


def _latency(latency: Latency) -> StageLatency:
    return StageLatency(
        stage=latency.stage,
        count=latency.count,
        p50=_duration(latency.p50_micros),
        p95=_duration(latency.p95_micros),
        p99=_duration(latency.p99_micros),
    )


def _backlog(backlog: GroupBacklog) -> Backlog:
    return Backlog(
        group=backlog.group,
        entries=backlog.entries,
        oldest_age=_duration(backlog.age_micros),
        dead_letters=backlog.dead_letters,
    )


def _duration(micros: int) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(micros)
    return duration


def _ratio(part: int, whole: int) -> int:
    return part * MICROS // whole if whole else 0
