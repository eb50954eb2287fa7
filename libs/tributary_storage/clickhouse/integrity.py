"""What ClickHouse has to say about the promises: numbers to be compared with other sides, never with themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tributary_domain.retention import PERSON_LEVEL_KINDS
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement


@dataclass(frozen=True, slots=True)
class StoredEvents:
    """The events of a workspace, as rows of `events` and `refusals`; by verdict with those that retention deleted."""

    accepted: int
    quarantined: int
    merged: int
    """Further observations of known orders, which were answered DUPLICATE."""
    rows: int
    event_ids: int
    """Distinct ones: as many as rows, if each exists once."""
    observed_conversions: int
    """Distinct conversions that a good event observed."""
    conflicts: int
    rejected: int


@dataclass(frozen=True, slots=True)
class StoredConversions:
    """The conversions of a workspace, at their newest revisions."""

    rows: int
    ids: int
    """Distinct conversion ids: as many as rows, if each is there once."""
    with_order: int
    orders: int
    """Distinct order keys."""
    counted: int
    sums: int
    """Of counted conversions: one per conversion and model."""
    whole_credit_sums: int
    """Of these, those whose credit is exactly 1 000 000."""
    whole_value_sums: int
    """Of these, those whose money is exactly the value."""


@dataclass(frozen=True, slots=True)
class StoredRevisions:
    """All revisions of a workspace."""

    rows: int
    linked: int
    """Revisions that name the one before them, or are the first."""
    conversions: int
    firsts: int


@dataclass(frozen=True, slots=True)
class StoredDeliveries:
    """What was sent, by destination and conversion."""

    pairs: int
    taken_twice: int
    shown_twice: int
    """Under more than one visible id."""


class StoredIntegrity:
    """Counts what is stored of a workspace. Reads all of it: for people and for nights, not for every second.

    Every method raises `StorageUnavailableError` if ClickHouse does not answer.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse

    async def events(self, workspace: str) -> StoredEvents:
        """Counts events and refusals."""
        return StoredEvents(
            *await self._row("integrity_events", workspace), *await self._row("integrity_refusals", workspace)
        )

    async def conversions(self, workspace: str) -> StoredConversions:
        """Counts conversions and their sums."""
        return StoredConversions(*await self._row("integrity_conversions", workspace))

    async def revisions(self, workspace: str) -> StoredRevisions:
        """Counts revisions and their links."""
        return StoredRevisions(*await self._row("integrity_revisions", workspace))

    async def deliveries(self, workspace: str) -> StoredDeliveries:
        """Counts deliveries."""
        return StoredDeliveries(*await self._row("integrity_deliveries", workspace))

    async def decided(self, workspace: str, destination_id: str, names: Sequence[str]) -> tuple[int, int]:
        """Returns how many counted conversions of these names there are, and how many the destination decided on.

        Of those published since its first decision; while there is none, of the last hour's.
        """
        if not names:
            return 0, 0
        parameters = {"workspace": workspace, "destination_id": destination_id, "names": tuple(names)}
        ((conversions, decided),) = await self._clickhouse.execute(statement("integrity_undecided"), parameters)
        return conversions, decided

    async def _row(self, name: str, workspace: str) -> tuple[int, ...]:
        values = {"workspace": workspace, "person_kinds": PERSON_LEVEL_KINDS}
        (row,) = await self._clickhouse.execute(statement(name), values)
        return row
