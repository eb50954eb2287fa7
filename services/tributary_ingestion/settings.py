"""The settings of ingestion."""

from typing import Annotated, ClassVar

from pydantic import Field

from tributary_runtime.channels import MAX_MESSAGE_BYTES
from tributary_runtime.settings import ServiceSettings, WithClickHouse, WithDedup, WithStateStore, WithWorkspaces


class IngestionSettings(ServiceSettings, WithWorkspaces, WithDedup, WithStateStore, WithClickHouse):
    """The door."""

    service: ClassVar[str] = "ingestion"

    ingestion_dedup_deadline_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long dedup may take over one call; less if the caller waits less."""

    ingestion_bytes_at_once: Annotated[int, Field(ge=MAX_MESSAGE_BYTES)] = 128 * 1024 * 1024
    """Bytes of requests of all workspaces that are in memory at once, after decompression; beyond, callers are told to
    come back. While they are worked on they take several times as much."""

    ingestion_velocity_timeout_seconds: Annotated[float, Field(gt=0, le=5)] = 0.25
    """How long the counters of bursts may take; then conversions pass uncounted."""

    ingestion_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """With durability `replicated`: replicas of the state store that must have a data key before anything is sealed
    under it."""

    ingestion_processes: Annotated[int, Field(ge=1)] = 1
    """How many processes of this service there are, at least. While the state store is away, which counts over all of
    them what a key may send, each lets through its part of it."""

    ingestion_stream_batches: Annotated[int, Field(ge=1, le=1024)] = 8
    """Batches of one stream that are worked on at once; further ones are not read."""

    ingestion_stream_seconds: Annotated[float, Field(gt=0, le=50)] = 45.0
    """Life of a stream; then its caller opens another, which spreads load over new replicas. At most 50: a connection
    that is told to go lets streams finish for 60 seconds, and cuts them off then."""
