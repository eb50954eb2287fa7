"""Erasures in ClickHouse: that they were asked for, and the destroying of what is recorded of people.

The one rule: that somebody is erased is stored before anything is destroyed, and names nobody. Rows whose keys tell
nothing are stripped in place, so that what is counted stays; conversions are copied to random ids first and deleted
then. Every method may run twice, and raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_domain.erasures import Erasure, ErasureState
from tributary_domain.ids import person_id
from tributary_domain.sealing import key_name
from tributary_runtime import metrics
from tributary_runtime.errors import NotFoundError
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.erasure_bounds import ErasureBounds
from tributary_storage.clickhouse.naming import naming
from tributary_storage.clickhouse.severed_rows import NONE, SeveredRows, values_of
from tributary_storage.clickhouse.statements import statement

_COLUMNS: Final = (
    *("workspace", "erasure_id", "version", "request_time", "until_time", "mode", "state"),
    *("person_keys", "data_key_names", "deal_numbers", "severed_orders", "severed_before"),
    *("destroyed", "remaining", "requested_by", "reason"),
)
_AT_ONCE: Final = 2_000
_TOKENS_AT_ONCE: Final = 1_000
_OF_TOKENS: Final = ("events_by_identifier", "consent_decisions", "identity_changes", "identity_words")
_STRIPPED: Final = (
    *("strip_event_ids", "strip_quarantine_decisions", "strip_events", "delete_events_by_identifier_of_events"),
)
"""Of a person's events, in this order: what was decided of them is found by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredErasure:
    """An erasure as it is stored for ever: it names nobody."""

    workspace: str
    erasure_id: str
    request_micros: int
    until_micros: int
    mode: str
    state: ErasureState
    person_keys: Sequence[str]
    destroyed: Mapping[str, int] = field(default_factory=dict)
    remaining: Mapping[str, int] = field(default_factory=dict)
    requested_by: str = ""
    reason: str = ""
    data_key_names: Sequence[str] = ()
    """In hexadecimal digits."""
    severed_orders: Sequence[str] = ()
    severed_before: int = 0


class ToBeStripped(NamedTuple):
    """An event of which something stays: what somebody who is erased observed of others, or what names them."""

    event_micros: int
    event_id: str
    conversion_id: str
    """Empty: it observes none."""
    accept_micros: int
    admitted: bytes


