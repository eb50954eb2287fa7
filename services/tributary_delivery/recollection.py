"""What ClickHouse knows of the conversions of one batch, asked for all of them at once.

The one rule: whoever is decided about at the same time asks together. A batch costs as many questions as it has kinds
of them, however many conversions it holds; and a fact that was asked for is not asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary_delivery.ledger import Memory
from tributary_runtime.errors import UnavailableError

Key = TypeVar("Key")
Fact = TypeVar("Fact")


class Questions(Generic[Key, Fact]):
    """Questions of one kind.

    Args:
        ask: Answers many; what there is nothing of it leaves out. May raise `UnavailableError`, which all then get that
            asked: nobody asks again.
    """

    def __init__(self, ask: Callable[[list[Key]], Awaitable[Mapping[Key, Fact]]]) -> None:
        self._ask = ask
        self._known: dict[Key, Fact | None] = {}
        self._wanted: dict[Key, None] = {}
        self._asking = asyncio.Lock()
        self._outage: UnavailableError | None = None

    async def answer(self, key: Key) -> Fact | None:
        """Returns what there is; None: nothing.

        Raises:
            UnavailableError: Nobody can tell now.
        """
        if key not in self._known:
            self._wanted[key] = None
            async with self._asking:
                if key not in self._known and self._outage is None:
                    await asyncio.sleep(0)  # everybody who is decided about now gets as far as his question
                    await self._ask_all()
        if self._outage is not None and key not in self._known:
            raise self._outage
        return self._known[key]

    async def _ask_all(self) -> None:
        wanted, self._wanted = list(self._wanted), {}
        try:
            found = await self._ask(wanted)
        except UnavailableError as outage:
            self._outage = outage
            return
        self._known |= {one: found.get(one) for one in wanted}


class Recollection:
    """Of one batch of one workspace; made anew for each, so that it never is out of date.

    Args:
        memory: What is asked.
        workspace: Whose conversions.
    """

    def __init__(self, memory: Memory, workspace: str) -> None:
        async def deliveries(ids: list[str]) -> Mapping[str, list[Delivery]]:
            return await memory.deliveries_of(workspace, ids)

        async def revisions(numbered: list[tuple[str, int]]) -> Mapping[tuple[str, int], ConversionRevised]:
            return await memory.revisions_of(workspace, numbered)

        self._deliveries = Questions(deliveries)
        self._revisions = Questions(revisions)

    async def deliveries(self, conversion_id: str) -> list[Delivery]:
        """Returns every revision's newest attempt per destination, oldest revision first.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        return await self._deliveries.answer(conversion_id) or []

    async def revision(self, conversion_id: str, number: int) -> ConversionRevised | None:
        """Returns a conversion as it was published with that number; None where that is forgotten.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        return await self._revisions.answer((conversion_id, number))
