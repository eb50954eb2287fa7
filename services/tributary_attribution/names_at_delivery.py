"""By what destinations know the leads and orders of somebody who is erased: delivery has that, and forgets it.

The one rule: an erasure is not finished before delivery has said that it is gone. It is asked when nobody can find the
conversions any more, and once more when all that was on its way is through, for what was being sent in that moment.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from tributary_attribution.open_erasures import OpenErasures
from tributary_attribution.stand_in_making import StandInMaking
from tributary_domain.erasures import Erasure, ErasureState
from tributary_storage.redis.erased_names import AskedToForget, ErasedNames

_PATIENCE_SECONDS: Final = 20.0
_PATIENCE_LATER: Final = 0.1
"""Of that, for an erasure that nobody waits for."""
_LOOK_SECONDS: Final = 0.1


class NamesAtDelivery:
    """Has them forgotten. Every method raises `StorageUnavailableError` if a store does not answer.

    Args:
        names: Where delivery is asked.
        erasures: What is under way.
        making: Tells what leads are known by.
        patience_seconds: How long an erasure waits for delivery before it says that this is still to be done.
    """

    def __init__(
        self,
        names: ErasedNames,
        erasures: OpenErasures,
        making: StandInMaking,
        *,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._names = names
        self._erasures = erasures
        self._making = making
        self._patience_seconds = patience_seconds

    async def found(self, erasure: Erasure) -> int:
        """Returns of how many leads, or conversions on their way, delivery may know the names, for who only asks."""
        return len(await self._making.lead_families(erasure)) + await self.left(erasure)

    async def left(self, erasure: Erasure) -> int:
        """Returns of how many of those that it was asked to forget delivery has not said that they are gone.

        Those that another erasure of the person asks for count too.
        """
        opened = await self._erasures.opened()
        mine = {one.erasure_id for one in opened if one.workspace == erasure.workspace and _is_shared(one, erasure)}
        return await self._names.left({erasure.erasure_id, *mine})

    async def ask(self, erasure: Erasure) -> Erasure:
        """Asks delivery; returns the same erasure with that kept."""
        if erasure.is_asked_last or not (erasure.families or erasure.ever_theirs):
            return erasure
        about = (erasure.erasure_id, erasure.workspace, erasure.families, erasure.ever_theirs)
        await self._names.ask(AskedToForget(*about))
        asked = replace(erasure, is_asked_last=erasure.state is ErasureState.DESTROYED and not erasure.is_behind)
        await self._erasures.keep(asked)
        return asked

    async def wait(self, erasure: Erasure) -> None:
        """Waits a little for delivery: whoever asked for the erasure would like to hear that it is done."""
        is_first = erasure.state is ErasureState.REQUESTED
        seconds = self._patience_seconds * (1.0 if is_first else _PATIENCE_LATER)
        for _ in range(round(seconds / _LOOK_SECONDS)):
            if not await self.left(erasure):
                return
            await asyncio.sleep(_LOOK_SECONDS)


def _is_shared(one: Erasure, other: Erasure) -> bool:
    return not set(one.tokens).isdisjoint(other.tokens)
