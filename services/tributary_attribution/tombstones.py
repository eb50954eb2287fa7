"""Who was erased, as every process of attribution knows it before it reads an event.

The one rule: of what happened before somebody was erased nothing names them again, whoever brings it, however late, by
whatever way. An event whose most telling identifier was erased is nobody's; another, of somebody else on a device that
they shared, or under an address nobody had told us, is without the identifiers that were. What is nobody's is passed
over, but for what it says of a conversion that is published of somebody living: batch has that, too. It may have been
recorded again, so the record is looked through once more; what is found to be of others' only then, counts from then.
What was refused concerns nobody here, but it is recorded, too.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

import structlog

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.arrivals import Arrival
from tributary_attribution.erased_identifiers import said_by_nobody, without
from tributary_attribution.refused_names import holds_refused, refused_in
from tributary_domain.erasures import Erasure
from tributary_domain.severed_orders import SEVERED_ORDER_PREFIX
from tributary_domain.ties import most_telling
from tributary_storage.redis.erasures import Erasures
from tributary_storage.redis.log_entry import LogEntry
from tributary_storage.redis.ties import person_key

log = structlog.get_logger(__name__)


class Records(Protocol):
    """The durable copy of the tombstones."""

    async def tombstones(self) -> list[tuple[str, int]]:
        """Returns all of them; raises `StorageUnavailableError`."""
        ...


class Published(Protocol):
    """What was published."""

    async def newest(self, workspace: str, conversion_ids: Collection[str]) -> Mapping[str, ConversionRevised]:
        """Returns the newest revision by conversion id, where there is one; raises `StorageUnavailableError`."""
        ...


class Tombstones:
    """Knows who was erased, and which orders were severed.

    Args:
        erasures: Where tombstones are.
        records: Their durable copy.
        published: Tells whose conversions are.
        again: Makes the erasure that looks for what came back of some identifiers (`erasing.again`).
        loss_micros: Tells when the last confirmed loss of the state store was; 0: there was none.
        reopen: Opens the erasures again that it took.
    """

    def __init__(
        self,
        erasures: Erasures,
        records: Records,
        published: Published,
        again: Callable[[str, str, int], Erasure],
        loss_micros: Callable[[], int] = lambda: 0,
        reopen: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._erasures = erasures
        self._records = records
        self._published = published
        self._again = again
        self._reopen = reopen
        self._loss_micros = loss_micros
        self._restored_micros = 0
        self._known = 0
        self._until: dict[str, int] = {}
        self._every: set[tuple[str, int]] = set()
        self._orders: dict[str, int] = {}

    @property
    def has_any(self) -> bool:
        """Tells whether anybody was ever erased, as far as `refresh` knows."""
        return bool(self._until)

    @property
    def known(self) -> int:
        """How many tombstones `refresh` knows; another number: somebody was erased since."""
        return self._known

    @property
    def has_orders(self) -> bool:
        """Tells whether any order is known whose conversion was severed."""
        return bool(self._orders)

    def severed_until(self, digest: str) -> int | None:
        """Returns until when what happened is gone of whoever had an order that was severed; None: it was not.

        As far as `refresh` knows. That names the erasure: who told the order again may be erased, too.

        Args:
            digest: As of `severed_orders.severed_digest`.
        """
        return self._orders.get(digest)

    def are_erased(self, workspace: str, tokens: Collection[str], until_micros: int) -> bool:
        """Tells whether any of some identifiers is that of somebody of whom what happened until a moment is gone.

        Likewise.
        """
        return any((person_key(workspace, token), until_micros) in self._every for token in tokens)

    async def living(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
        """Returns the events that are not those of somebody who was erased after them; none names an erased one.

        With what those say of others' conversions.

        Raises:
            StorageUnavailableError: A store did not answer; nobody can tell.
        """
        return [one for one in await self.left_of(arrivals) if one is not None]

    async def left_of(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival | None]:
        """Returns what `living` does, of each event: the same, another in its place, or None.

        Raises:
            StorageUnavailableError: A store did not answer; nobody can tell.
        """
        await self.refresh()
        if not self._until:
            return arrivals
        left: list[Arrival | None] = []
        back: dict[tuple[str, str], int] = {}
        found = [(one, self._erased(one.workspace, one.tokens, one.event_time_micros)) for one in arrivals]
        theirs = await self._of_others([one for one, gone in found if gone and most_telling(one.tokens) in gone])
        for arrival, gone in found:
            if not gone:
                left.append(arrival)
                continue
            back.update(((arrival.workspace, token), until) for token, until in gone.items())
            if most_telling(arrival.tokens) not in gone:
                left.append(without(arrival, gone))
            elif (arrival.workspace, arrival.conversion_id) in theirs:
                left.append(said_by_nobody(arrival))
            else:
                left.append(None)
        await self._look_again(back)
        if back:
            log.info("erased_events_passed_over", events=left.count(None), identifiers=len(back))
        return left

    async def heed_refused(self, entries: Sequence[LogEntry]) -> None:
        """Has looked once more for whom events name that were refused, and who was erased after them.

        Raises:
            StorageUnavailableError: A store did not answer; nobody can tell.
            PoisonEvent: An entry can never be read.
        """
        holding = [entry for entry in entries if holds_refused(entry)]
        if not holding:
            return
        await self.refresh()
        back: dict[tuple[str, str], int] = {}
        for entry in holding if self._until else ():
            for workspace, tokens, micros in refused_in(entry):
                gone = self._erased(workspace, tokens, micros)
                back.update(((workspace, token), until) for token, until in gone.items())
            await asyncio.sleep(0)  # callers wait on the same loop
        await self._look_again(back)

    async def _look_again(self, back: Mapping[tuple[str, str], int]) -> None:
        for (workspace, token), until in back.items():
            await self._erasures.look_again(self._again(workspace, token, until))

    async def _of_others(self, arrivals: Sequence[Arrival]) -> set[tuple[str, str]]:
        """Returns workspace and id of what events say something of that is published of somebody living.

        Not of whoever is told since under an identifier of somebody erased: with what is of before the erasure it would
        be taken for that one's. Nor of what was handed out before: it may have been credited as its person's, and be
        stripped by now.
        """
        told: dict[str, set[str]] = defaultdict(set)
        for arrival in arrivals:
            if arrival.part and not arrival.is_redelivered:
                told[arrival.workspace].add(arrival.conversion_id)
        return {
            (workspace, name)
            for workspace, names in told.items()
            for name, revised in (await self._published.newest(workspace, names)).items()
            if revised.state.person_id and revised.state.person_id not in self._until
        }

    def _erased(self, workspace: str, tokens: Collection[str], event_micros: int) -> dict[str, int]:
        """Returns those of an event's identifiers that were erased after it, each with when."""
        found = {token: self._until.get(person_key(workspace, token), -1) for token in tokens}
        return {token: until for token, until in found.items() if event_micros <= until}

    async def names_erased(self, workspace: str, tokens: Collection[str], micros: int) -> bool:
        """Tells whether any of some identifiers is that of somebody who was erased since a moment.

        Raises:
            StorageUnavailableError: A store did not answer; nobody can tell.
        """
        await self.refresh()
        return any(self._until.get(person_key(workspace, token), -1) >= micros for token in tokens)

    async def refresh(self) -> None:
        """Reads what is new; after a loss of the state store, all of it, from ClickHouse.

        Raises:
            StorageUnavailableError: A store did not answer; nobody can tell.
        """
        loss_micros = self._loss_micros()
        if loss_micros > self._restored_micros:
            if await self._erasures.restored_micros() < loss_micros:
                await self._erasures.bury(await self._records.tombstones())
                if self._reopen is not None:
                    await self._reopen()
                await self._erasures.note_restored(loss_micros)
            self._restored_micros, self._known = loss_micros, 0
        known = self._known
        new = await self._erasures.tombstones(known)
        self._known = max(self._known, known + len(new))  # another batch may have read them meanwhile
        for key, until in new:
            if key.startswith(SEVERED_ORDER_PREFIX):
                self._orders.setdefault(key, until)
                continue
            self._every.add((key, until))
            self._until[key] = max(until, self._until.get(key, -1))
