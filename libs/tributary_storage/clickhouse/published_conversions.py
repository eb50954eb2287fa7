"""Which conversions there are, page by page in order of time: for who goes through all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement


class Place(NamedTuple):
    """A conversion, and where it is among all."""

    time_micros: int
    conversion_id: str


START = Place(-1, "")
"""Before every conversion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Conversions of one workspace."""

    workspace: str
    start_micros: int
    end_micros: int
    """Half-open, of the conversion's time."""
    names: Sequence[str] = ()
    """Only of these names; none: of all."""
    after: Place = START
    """Only after this one."""
    limit: int = 1000


class PublishedConversions:
    """Reads conversions."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse

    async def page(self, wanted: Wanted) -> list[Place]:
        """Returns at most `wanted.limit` conversions by time and id.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        parameters = {
            "workspace": wanted.workspace,
            "start": max(wanted.start_micros, wanted.after.time_micros),
            "end": wanted.end_micros,
            "any_name": not wanted.names,
            "names": tuple(wanted.names) or ("",),
            "at": max(wanted.after.time_micros, 0),
            "after_id": wanted.after.conversion_id,
            "limit": wanted.limit,
        }
        rows = await self._clickhouse.execute(statement("conversions_page"), parameters)
        return [Place(int(time), str(conversion_id)) for time, conversion_id in rows]
