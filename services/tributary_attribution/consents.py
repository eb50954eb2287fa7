"""What events say people decided -> the consent ledger, before their journeys are touched.

The one rule: a decision is in the ledger before anybody computes from it, and whoever converted under it is computed
again; a run that stopped between the two is repeated as a whole. What the state store has lost is read back from
ClickHouse before anything is added.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, Protocol

import structlog

from tributary_attribution.arrivals import Arrival
from tributary_domain.consent import Decision
from tributary_storage.redis.consents import Consents, Place

log = structlog.get_logger(__name__)

_KNOWN: Final = 50_000
"""Decisions that a process remembers to have been seen through."""


class Decisions(Protocol):
    """The durable copy of the ledger."""

    def pages(self) -> AsyncIterator[dict[Place, list[Decision]]]:
        """Yields all of it, some identifiers at a time; raises `StorageUnavailableError`."""
        ...


class ConsentLedger:
    """Keeps the ledger. Every method may run twice, and at once in several processes.

    Args:
        consents: The ledger.
        durable: Its copy.
        loss_micros: Tells when the last confirmed loss of the state store was; 0: there was none.
    """

    def __init__(self, consents: Consents, durable: Decisions, loss_micros: Callable[[], int] = lambda: 0) -> None:
        self._consents = consents
        self._durable = durable
        self._loss_micros = loss_micros
        self._restored_micros = 0
        self._known: set[tuple[str, str, Decision]] = set()

    async def record(self, arrivals: Iterable[Arrival]) -> dict[Place, list[Arrival]]:
        """Adds what events decide, under each identifier that they name.

        Returns:
            The identifiers whose person converted, each with the events that decided something.

        Raises:
            StorageUnavailableError: A store did not answer; run the same again.
        """
        await self.restore()
        deciding: dict[Place, list[Arrival]] = {}
        decisions: dict[Place, list[Decision]] = {}
        for arrival in arrivals:
            if arrival.decision is None:
                continue
            for token in arrival.tokens:
                if (arrival.workspace, token, arrival.decision) not in self._known:
                    place = arrival.workspace, token
                    deciding.setdefault(place, []).append(arrival)
                    decisions.setdefault(place, []).append(arrival.decision)
        if not decisions:
            return {}
        converted = await self._consents.record(decisions)
        return {place: deciding[place] for place in deciding if place in converted}

    def finish(self, arrivals: Iterable[Arrival]) -> None:
        """Remembers that what events decide has been seen through: it is credited."""
        if len(self._known) > _KNOWN:
            self._known.clear()
        self._known.update(
            (arrival.workspace, token, arrival.decision)
            for arrival in arrivals
            if arrival.decision is not None
            for token in arrival.tokens
        )

    async def restore(self) -> None:
        """Reads the ledger back from ClickHouse, once after each confirmed loss of the state store.

        Raises:
            StorageUnavailableError: A store did not answer; nobody may rely on the ledger until it was read back.
        """
        loss_micros = self._loss_micros()
        if loss_micros <= self._restored_micros:
            return
        self._known.clear()
        if await self._consents.restored_micros() < loss_micros:
            identifiers = 0
            async for page in self._durable.pages():
                await self._consents.record(page)
                identifiers += len(page)
            await self._consents.note_restored(loss_micros)
            log.warning("consent_ledger_restored", identifiers=identifiers)
        self._restored_micros = loss_micros