class ErasureRecords:
    """Writes `erasures`, and destroys what other tables have of people.

    Args:
        clickhouse: Through which; statements may take minutes.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self.severed = SeveredRows(clickhouse)
        self.bounds = ErasureBounds(clickhouse)
        self._clickhouse = clickhouse

    async def write(self, erasure: Erasure, now_micros: int) -> None:
        """Stores how far an erasure is."""
        row: tuple[Any, ...] = (
            *(erasure.workspace, erasure.erasure_id, now_micros, erasure.request_micros, erasure.until_micros),
            *("remove" if erasure.removes else "sever", erasure.state.value),
            [person_id(erasure.workspace, token) for token in erasure.tokens],
            [key_name(erasure.workspace, token).hex() for token in erasure.tokens],
            list(erasure.deal_numbers),
            list(erasure.severed_orders),
            erasure.severed_before,
            *(dict(erasure.destroyed), dict(erasure.remaining), erasure.requested_by, erasure.reason),
        )
        table = metrics.Table.ERASURES
        written = await self._clickhouse.insert(table.value, _COLUMNS, [[one] for one in row])
        metrics.WRITTEN_ROWS.add(written, table=table)

    async def all(self) -> list[StoredErasure]:
        """Returns every erasure, oldest first."""
        return await self._read("", "")

    async def tombstones(self) -> list[tuple[str, int]]:
        """Returns all tombstones: person key, or by what an order is recognised; until when what happened is gone."""
        return [(key, one.until_micros) for one in await self.all() for key in (*one.person_keys, *one.severed_orders)]

    async def data_key_tombstones(self) -> dict[tuple[str, bytes], int]:
        """Returns until when what happened is gone, by workspace and name of the data key."""
        found: dict[tuple[str, bytes], int] = {}
        for one in await self.all():
            for name in one.data_key_names:
                place = one.workspace, bytes.fromhex(name)
                found[place] = max(one.until_micros, found.get(place, 0))
        return found

    async def get(self, workspace: str, erasure_id: str) -> StoredErasure:
        """Returns one of them; raises `NotFoundError` where there is none of this id in the workspace."""
        for found in await self._read(workspace, erasure_id):
            return found
        message = "There is no such erasure in this workspace."
        raise NotFoundError(message, resource_type="erasure", resource_name=erasure_id)

    async def _read(self, workspace: str, erasure_id: str) -> list[StoredErasure]:
        asked = {"workspace": workspace, "erasure_id": erasure_id}
        rows = await self._clickhouse.execute(statement("erasure/erasures"), asked)
        return [
            StoredErasure(
                workspace=row[0],
                erasure_id=row[1],
                request_micros=row[2],
                until_micros=row[3],
                mode=row[4],
                state=ErasureState(row[5]),
                person_keys=row[6],
                destroyed=row[7],
                remaining=row[8],
                requested_by=row[9],
                reason=row[10],
                data_key_names=row[11],
                severed_orders=row[12],
                severed_before=row[13],
            )
            for row in rows
        ]

    async def conversions(self, workspace: str, tokens: Sequence[str], until_micros: int) -> list[str]:
        """Returns the conversions of the people whom identifiers belong to, or belonged to, until a moment."""
        asked = {
            "workspace": workspace,
            "until": until_micros,
            "person_keys": [person_id(workspace, token) for token in tokens],
        }
        return [row[0] for row in await self._clickhouse.execute(statement("erasure/conversions_of_person"), asked)]

    async def of_others(self, erasure: Erasure) -> set[str]:
        """Returns those of an erasure's conversions that are published of somebody else."""
        rows = await self._clickhouse.execute(statement("erasure/conversions_of_others"), values_of(erasure))
        return {row[0] for row in rows}

    async def published_since(self, erasure: Erasure) -> set[str]:
        """Returns those of an erasure's conversions that are published as having happened after its moment."""
        rows = await self._clickhouse.execute(statement("erasure/published_since"), values_of(erasure))
        return {row[0] for row in rows}

    async def once_of_person(self, erasure: Erasure) -> set[str]:
        """Returns the conversions that were published of a person and are not among the erasure's: others' by now."""
        rows = await self._clickhouse.execute(statement("erasure/once_of_person"), values_of(erasure))
        return {row[0] for row in rows}

    async def once_joined(self, erasure: Erasure) -> list[str]:
        """Returns the conversions of people who were once taken for one with the person, and are others by now."""
        rows = await self._clickhouse.execute(statement("erasure/once_joined"), values_of(erasure))
        tokens = [row[0] for row in rows]
        if not tokens:
            return []
        theirs = await self.conversions(erasure.workspace, tokens, erasure.until_micros)
        return sorted(set(theirs).difference(erasure.conversion_ids))

    async def events(self, erasure: Erasure) -> list[tuple[int, str]]:
        """Returns time and id of each of a person's events."""
        rows = await self._clickhouse.execute(statement("erasure/events_of_person"), values_of(erasure))
        return [(int(time), str(name)) for time, name in rows]

    async def found(self, erasure: Erasure) -> dict[str, int]:
        """Returns how much is stored of a person, by table."""
        values = {**values_of(erasure), "attempts": await self.severed.attempts(erasure)}
        rows = await self._clickhouse.execute(*naming("erasure/found", values, erasure.tokens))
        return {str(table): int(number) for table, number in rows}

    async def observed_of_others(self, erasure: Erasure) -> list[ToBeStripped]:
        """Returns what a person observed of conversions that are published of others."""
        return await self._to_be_stripped("observed_of_others", erasure)

    async def adjusted(self, erasure: Erasure) -> list[ToBeStripped]:
        """Returns what names a person and changes conversions, once per conversion that it may be kept with."""
        return await self._to_be_stripped("adjusted_by_person", erasure)

    async def observed_by_others(self, erasure: Erasure) -> list[ToBeStripped]:
        """Returns what others observed of a person's conversions, each with the random id that it has once stripped."""
        if not erasure.conversion_ids:
            return []
        return await self._to_be_stripped("observed_by_others", erasure)

    async def firsts_of_others(self, erasure: Erasure, tokens: Sequence[str]) -> list[tuple[str, str, int, str, str]]:
        """Returns the first conversion of each name that others had, without a person's.

        Args:
            erasure: The person's.
            tokens: Identifiers of the others.

        Returns:
            Identifier, name, event time, event id and conversion id of each.
        """
        found: list[tuple[str, str, int, str, str]] = []
        for start in range(0, len(tokens), _TOKENS_AT_ONCE):
            asked = {**values_of(erasure), "tokens": list(tokens[start : start + _TOKENS_AT_ONCE])}
            rows = await self._clickhouse.execute(statement("erasure/firsts_of_others"), asked)
            found += [(str(own), str(name), int(at), str(event), str(one)) for own, name, at, event, one in rows]
        return found

    async def orders(self, erasure: Erasure) -> list[ToBeStripped]:
        """Returns what observed a person's conversions, and what else the person told of any."""
        return await self._to_be_stripped("orders_of_person", erasure)

    async def orders_of_others(
        self, workspace: str, conversion_ids: Collection[str], order_ids: Collection[str]
    ) -> set[tuple[str, str, str]]:
        """Returns name, store and number of those orders that other conversions than some are of, too.

        Args:
            workspace: Whose.
            conversion_ids: The conversions.
            order_ids: Numbers of orders.
        """
        if not order_ids:
            return set()
        asked = {"conversions": list(conversion_ids) or list(NONE), "order_ids": list(order_ids)}
        rows = await self._clickhouse.execute(statement("erasure/orders_of_others"), {"workspace": workspace, **asked})
        return {(str(name), str(store), str(number)) for name, store, number in rows}

    async def severed_orders(self, workspace: str) -> set[str]:
        """Returns by what the orders of a workspace are recognised that were severed."""
        return {digest for one in await self.all() if one.workspace == workspace for digest in one.severed_orders}

    async def order_of_event(self, workspace: str, event_id: str) -> str:
        """Returns the conversion that an event observed; "": none, or it was an erased person's."""
        asked = {"workspace": workspace, "event_id": event_id}
        rows = await self._clickhouse.execute(statement("conversion_of_event"), asked)
        return str(rows[0][0]) if rows else ""

    async def naming(self, erasure: Erasure) -> list[ToBeStripped]:
        """Returns the events of others that name identifiers of a person."""
        return await self._to_be_stripped("events_naming", erasure)

    async def _to_be_stripped(self, name: str, erasure: Erasure) -> list[ToBeStripped]:
        rows = await self._clickhouse.execute(statement(f"erasure/{name}"), values_of(erasure), raw_strings=True)
        return [
            ToBeStripped(int(time), name.decode(), conversion.decode(), int(accept), _naming(admitted, *named))
            for time, name, conversion, accept, admitted, *named in rows
        ]

    async def strip_observations(self, erasure: Erasure, kept: Mapping[tuple[int, str], bytes]) -> None:
        """Strips recorded observations down to what is kept of each, by event time and id."""
        await self._keep("strip_observations", erasure, kept)

    async def strip_identifiers(self, erasure: Erasure, kept: Mapping[tuple[int, str], bytes]) -> None:
        """Takes a person's identifiers out of recorded events of others, of each of which this is kept."""
        await self._keep("strip_identifiers", erasure, kept)

    async def _keep(self, name: str, erasure: Erasure, kept: Mapping[tuple[int, str], bytes]) -> None:
        places = list(kept)
        for start in range(0, len(places), _AT_ONCE):
            some = places[start : start + _AT_ONCE]
            values = {
                "workspace": erasure.workspace,
                "tokens": list(erasure.tokens),
                "events": some,
                "event_ids": [event_id for _, event_id in some],
                "admitted": [kept[place].hex() for place in some],
            }
            await self._clickhouse.execute(statement(f"erasure/{name}"), values)

    async def strip_events(self, erasure: Erasure, entries: Mapping[tuple[int, str], bytes]) -> int:
        """Strips a person's events; returns how many there were.

        Args:
            erasure: Whose.
            entries: What is left of those that stay in journeys of others, by event time and id.
        """
        values = values_of(erasure)
        events = await self.events(erasure)
        for start in range(0, len(events), _AT_ONCE):
            some = events[start : start + _AT_ONCE]
            staying = [place for place in some if place in entries]
            own = {
                **values,
                "events": some,
                "event_ids": [name for _, name in some],
                "entry_ids": [name for _, name in staying] or list(NONE),
                "entries": [entries[place].hex() for place in staying] or [""],
                "named": [len(AdmittedEvent.FromString(entries[place]).identity_tokens) for place in staying] or [0],
            }
            if staying:  # before the events: they are found by the orders that this takes out
                await self._clickhouse.execute(statement("erasure/strip_events_by_identifier"), own)
            if erasure.state is not ErasureState.REQUESTED:  # what came late of them is found by the orders still
                await self._clickhouse.execute(statement("erasure/delete_events_by_conversion"), own)
            for name in _STRIPPED:
                await self._clickhouse.execute(statement(f"erasure/{name}"), own)
        await self._clickhouse.execute(*naming("erasure/strip_refusals", values, erasure.tokens))
        own = {**values, "event_ids": list(NONE)}
        await self._clickhouse.execute(statement("erasure/strip_quarantine_decisions"), own)
        if erasure.conversion_ids and not erasure.removes:
            await self._call_events(values)
        return len(events)

    async def _call_events(self, values: Mapping[str, Any]) -> None:
        """Calls stripped events by what became of their conversions since, or did not."""
        [(severed, others)] = await self._clickhouse.execute(statement("erasure/miscalled_events"), values)
        if miscalled := [*severed, *others]:
            own = {"workspace": values["workspace"], "severed": severed or list(NONE), "miscalled": miscalled}
            await self._clickhouse.execute(statement("erasure/call_events"), own)

    async def delete_identifiers(self, erasure: Erasure) -> None:
        """Deletes all that is found by a person's identifiers, and takes them out of how others became one."""
        for name in (*(f"delete_{table}" for table in _OF_TOKENS), "strip_identity_changes"):
            await self._clickhouse.execute(statement(f"erasure/{name}"), values_of(erasure))


def _naming(admitted: bytes, named: Sequence[bytes] | None = None) -> bytes:
    """Returns an admitted event without identifiers that its row names no more; None: all are kept."""
    if named is None:
        return admitted
    kept = AdmittedEvent.FromString(admitted)
    tokens = {token.decode() for token in named}
    if tokens.issuperset(kept.identity_tokens):
        return admitted
    kept.identity_tokens[:] = [token for token in kept.identity_tokens if token in tokens]
    return kept.SerializeToString(deterministic=True)
