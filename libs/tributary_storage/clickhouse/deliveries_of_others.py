"""What was sent of others' conversions with what a destination recognises somebody by who is erased.

The one rule: that it was sent stays, and what came of it. Every method may run twice, and raises
`StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tributary_domain.erasures import Erasure
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

_NONE: Final = ("-", "-", "-")
"""What no click is: an empty list is no list to SQL."""


class SentClick(NamedTuple):
    """A click that a conversion may be sent with."""

    conversion_id: str
    family: str
    value: str


class DeliveriesOfOthers:
    """Finds and strips it, of the conversions of `Erasure.told_with`.

    Args:
        clickhouse: Through which; statements may take minutes.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def count(self, erasure: Erasure, clicks: Sequence[SentClick]) -> int:
        """Returns how many attempts name the person.

        Args:
            erasure: Of the person.
            clicks: What the conversions have of their own by now.
        """
        if not erasure.told_with:
            return 0
        [(number,)] = await self._clickhouse.execute(
            statement("erasure/deliveries_of_others"), _values(erasure, clicks)
        )
        return int(number)

    async def strip(self, erasure: Erasure, clicks: Sequence[SentClick]) -> int:
        """Takes out of attempts what names the person; returns of how many. Arguments as of `count`."""
        number = await self.count(erasure, clicks)
        if number:
            await self._clickhouse.execute(statement("erasure/strip_deliveries"), _values(erasure, clicks))
        return number


def _values(erasure: Erasure, clicks: Sequence[SentClick]) -> dict[str, Any]:
    return {
        "workspace": erasure.workspace,
        "told": sorted({name for name, _ in erasure.told_with}),
        "revisions": list(erasure.told_with),
        "clicks": [tuple(one) for one in clicks] or [_NONE],
    }
