"""Events as ClickHouse knows them, for explaining: when they were accepted, whom they connect, why they wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from tributary_domain.consent import Decision
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

_AT_ONCE: Final = 1000
"""Tokens or touches of one question: ClickHouse bounds the length of a statement."""


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event that had been accepted by a moment."""

    tokens: tuple[str, ...]
    """Its identity tokens."""
    is_quarantined: bool
    """Whether it proved nothing about who is who."""
    event_time_micros: int
    conversion_id: str
    """The conversion it observes; empty: none."""


@dataclass(frozen=True, slots=True)
class EventDetails:
    """What journeys do not keep of an event."""

    event_id: str
    accept_micros: int
    quarantine_codes: tuple[str, ...]
    """Names of reason codes, without their prefix; none where it is not quarantined."""


class PastEvents:
    """Reads events. Every method raises `StorageUnavailableError` if ClickHouse does not answer."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse

    async def of_tokens(self, workspace: str, tokens: Collection[str], moment_micros: int) -> Mapping[int, PastEvent]:
        """Returns the events that carry any of the identity tokens and were accepted by a moment, by their hash."""
        found: dict[int, PastEvent] = {}
        wanted = sorted(tokens)
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            parameters = {"workspace": workspace, "tokens": some, "moment": moment_micros}
            rows = await self._clickhouse.execute(statement("events_of_identifiers"), parameters)
            found |= {int(row[0]): PastEvent(tuple(row[2]), bool(row[1]), int(row[3]), str(row[4])) for row in rows}
        return found

    async def decisions(self, workspace: str, tokens: Collection[str]) -> list[tuple[int, Decision]]:
        """Returns what events decided about consent under any of the identity tokens, each with the event's hash."""
        found: list[tuple[int, Decision]] = []
        wanted = sorted(tokens)
        for start in range(0, len(wanted), _AT_ONCE):
            parameters = {"workspace": workspace, "tokens": wanted[start : start + _AT_ONCE]}
            rows = await self._clickhouse.execute(statement("decisions_of_identifiers"), parameters)
            found += [(int(row[0]), Decision(*row[1:])) for row in rows]
        return found

    async def details(self, workspace: str, touches: Collection[tuple[int, int]]) -> dict[int, EventDetails]:
        """Returns what is known of events by their hash, of those that ClickHouse has already.

        Args:
            workspace: Whose.
            touches: (event time in microseconds, hash of the event id) of each.
        """
        found: dict[int, EventDetails] = {}
        wanted = sorted(set(touches))
        for start in range(0, len(wanted), _AT_ONCE):
            times, hashes = zip(*wanted[start : start + _AT_ONCE], strict=True)
            parameters = {"workspace": workspace, "times": sorted(set(times)), "hashes": sorted(set(hashes))}
            rows = await self._clickhouse.execute(statement("details_of_touches"), parameters)
            found |= {int(row[0]): EventDetails(str(row[1]), int(row[2]), tuple(row[3])) for row in rows}
        return found
