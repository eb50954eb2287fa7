"""What of an erased person is destroyed in the state store, once all that was published of them is severed.

The one rule: nothing is destroyed that was published since it was severed: whoever tells the order again must find
nothing of it, and no total loses what was credited meanwhile.
"""

from __future__ import annotations

from functools import partial

from tributary_attribution.erasure_plans import counted
from tributary_attribution.shared_orders import SharedOrders
from tributary_attribution.stand_ins import StandIns
from tributary_attribution.told_again import ToldAgain
from tributary_domain.erasures import Erasure
from tributary_runtime.errors import Backpressure
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.redis.conversions import Conversions, conversion_key
from tributary_storage.redis.erased_people import ErasedPeople
from tributary_storage.redis.people import People
from tributary_storage.redis.person_paths import PersonPaths


class Forgetting:
    """Destroys it. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        erased: What is destroyed.
        people: Knows what is left of identifiers: what happened after the erasure.
        paths: As what path people who did not convert are counted.
        conversions: Tells what is not published everywhere yet.
        records: Tells what is not severed.
        shared: Keep what is others'.
        stand_ins: Take the places of what is destroyed.
        told_again: What was told since, and stays.
    """

    def __init__(
        self,
        erased: ErasedPeople,
        people: People,
        paths: PersonPaths,
        conversions: Conversions,
        records: ErasureRecords,
        shared: SharedOrders,
        stand_ins: StandIns,
        told_again: ToldAgain,
    ) -> None:
        self._erased = erased
        self._people = people
        self._paths = paths
        self._conversions = conversions
        self._records = records
        self._shared = shared
        self._stand_ins = stand_ins
        self._told_again = told_again

    async def published(self, erasure: Erasure) -> dict[str, int]:
        """Returns the last revision of each of its conversions, once the records have all that were published.

        Raises:
            Backpressure: They have not yet.
        """
        wanted = {conversion_key(erasure.workspace, one): one for one in erasure.conversion_ids}
        stored = await self._conversions.observe({key: {} for key in wanted}, 0) if wanted else {}
        if any(one.pending for one in stored.values()):
            raise Backpressure("Conversions of the person are being published.", pause_seconds=1.0)
        return {wanted[key]: one.revision for key, one in stored.items()}

    async def _severed(self, erasure: Erasure) -> dict[str, int]:
        """Returns the same, once nothing of them is left to sever."""
        published = await self.published(erasure)  # first: what comes behind it is another revision
        if await self._records.severed.is_left(erasure):
            raise Backpressure("Conversions of the person were published meanwhile.", pause_seconds=1.0)
        return published

    async def forget(self, erasure: Erasure) -> Erasure:
        """Destroys it, and has stand-ins take their places; returns the erasure with how much that was.

        Raises:
            Backpressure: Conversions were published since they were severed: sever these first.
        """
        await self._severed(erasure)  # before anything is destroyed by which that would be credited
        about = (erasure.workspace, erasure.tokens, erasure.until_micros)
        forgotten = await self._erased.forget_people(*about, partial(self._records.bounds.clicks_of_others, erasure))
        places = [(erasure.workspace, token) for token in erasure.tokens]
        await self._paths.take_back(places)
        since = zip(places, await self._people.find_each(places), strict=True)
        await self._paths.mark([place for place, journey in since if journey and journey.entries])
        erasure = await self._told_again.left(erasure)
        await self._stand_ins.take_place(erasure)
        erasure, held = await self._told_again.held(erasure)
        stays, published = await self._told_again.stays(erasure), await self._severed(erasure)
        own = {one: revision for one, revision in published.items() if one in held}
        conversions = await self._erased.forget_conversions(erasure, own, stays)
        changes = await self._shared.forget(erasure)  # of what was the person's, these said what it was worth
        return counted(erasure, {**forgotten, "live_conversions": conversions, "live_changes": changes})
