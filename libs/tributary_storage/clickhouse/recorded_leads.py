"""Leads as events name them: by an id, by the order that was their first conversion, or by both."""

from __future__ import annotations

from typing import Final, NamedTuple

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement


class RecordedLead(NamedTuple):
    """By what an event names a lead; "" where it does not."""

    store: str
    lead_id: str
    root_order_id: str


NO_LEAD: Final = RecordedLead("", "", "")
"""Before all of them."""


class RecordedLeads:
    """Reads them."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse

    async def page(self, workspace: str, after: RecordedLead, limit: int) -> list[RecordedLead]:
        """Returns by what leads are known, in order, as events of one workspace name them.

        Args:
            workspace: Whose.
            after: The last of the page before; `NO_LEAD` for the first.
            limit: How many at most.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        asked = {"workspace": workspace, **{f"after_{name}": text for name, text in after._asdict().items()}}
        rows = await self._clickhouse.execute(statement("recorded_leads_page"), {**asked, "limit": limit})
        return [RecordedLead(*row) for row in rows]
