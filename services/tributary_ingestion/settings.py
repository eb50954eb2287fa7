"""The settings of ingestion."""

from typing import Annotated, ClassVar

from pydantic import Field

from tributary_runtime.settings import ServiceSettings, WithDedup, WithWorkspaces


class IngestionSettings(ServiceSettings, WithWorkspaces, WithDedup):
    """The door."""

    service: ClassVar[str] = "ingestion"

    ingestion_dedup_deadline_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long dedup may take over one call; less if the caller waits less."""
