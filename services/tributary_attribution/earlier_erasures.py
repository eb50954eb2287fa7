"""Erasures of a person who is erased again before the earlier one is over: that one ends first, in the mode of both.

The one rule: what was asked to go goes. An earlier erasure removes, too, once a later one is to; but what it may have
begun to sever it severs: copies under random ids that name nobody, and what counts by them, cannot be told apart any
more from what is nobody's. Of how many conversions that is, the later one says.
"""

from __future__ import annotations

from dataclasses import replace

from tributary_attribution.erasure_plans import begun_before, is_of_same
from tributary_attribution.open_erasures import OpenErasures
from tributary_domain.erasures import Erasure


class EarlierErasures:
    """Knows them. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        erasures: What is under way.
    """

    def __init__(self, erasures: OpenErasures) -> None:
        self._erasures = erasures

    async def begun(self, erasure: Erasure) -> list[Erasure]:
        """Returns those to be done before an erasure, oldest first; their modes are kept as they are from now on."""
        found = []
        for earlier in begun_before(erasure, await self._erasures.opened()):
            one = earlier
            if erasure.removes and not (one.removes or one.is_severing):
                one = replace(one, removes=True)
                await self._erasures.keep(one)
            found.append(one)
        return found

    async def under_way(self, erasure: Erasure) -> list[Erasure]:
        """Returns all of the same person that are not finished."""
        return [one for one in await self._erasures.opened() if is_of_same(one, erasure)]

    async def noted(self, erasure: Erasure) -> Erasure:
        """Returns an erasure with how many conversions that it would remove others of the person have severed."""
        if not erasure.removes:
            return erasure
        opened = [one for one in await self.under_way(erasure) if one.is_severing]
        severed = {name for one in opened for name in one.conversion_ids}
        return replace(erasure, severed_before=max(erasure.severed_before, len(severed)))
