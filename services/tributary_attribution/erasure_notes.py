"""Which conversions an erasure is about, and until when."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tributary_attribution.shared_orders import SharedOrders
from tributary_attribution.told_again import ToldAgain
from tributary_domain.erasures import Erasure
from tributary_domain.event_order import event_hash
from tributary_storage.clickhouse.erased_deals import ErasedDeals
from tributary_storage.clickhouse.erasures import ErasureRecords
from tributary_storage.codec.event_references import event_reference
from tributary_storage.redis.people import People


class ErasureNotes:
    """Looks for them. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        people: Finds journeys.
        records: Knows what was published of whom.
        shared: Tells what is others'.
        deals: Of the CRM.
        told_again: Knows what is no longer its.
    """

    def __init__(
        self, people: People, records: ErasureRecords, shared: SharedOrders, deals: ErasedDeals, told_again: ToldAgain
    ) -> None:
        self._told_again = told_again
        self._people = people
        self._records = records
        self._shared = shared
        self._deals = deals

    async def noted(self, erasure: Erasure) -> Erasure:
        """Returns the same with all conversions that are known to be the person's."""
        erasure = await self._told_again.left_alone(erasure)
        known = set(erasure.conversion_ids)
        known.update(await self._records.conversions(erasure.workspace, erasure.tokens, erasure.until_micros))
        seen: set[str] = set()
        for journey in await self._people.find_each([(erasure.workspace, token) for token in erasure.tokens]):
            for conversion_id, times in () if journey is None else journey.conversions.items():
                if min(times) <= erasure.until_micros:
                    seen.add(conversion_id)
        theirs = await self._shared.of_others(erasure, seen - known)
        noted = replace(erasure, conversion_ids=tuple(sorted(known | seen - theirs)))
        theirs |= await self._records.once_of_person(noted)
        theirs |= {one.conversion_id for one in await self._records.observed_of_others(noted)}  # in no journey any more
        noted = await self._shared.noted(await self._with_joined(noted))
        theirs.update(set(noted.adjusted).difference(noted.own_names))
        noted = replace(noted, relatives=tuple(sorted(theirs.union(erasure.relatives, noted.joined))))
        return replace(noted, deal_numbers=await self._deals.numbers(noted))  # of those that are not severed yet

    async def _with_joined(self, erasure: Erasure) -> Erasure:
        """Returns the same with what others had of the person while they were taken for one."""
        joined = await self._records.once_joined(erasure)
        if not joined:
            return erasure
        touches = [event_reference(event_hash(name)) for _, name in await self._records.events(erasure)]
        return replace(
            erasure,
            joined=tuple(sorted({*erasure.joined, *joined})),
            touches=tuple(sorted({*erasure.touches, *touches})),
        )

    async def held(self, erasure: Erasure) -> Collection[int]:
        """Returns when what is known of a person happened: clocks may be ahead of ours."""
        journeys = await self._people.find_each([(erasure.workspace, token) for token in erasure.tokens])
        return [entry.event_time_micros for journey in journeys if journey for entry in journey.entries]
