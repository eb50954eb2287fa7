"""What journeys have forgotten for their age, read by who did it: for what reaches further back than they do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tributary_storage.clickhouse.admission_rows import RecordedAdmission, recorded_admission
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement


class ForgottenEvents:
    """Reads them.

    Args:
        clickhouse: Where the events are.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def between(
        self, workspace: str, tokens: Collection[str], since_micros: int, until_micros: int, limit: int
    ) -> list[RecordedAdmission]:
        """Returns touches and conversions of some people, at most so many, the newest first.

        Args:
            workspace: Whose.
            tokens: All identity tokens of the people.
            since_micros: From when on.
            until_micros: Up to when, this moment left out.
            limit: How many at most.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        values: dict[str, Any] = {
            "workspace": workspace,
            "tokens": tuple(sorted(tokens)),
            "since": max(0, since_micros),
            "until": until_micros,
            "limit": limit,
        }
        rows = await self._clickhouse.execute(statement("events_to_recall"), values, raw_strings=True)
        return [recorded_admission(*row) for row in rows]
