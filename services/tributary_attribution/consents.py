"""What events say people decided -> the consent ledger, before their journeys are touched.

The one rule: a decision is in the ledger before anybody computes from it, and whoever converted under it is computed
again; a run that stopped between the two is repeated as a whole. Many events say the same decision: it is a cause only
where it was new to the ledger, or may never have been credited. Of vendors nobody is computed again: credit does not
depend on them. What the state store has lost is read back from ClickHouse before anything is added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

import structlog

from tributary_attribution.affected import Word
from tributary_attribution.arrivals import Arrival
from tributary_domain.consent import Decision
from tributary_storage.redis.consents import AnyDecision, Consents, Place

log = structlog.get_logger(__name__)

_KNOWN: Final = 50_000
"""Decisions that a process remembers to have been seen through."""

_Said = tuple[str, str, AnyDecision]
"""Workspace, identity token, what was decided under it."""


class Decisions(Protocol):
    """The durable copy of the ledger."""

    def pages(self) -> AsyncIterator[dict[Place, list[AnyDecision]]]:
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
        self._known: set[_Said] = set()
        self._begun: set[_Said] = set()
        """Those that this process brought to the ledger and has not credited yet."""
        self._credited: Counter[tuple[_Said, str]] = Counter()
        """Those that are credited, each with the event that says it, of batches that are being stored."""

    async def record(self, arrivals: Iterable[Arrival]) -> dict[Place, list[Word]]:
        """Adds what events decide, under each identifier that they name.

        Returns:
            The identifiers whose person converted, each with what events said of them.

        Raises:
            StorageUnavailableError: A store did not answer; run the same again.
        """
        await self.restore()
        deciding: dict[Place, list[tuple[_Said, Arrival]]] = {}
        decisions: dict[Place, list[AnyDecision]] = {}
        being_stored = {said for said, _ in self._credited}
        for said, arrival in _said_by(arrivals):
            is_credited = said in being_stored and not self._credited[said, arrival.event_id]  # else it comes again
            if said not in self._known and not is_credited:
                if isinstance(said[2], Decision):
                    deciding.setdefault(said[:2], []).append((said, arrival))
                decisions.setdefault(said[:2], []).append(said[2])
        if not decisions:
            return {}
        converted = await self._consents.record(decisions)
        for place, new in converted.items():
            self._begun.update((*place, decision) for decision in new)
        return {
            place: [Word(arrival, said in self._begun or arrival.is_redelivered) for said, arrival in deciding[place]]
            for place in deciding
            if place in converted
        }

    @contextmanager
    def credited(self, arrivals: Sequence[Arrival]) -> Iterator[None]:
        """While what events changed is stored: lets the next batch know that it is credited; then remembers it."""
        said = [(said, arrival.event_id) for said, arrival in _said_by(arrivals)]
        self._credited.update(said)
        try:
            yield
        finally:
            self._credited -= Counter(said)
        if len(self._known) > _KNOWN:
            self._known.clear()
        done = {one for one, _ in said}
        self._known |= done
        self._begun -= done

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


def _said_by(arrivals: Iterable[Arrival]) -> Iterator[tuple[_Said, Arrival]]:
    """Yields what events decide, once under each identifier that they name."""
    for arrival in arrivals:
        own: tuple[AnyDecision, ...] = arrival.vendor_decisions
        for decision in (arrival.decision, *own) if arrival.decision is not None else own:
            for token in arrival.tokens:
                yield (arrival.workspace, token, decision), arrival
