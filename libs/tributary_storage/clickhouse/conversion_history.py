"""Conversions as ClickHouse knows them: their revisions, and what was sent of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final, TypeVar

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary_domain.stand_ins import is_stand_in
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.delivery_rows import delivery_of
from tributary_storage.clickhouse.order_changes import OrderChangeRecords
from tributary_storage.clickhouse.recorded_events import RecordedEvents
from tributary_storage.clickhouse.stand_ins import StandIn, StandInRecords
from tributary_storage.clickhouse.statements import statement

MAX_REVISIONS: Final = 1000
"""Revisions of one conversion that are read at once."""

NO_LAST: Final = 2**64 - 1
"""Above every revision."""

LATEST_MICROS: Final = 10_413_791_999_999_999
"""The last moment that a time of ClickHouse can be: the end of 2299."""

Row = tuple[Any, ...]
Wanted = TypeVar("Wanted")

_IDS_AT_ONCE: Final = 1000
"""Conversions of one question: ClickHouse bounds the length of a statement."""


class ConversionHistory:
    """Reads conversions by id. Every method raises `StorageUnavailableError` if ClickHouse does not answer."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse
        self._stand_ins = StandInRecords(clickhouse)
        self._order_changes = OrderChangeRecords(clickhouse)

    async def revisions(
        self, workspace: str, conversion_id: str, after: int = 0, limit: int = MAX_REVISIONS, last: int = NO_LAST
    ) -> list[ConversionRevised]:
        """Returns the revisions above `after` up to `last`, oldest first; none if there is no such conversion."""
        parameters = {
            "workspace": workspace,
            "conversion_id": conversion_id,
            "after": after,
            "last": last,
            "limit": limit,
        }
        rows = await self._clickhouse.execute(statement("revisions_of_conversion"), parameters, raw_strings=True)
        return [ConversionRevised.FromString(row[0]) for row in rows]

    async def revisions_of(
        self, workspace: str, numbered: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], ConversionRevised]:
        """Returns revisions by (conversion id, number of the revision); those that there are none of are left out."""
        found: dict[tuple[str, int], ConversionRevised] = {}
        for some in _some_at_once(numbered):
            parameters = {"workspace": workspace, "numbered": some}
            rows = await self._clickhouse.execute(statement("revisions_by_number"), parameters, raw_strings=True)
            found |= {(row[0].decode(), int(row[1])): ConversionRevised.FromString(row[2]) for row in rows}
        return found

    async def newest(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, ConversionRevised]:
        """Returns the newest revision by conversion id; those that were never published are left out.

        Of what stands in for a conversion whose person was erased: as that was published, without what tells of
        anybody, until it is published anew.
        """
        newest: dict[str, ConversionRevised] = {}
        for some in _some_at_once(conversion_ids):
            parameters = {"workspace": workspace, "conversion_ids": some}
            rows = await self._clickhouse.execute(statement("newest_revisions"), parameters, raw_strings=True)
            newest |= {row[0].decode(): ConversionRevised.FromString(row[1]) for row in rows}
        for name, content in (await self._contents(workspace, set(conversion_ids).difference(newest))).items():
            newest[name] = ConversionRevised.FromString(content.revised)
        return newest

    async def workspaces_published_before(self, moment_micros: int) -> set[str]:
        """Returns the workspaces of which anything was published before a moment."""
        rows = await self._clickhouse.execute(statement("workspaces_published_before"), {"moment": moment_micros})
        return {row[0] for row in rows}

    async def as_of(self, workspace: str, conversion_id: str, moment_micros: int) -> ConversionRevised | None:
        """Returns the revision that was the newest at a moment; None if there was none."""
        parameters = {"workspace": workspace, "conversion_id": conversion_id, "moment": max(0, moment_micros)}
        rows = await self._clickhouse.execute(statement("revision_as_of"), parameters, raw_strings=True)
        return ConversionRevised.FromString(rows[0][0]) if rows else None

    async def summaries(self, workspace: str, conversion_id: str, last: int, limit: int) -> tuple[list[Row], int]:
        """Returns the newest revisions up to `last` in brief, oldest first, and how many there are in all.

        Returns:
            Rows as `revision_summaries.sql` selects them.
        """
        parameters = {"workspace": workspace, "conversion_id": conversion_id, "last": last, "limit": limit}
        rows = await self._clickhouse.execute(statement("revision_summaries"), parameters)
        return [row[:-1] for row in reversed(rows)], int(rows[0][-1]) if rows else 0

    async def events_of(self, workspace: str, conversion_ids: Collection[str]) -> list[tuple[int, bytes, bool]]:
        """Returns what observed or adjusted conversions, in event order.

        Returns:
            (accept time in microseconds, serialised `AdmittedEvent`, whether it is quarantined) of each event that was
            recorded; of what is quarantined, observations alone.
        """
        found: list[tuple[int, bytes, bool]] = []
        for some in _some_at_once(conversion_ids):
            parameters = {"workspace": workspace, "conversion_ids": some}
            rows = await self._clickhouse.execute(statement("events_of_conversions"), parameters, raw_strings=True)
            found += [(int(accept_time), admitted, bool(quarantined)) for accept_time, admitted, quarantined in rows]
        for content in (await self._contents(workspace, conversion_ids)).values():
            found += [(content.accept_micros, admitted, False) for admitted in content.admitted]
        changes = await self._order_changes.of(workspace, [one for one in conversion_ids if is_stand_in(one)])
        found += [(one.accept_micros, one.admitted, False) for one in changes]
        return found

    async def _contents(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, StandIn]:
        """Returns what stand-ins are made of."""
        return await self._stand_ins.contents(workspace, [one for one in conversion_ids if is_stand_in(one)])

    async def deliveries(
        self,
        workspace: str,
        conversion_id: str,
        after: int = 0,
        last: int = NO_LAST,
        moment_micros: int = LATEST_MICROS,
    ) -> list[Delivery]:
        """Returns what was sent where, or why not, of the revisions above `after` up to `last`.

        Returns:
            Oldest revision first, each as of its newest attempt by the moment.
        """
        parameters = {
            "workspace": workspace,
            "conversion_ids": [conversion_id],
            "after": after,
            "last": last,
            "moment": moment_micros,
        }
        rows = await self._clickhouse.execute(statement("deliveries_of_conversions"), parameters)
        return [delivery_of(row) for row in rows]

    async def deliveries_of(self, workspace: str, conversion_ids: Collection[str]) -> dict[str, list[Delivery]]:
        """Returns the same of several conversions, all that there is; those of which nothing was sent are left out."""
        found: dict[str, list[Delivery]] = {}
        for some in _some_at_once(conversion_ids):
            parameters = {"workspace": workspace, "conversion_ids": some, "after": 0, "last": NO_LAST}
            parameters["moment"] = LATEST_MICROS
            rows = await self._clickhouse.execute(statement("deliveries_of_conversions"), parameters)
            for delivery in map(delivery_of, rows):
                found.setdefault(delivery.conversion_id, []).append(delivery)
        return found

    async def event_ids(self, workspace: str, touches: Collection[tuple[int, int]]) -> dict[int, str]:
        """Returns event ids by their hash, of those that ClickHouse has already.

        Args:
            workspace: Whose.
            touches: (event time in microseconds, hash of the event id) of each.
        """
        if not touches:
            return {}
        times, hashes = zip(*touches, strict=True)
        parameters = {"workspace": workspace, "times": sorted(set(times)), "hashes": sorted(set(hashes))}
        rows = await self._clickhouse.execute(statement("event_ids_of_touches"), parameters)
        return {int(event_hash): str(event_id) for event_hash, event_id in rows}

    async def conversion_of_event(self, workspace: str, event_id: str) -> str:
        """Returns the id of the conversion that an event observed; empty if there is none."""
        parameters = {"workspace": workspace, "event_id": event_id}
        rows = await self._clickhouse.execute(statement("conversion_of_event"), parameters)
        return str(rows[0][0]) if rows else ""

    async def conversion_as_sent(self, workspace: str, own_id: str, sent_hash: int) -> str:
        """Returns the same of an event that is stored under its id as it was sent, though a token stands for that now.

        Args:
            workspace: Whose.
            own_id: The conversion that the event would be by itself.
            sent_hash: `event_hash` of the id.
        """
        return (await RecordedEvents(self._clickhouse).orders_as_sent(workspace, {own_id: sent_hash})).get(own_id, "")


def _some_at_once(wanted: Collection[Wanted]) -> Iterator[list[Wanted]]:
    """Yields ids, as many at once as a statement takes."""
    ids = list(wanted)
    for start in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[start : start + _IDS_AT_ONCE]
