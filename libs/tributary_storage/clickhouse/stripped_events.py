"""What an erasure has left of recorded events: for who reads these events elsewhere, as they were told."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tributary_storage.clickhouse.admission_rows import RecordedAdmission, recorded_admission
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

_AT_ONCE: Final = 1_000
"""Events of one question: ClickHouse bounds the length of a statement."""


class StrippedEvents:
    """Reads it.

    Args:
        clickhouse: Where the events are.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def among(
        self, workspace: str, events: Collection[tuple[int, str]]
    ) -> dict[tuple[int, str], RecordedAdmission | None]:
        """Returns what is left of those of some events that were stripped with an order; None: nothing.

        Args:
            workspace: Whose.
            events: Event time in microseconds, and id, of each. Those that have no row yet are left out.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        found: dict[tuple[int, str], RecordedAdmission | None] = {}
        wanted = sorted(set(events))
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            parameters = {
                "workspace": workspace,
                "times": sorted({micros for micros, _ in some}),
                "event_ids": sorted({event_id for _, event_id in some}),
            }
            for row in await self._clickhouse.execute(statement("stripped_events"), parameters, raw_strings=True):
                event_micros, event_id, verdict, admitted, accept_micros, traceparent = row
                left = recorded_admission(verdict, admitted, accept_micros, traceparent) if admitted else None
                found[event_micros, event_id.decode()] = left
        return found
