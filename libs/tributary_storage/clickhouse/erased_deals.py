"""Deals of people who are erased: found by contact, and by the numbers of the person's conversions; then stripped.

The one rule: by what numbers deals name a person's conversions is kept with the erasure for ever, as digests only: what
a CRM sends long after it is found by them, and without the workspace's pepper nobody can tell of what they are. Whether
a number tells of the person still is asked each time: another may have it by now, or be the deal's contact.

Every method may run twice, and raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tributary_domain.erasures import Erasure
from tributary_domain.ids import person_id
from tributary_domain.severed_orders import deal_key
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

_NONE: Final = ("-",)
"""What no id is: an empty list is no list to SQL."""
_AT_ONCE: Final = 2_000


class ErasedDeals:
    """Finds deals, and strips them.

    Args:
        clickhouse: Through which; statements may take minutes.
        pepper_of: Returns a workspace's pepper.
    """

    def __init__(self, clickhouse: ClickHouse, pepper_of: Callable[[str], bytes]) -> None:
        self._clickhouse = clickhouse
        self._pepper_of = pepper_of

    async def numbers(self, erasure: Erasure) -> tuple[str, ...]:
        """Returns digests of the numbers by which deals name a person's conversions.

        Those that the erasure knows already, and those that were kept with earlier erasures of the person too.
        """
        [(known, kept)] = await self._clickhouse.execute(statement("erasure/numbers_of_person"), self._values(erasure))
        return tuple(sorted({*erasure.deal_numbers, *known, *kept}))

    async def count(self, erasure: Erasure) -> int:
        """Returns how many deals of a person tell of them."""
        return len(await self._found(erasure))

    async def strip(self, erasure: Erasure) -> int:
        """Strips the deals of a person; returns how many there were."""
        deals = await self._found(erasure)
        for start in range(0, len(deals), _AT_ONCE):
            values = {**self._values(erasure), "deals": deals[start : start + _AT_ONCE]}
            await self._clickhouse.execute(statement("erasure/strip_deals"), values)
        return len(deals)

    async def _found(self, erasure: Erasure) -> list[tuple[str, str]]:
        rows = await self._clickhouse.execute(statement("erasure/deals_of_person"), self._values(erasure))
        return [(str(system), str(deal_id)) for system, deal_id in rows]

    def _values(self, erasure: Erasure) -> dict[str, Any]:
        first, second = deal_key(self._pepper_of(erasure.workspace))
        return {
            "workspace": erasure.workspace,
            "until": erasure.until_micros,
            "tokens": list(erasure.tokens),
            "person_keys": [person_id(erasure.workspace, token) for token in erasure.tokens],
            "conversions": list(erasure.conversion_ids) or list(_NONE),
            "numbers": list(erasure.deal_numbers) or list(_NONE),
            "first": first,
            "second": second,
        }
