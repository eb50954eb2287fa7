"""What people decided about consent, as it is stored: the durable copy of the consent ledger.

The one rule: it is made of the events themselves as they are recorded, so nothing can be in the ledger for good that is
not here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Final

from tributary_domain.consent import DENIED, GRANTED, Decision
from tributary_domain.vendor_consent import VendorDecision
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement
from tributary_storage.redis.consents import AnyDecision

_PAGE: Final = 5_000
"""Identifiers that are read at once."""


class ConsentDecisions:
    """Reads `consent_decisions`.

    Args:
        clickhouse: Through which.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def pages(self) -> AsyncIterator[dict[tuple[str, str], list[AnyDecision]]]:
        """Yields the decisions of all identifiers, some identifiers at a time.

        Raises:
            StorageUnavailableError: ClickHouse did not answer; begin again.
        """
        after = ("", "")
        while True:
            wanted = {"workspace": after[0], "identity_token": after[1], "most": _PAGE}
            rows = await self._clickhouse.execute(statement("consent_decisions_page"), wanted)
            if not rows:
                return
            yield {(workspace, token): [*_read(decisions)] for workspace, token, decisions in rows}
            after = rows[-1][0], rows[-1][1]


def _read(stored: Iterable[tuple[int, int, str, str, Sequence[int], Sequence[int]]]) -> Iterator[AnyDecision]:
    """Yields the decisions that rows hold."""
    for time_micros, states, region, source, allowed, denied in stored:
        if states:
            yield Decision(time_micros, states, region, source)
        yield from (VendorDecision(time_micros, vendor, GRANTED) for vendor in allowed)
        yield from (VendorDecision(time_micros, vendor, DENIED) for vendor in denied)
