"""Columns of the ledger that it did not have from the beginning.

The one rule: what a release of before wrote has the default of such a column, whatever its message says; nobody wrote
it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.reconciliation_statements import reconciliation_statement

_TABLE: Final = 8
"""The migration that made the ledger."""
_ADDED: Final[Mapping[int, Mapping[str, Sequence[Any]]]] = {
    24: {
        **{"role": [""], "is_primary": [True], "traffic": [""], "amounts_micros": [{}], "rate_picos": [0]},
        **{"rate_date": [date(1970, 1, 1), date(1900, 1, 1)], "reporting_credit_micros": [{}], "touch_details": [[]]},
    },
    35: {"value_basis": [""]},
    87: {"root_order_id": [""]},
    96: {"merged_into": [""]},
}
"""Migration -> the columns that it added, each with what stands there where nobody wrote it."""
_AT_ONCE_MICROS: Final = 60 * 60 * 1_000_000
"""How long after the ledger was made what was applied is part of the same installation."""
_ROLLED_OUT_MICROS: Final = 7 * 86_400 * 1_000_000
"""How long after a migration a release of before may write beside the new one."""


class Applied(NamedTuple):
    """Since when columns are written."""

    since_micros: Mapping[str, int]
    """By column; without those that the ledger had from the beginning."""

    def was_absent(self, name: str, stored: Any, record_micros: int) -> bool:
        """Tells whether a column has its default because the release that wrote the row did not know it."""
        if record_micros >= self.since_micros.get(name, 0):
            return False
        return any(stored in columns.get(name, ()) for columns in _ADDED.values())


class LateColumns:
    """Knows them."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse
        self._applied: Applied | None = None

    async def applied(self) -> Applied:
        """Returns since when columns are written; asked once, for it never changes.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        if self._applied is None:
            numbers = (_TABLE, *_ADDED)
            rows = await self._clickhouse.execute(reconciliation_statement("late_columns"), {"numbers": numbers})
            times = {int(number): int(micros) for number, micros in rows}
            made = times.get(_TABLE, 0) + _AT_ONCE_MICROS
            self._applied = Applied(
                {
                    name: times[number] + _ROLLED_OUT_MICROS
                    for number, columns in _ADDED.items()
                    if times.get(number, 0) > made
                    for name in columns
                }
            )
        return self._applied
