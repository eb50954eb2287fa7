"""Which workspaces use e-mail addresses or phone numbers as ids, for `tributary doctor`."""

from __future__ import annotations

from tributary_domain.ids import REDACTED_PREFIX
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement


async def count_personal_ids(clickhouse: ClickHouse, days: int) -> dict[str, int]:
    """Returns about how many events of the last days had an id that was personal, by workspace; those without none.

    Raises:
        StorageUnavailableError: ClickHouse does not answer.
    """
    rows = await clickhouse.execute(statement("personal_ids"), {"days": days, "token": REDACTED_PREFIX})
    return {workspace: int(events) for workspace, events in rows}
