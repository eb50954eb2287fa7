"""Notes since when destinations are declared, so that the funnel has conversions which nobody was told of yet.

The one rule: a report is worth no delay. What ClickHouse does not take now is noted with the next batch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import structlog

from tributary_runtime.clock import Clock
from tributary_runtime.errors import UnavailableError
from tributary_storage.clickhouse.destination_spans import Span

log = structlog.get_logger(__name__)


class SpanStore(Protocol):
    """Where spans are kept. Raises `StorageUnavailableError` if it does not answer."""

    async def open(self, workspace: str) -> list[Span]:
        """Returns the spans of a workspace that have no end."""
        ...

    async def write(self, spans: Sequence[Span]) -> None:
        """Stores spans. May run twice."""
        ...


class DestinationSpans:
    """What this process knows of the spans there are.

    Args:
        store: Where they are kept.
        clock: Tells when one ended.
    """

    def __init__(self, store: SpanStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._open: dict[str, list[Span]] = {}
        self._unnoted: dict[tuple[str, str], int] = {}

    async def note(self, workspace: str, declared: Collection[str], oldest_micros: int) -> None:
        """Notes that conversions of a workspace were planned; does nothing if all is noted. Never raises for an outage.

        Args:
            workspace: Whose.
            declared: The destinations it has now.
            oldest_micros: When the oldest of the conversions was published: one may have waited since before its
                destination was declared.
        """
        for destination_id in declared:
            known = (workspace, destination_id)
            self._unnoted[known] = min(oldest_micros, self._unnoted.get(known, oldest_micros))
        try:
            await self._write(workspace, declared)
        except UnavailableError as outage:
            log.warning("destinations_not_noted", workspace=workspace, reason=outage.message)
            return
        for destination_id in declared:
            del self._unnoted[workspace, destination_id]

    async def _write(self, workspace: str, declared: Collection[str]) -> None:
        if workspace not in self._open:
            self._open[workspace] = await self._store.open(workspace)
        spans, now_micros = self._open[workspace], self._clock.unix_micros()
        since = {span.destination_id: span.start_micros for span in sorted(spans, reverse=True)}  # the first wins
        begun = [
            Span(workspace, one, self._unnoted[workspace, one])
            for one in declared
            if one not in since or self._unnoted[workspace, one] < since[one]
        ]
        ended = [span._replace(end_micros=now_micros) for span in spans if span.destination_id not in declared]
        if begun or ended:
            await self._store.write([*begun, *ended])
            self._open[workspace] = [span for span in spans if span.destination_id in declared] + begun
