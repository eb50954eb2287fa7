"""Rows of severed orders, which have no message, held against each other: what is wrong and nobody can tell right.

The one rule: the ledger decides what `conversions` has of them. Where it contradicts itself, or lacks what that has, it
is named, and left as it is. What an erasure that is under way copies is looked at by the next run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tributary_domain.erasures import SEVERED_PREFIX
from tributary_domain.findings import AS_PUBLISHED, Finding, FindingCause, FindingKind, finding
from tributary_storage.clickhouse.newest_rows import ErasuresOfWorkspace, NewestRows
from tributary_storage.clickhouse.reconciliation_staging import Scope

_SUMS: Final = (
    "What revisions of a severed conversion changed is not what lies between them: nobody knows what they said."
)
_NONE: Final = ErasuresOfWorkspace(0, 0)


def is_severed(conversion_id: str) -> bool:
    """Tells whether an erasure left a conversion under a random id."""
    return conversion_id.startswith(SEVERED_PREFIX)


class SeveredRowChecks:
    """Names them. May run twice, and beside erasures.

    Args:
        rows: The rows.
    """

    def __init__(self, rows: NewestRows) -> None:
        self._rows = rows

    async def erasures(self, workspace: str, conversion_ids: Iterable[str]) -> ErasuresOfWorkspace:
        """Returns the erasures of a workspace as they are once rows were read; none, where nothing of these is severed.

        An erasure is stored before it copies anything: what was read of one that is under way is known by this.

        Raises:
            StorageUnavailableError: ClickHouse does not answer.
        """
        return await self._rows.erasures(workspace) if any(map(is_severed, conversion_ids)) else _NONE

    async def sums(self, scope: Scope, now_micros: int, published_until_micros: int) -> tuple[list[Finding], bool]:
        """Returns a finding per severed conversion whose revisions do not add up, and whether there may be more.

        Raises:
            StorageUnavailableError: ClickHouse does not answer.
        """
        rows = await self._rows.severed_sums(scope, published_until_micros)
        if (await self.erasures(scope.workspace, (name for name, _ in rows))).under_way:
            return [], False
        return [_finding(scope, *row, now_micros) for row in rows], len(rows) >= self._rows.MOST


def _finding(scope: Scope, conversion_id: str, revision: int, now_micros: int) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.DIFFERENT,
        _SUMS,
        cause=FindingCause.WRONG_VALUE,
        conversion_id=conversion_id,
        expected=AS_PUBLISHED,
        actual=f"revision {revision}: its deltas",
        find_micros=now_micros,
    )
