"""Notes from when to when destinations are declared: the funnel has conversions which nobody was told of yet.

The one rule: a report is worth no delay. What ClickHouse does not take now is noted with the next batch. Corrections
are worth one: whoever asks which destinations are gone hears of an outage.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import structlog

from tributary_runtime.errors import UnavailableError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.destination_spans import Span

log = structlog.get_logger(__name__)


class SpanStore(Protocol):
    """Where spans are kept. Raises `StorageUnavailableError` if it does not answer."""

    async def of(self, workspace: str) -> list[Span]:
        """Returns the spans of a workspace."""
        ...

    async def write(self, spans: Sequence[Span]) -> None:
        """Stores spans. May run twice."""
        ...


class DestinationSpans:
    """What this process knows of the spans there are.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: SpanStore) -> None:
        self._store = store
        self._spans: dict[str, list[Span]] = {}
        self._looked: dict[str, Workspace] = {}
        """The workspaces as the file had them when it was looked which of their destinations are gone."""
        self._unnoted: dict[str, dict[frozenset[str], int]] = {}
        """By workspace and what was declared: when the oldest of the conversions was published that were planned so."""

    async def note(self, workspace: str, declared: Collection[str], oldest_micros: int) -> None:
        """Notes that conversions of a workspace were planned; does nothing if all is noted. Never raises for an outage.

        Args:
            workspace: Whose.
            declared: The destinations it has now. Of any other a span ends where those conversions begin: nobody tells
                it of them, though they may have waited since before it was taken out.
            oldest_micros: When the oldest of the conversions was published: one may have waited since before its
                destination was declared.
        """
        now, unnoted = frozenset(declared), self._unnoted.setdefault(workspace, {})
        unnoted[now] = min(oldest_micros, unnoted.get(now, oldest_micros))
        try:
            await self._write(workspace, now)
        except UnavailableError as outage:
            log.warning("destinations_not_noted", workspace=workspace, reason=outage.message)
            return
        del self._unnoted[workspace]

    async def gone(self, workspace: Workspace, since_micros: int) -> list[str]:
        """Returns the ids of destinations that a workspace declares no more, and did at that time or later.

        Raises:
            StorageUnavailableError: Nobody can tell now.
        """
        if self._looked.get(workspace.id) is not workspace:  # another process may have noted what came and went since
            found = await self._store.of(workspace.id)
            both = {(one.destination_id, one.start_micros): one for one in (*self._spans.get(workspace.id, ()), *found)}
            self._spans[workspace.id], self._looked[workspace.id] = list(both.values()), workspace
        there = {one.id for one in workspace.destinations}
        late = [one for one in self._spans[workspace.id] if one.end_micros is None or one.end_micros >= since_micros]
        return sorted({one.destination_id for one in late} - there)

    async def _write(self, workspace: str, declared: frozenset[str]) -> None:
        spans = self._spans.get(workspace)
        if spans is None or any(one.end_micros is None and one.destination_id not in declared for one in spans):
            spans = await self._store.of(workspace)  # another process may have seen it end before
        begun, ended = self._begun(workspace, spans, declared), self._ended(workspace, spans, declared)
        if begun or ended:
            await self._store.write([*begun, *ended])
        written = {(one.destination_id, one.start_micros) for one in (*begun, *ended)}
        kept = [one for one in spans if (one.destination_id, one.start_micros) not in written]
        self._spans[workspace] = [*kept, *begun, *ended]

    def _begun(self, workspace: str, spans: Sequence[Span], declared: frozenset[str]) -> list[Span]:
        since: dict[str, int] = {}
        for one in spans:
            if one.end_micros is None:
                since[one.destination_id] = min(one.start_micros, since.get(one.destination_id, one.start_micros))
        begun = []
        for destination_id in sorted(declared):
            start = min(oldest for names, oldest in self._unnoted[workspace].items() if destination_id in names)
            if destination_id not in since or start < since[destination_id]:
                begun.append(Span(workspace, destination_id, start))
        return begun

    def _ended(self, workspace: str, spans: Sequence[Span], declared: frozenset[str]) -> list[Span]:
        """Returns spans with where they end, also such as seemed to end later: batches come in any order."""
        ended = []
        for one in spans:
            if one.destination_id in declared:
                continue
            oldest = min(at for names, at in self._unnoted[workspace].items() if one.destination_id not in names)
            end = max(one.start_micros, oldest)
            if one.end_micros is None or end < one.end_micros:
                ended.append(one._replace(end_micros=end))
        return ended
