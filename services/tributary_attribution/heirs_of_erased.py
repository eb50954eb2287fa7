"""What others' conversions had of somebody who is erased: in revisions, and in what was sent of them.

The one rule: what it is told by is kept until it is gone. Revisions that tell which touches were the person's are
stripped last, so that a run that stopped finds the others again; with what conversions were sent is noted before.

The newest revision of each has the credit of a stand-in by then (`stand_ins`). What was published before is kept, for
closed books and questions about past moments, and so is stripped in place: by the same random names as the stand-in.
What was sent keeps all but the click id and the hashes by which a destination recognised the person: it stays in its
totals, and in what is told of it later wherever that needs neither.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.named_by_others import NamedByOthers, Place, Revisions, named_by_others, newest_of, told_with
from tributary_domain.erasures import Erasure
from tributary_storage.clickhouse.deliveries_of_others import DeliveriesOfOthers, SentClick
from tributary_storage.clickhouse.stand_ins import StandInRecords

_AT_ONCE: Final = 500


class HeirsOfErased:
    """Strips them. Every method may run twice, and raises `StorageUnavailableError` if ClickHouse does not answer.

    Args:
        records: Where revisions are.
        deliveries: What was sent.
    """

    def __init__(self, records: StandInRecords, deliveries: DeliveriesOfOthers) -> None:
        self._records = records
        self._deliveries = deliveries

    async def noted(self, erasure: Erasure) -> Erasure:
        """Returns the same with what others' conversions were sent with."""
        return replace(erasure, told_with=told_with(await self._revisions(erasure), erasure))

    async def strip(self, erasure: Erasure) -> dict[str, int]:
        """Strips what others had of an erasure's conversions; returns how much it was, by what it is."""
        revisions = await self._revisions(erasure)
        sent = await self._deliveries.strip(erasure, _clicks(revisions))
        named = named_by_others(revisions, erasure)
        left, ids = await self._left(named)
        alike: dict[frozenset[str], list[Place]] = defaultdict(list)
        for place in left:
            alike[named.told_again_by(place)].append(place)
        for told, places in alike.items():
            own = {name: random_id for name, random_id in ids.items() if name not in told}
            for start in range(0, len(places), _AT_ONCE):
                some = {place: left[place] for place in places[start : start + _AT_ONCE]}
                await self._records.strip_heirs(erasure, some, named.touches, own)
        return {"revisions_of_heirs": len(left), "deliveries_of_others": sent}

    async def left(self, erasure: Erasure) -> dict[str, int]:
        """Returns how much of others names an erasure's person, or touches or click ids of them, by what it is."""
        revisions = await self._revisions(erasure)
        sent = await self._deliveries.count(erasure, _clicks(revisions))
        named = named_by_others(revisions, erasure)
        return {"revisions_of_heirs": len(named.revisions), "deliveries_of_others": sent}

    async def without(self, erasure: Erasure, copies: Revisions) -> dict[Place, bytes]:
        """Returns those copies of published revisions that name an erasure's person, without that.

        Args:
            erasure: Of the person.
            copies: Of others' conversions, as they were published.
        """
        if not copies:
            return {}
        named = named_by_others({**await self._revisions(erasure), **copies}, erasure)
        left, _ = await self._left(named)
        return {place: content for place, content in left.items() if place in copies}

    async def _left(self, named: NamedByOthers) -> tuple[dict[Place, bytes], dict[str, str]]:
        """Returns what is left of revisions, and the random ids of the erased conversions."""
        if not named.revisions:
            return {}, {}
        erasure = named.erasure
        ids, hashes = await self._records.random_ids(erasure, erasure.ever_theirs, named.touches)
        return {place: named.left(place, ids, hashes) for place in named.revisions}, ids

    async def _revisions(self, erasure: Erasure) -> dict[Place, ConversionRevised]:
        relatives = sorted(set(erasure.relatives).difference(erasure.conversion_ids))
        read = await self._records.revisions(erasure.workspace, relatives)
        return {place: ConversionRevised.FromString(content) for place, content in read.items()}


def _clicks(revisions: Revisions) -> list[SentClick]:
    """Returns the clicks that others' conversions still have: theirs, whoever told them, too."""
    newest = newest_of(revisions)
    return [SentClick(name, click.family, click.value) for name, one in newest.items() for click in one.match.click_ids]
