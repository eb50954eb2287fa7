"""How fast the pipeline was, and how destinations answered: measured from what was stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

STAGES: Final = ("accept_to_record", "accept_to_credit", "credit_to_delivery", "accept_to_delivery")
"""The stages, in the order of an event's way; the last is end to end."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of one stage, in microseconds; zeros where nothing was measured."""

    stage: str
    count: int
    p50_micros: int = 0
    p95_micros: int = 0
    p99_micros: int = 0


@dataclass(frozen=True, slots=True)
class DestinationAttempts:
    """Attempts at one destination."""

    destination_id: str
    attempts: int
    successes: int
    unsent: int
    """Conversions that could not leave."""


async def read_latencies(clickhouse: ClickHouse, workspace: str, window_seconds: int) -> list[Latency]:
    """Returns the latency of each stage over the last `window_seconds`.

    Raises:
        StorageUnavailableError: ClickHouse did not answer.
    """
    parameters = {"workspace": workspace, "window_seconds": window_seconds}
    found = []
    for stage in STAGES:
        ((count, quantiles),) = await clickhouse.execute(statement(f"latency_{stage}"), parameters)
        found.append(Latency(stage, count, *(round(value) for value in quantiles)) if count else Latency(stage, 0))
    return found


async def read_destinations(clickhouse: ClickHouse, workspace: str, window_seconds: int) -> list[DestinationAttempts]:
    """Returns the attempts of the last `window_seconds` per destination.

    Raises:
        StorageUnavailableError: ClickHouse did not answer.
    """
    parameters = {"workspace": workspace, "window_seconds": window_seconds}
    rows = await clickhouse.execute(statement("destination_health"), parameters)
    return [DestinationAttempts(*row) for row in rows]
