"""Revisions of others that had the credit of somebody who is erased: their touches are named no more, the credit stays.

Credit is handed on: a lead's stage may have that of an order of the person, and be the first payment that renewals have
theirs from. The one rule: where the credit came from the person, through however many others, it names her no more; and
those that tell which touches were hers are stripped last, so that a run that stopped finds the others again.

What was the person's before it turned out to be another's was published under the person's id: that goes, too.

The newest revision of each has the credit of a stand-in by then (`stand_ins`). What was published before is kept, for
closed books and questions about past moments, and so is stripped in place: by the same random names as the stand-in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.anonymous import anonymous_heir
from tributary_domain.erasures import Erasure
from tributary_domain.ids import person_id
from tributary_storage.clickhouse.stand_ins import StandInRecords

_AT_ONCE: Final = 500

_Revisions = dict[tuple[str, int], ConversionRevised]


class HeirsOfErased:
    """Strips them. Every method may run twice, and raises `StorageUnavailableError` if ClickHouse does not answer.

    Args:
        records: Where revisions are.
    """

    def __init__(self, records: StandInRecords) -> None:
        self._records = records

    async def strip(self, erasure: Erasure) -> int:
        """Strips what others had of an erasure's conversions; returns how many revisions it was."""
        found, touches, formerly = await self._found(erasure)
        if not found:
            return 0
        keys = _keys(erasure)
        ids, hashes = await self._records.random_ids(erasure, erasure.conversion_ids, touches)
        places = list(found)
        for start in range(0, len(places), _AT_ONCE):
            some: Mapping[tuple[str, int], bytes] = {
                place: anonymous_heir(found[place], ids, hashes, keys, was_theirs=place in formerly).SerializeToString(
                    deterministic=True
                )
                for place in places[start : start + _AT_ONCE]
            }
            await self._records.strip_heirs(erasure, some, touches, ids)
        return len(found)

    async def left(self, erasure: Erasure) -> int:
        """Returns how many revisions of others name touches of an erasure's person."""
        return len((await self._found(erasure))[0])

    async def _found(self, erasure: Erasure) -> tuple[_Revisions, list[str], Collection[tuple[str, int]]]:
        """Returns the revisions that had the credit of an erasure's conversions, or took it away; and its touches.

        Those that had it from these conversions themselves come last, after those of conversions that were the person's
        before somebody told more of them, and are others' now: the places of these are returned, too.
        """
        gone = set(erasure.conversion_ids)
        read = await self._records.revisions(erasure.workspace, sorted(set(erasure.relatives) - gone))
        revisions = {place: ConversionRevised.FromString(content) for place, content in read.items()}
        heirs = {
            place: one
            for place, one in revisions.items()
            if not gone.isdisjoint(
                (
                    one.state.inherited_from.conversion_id,
                    one.state.merged_into.conversion_id,
                    one.state.merged_from.conversion_id,
                    one.state.superseded_by,
                )
            )
        }
        keys = _keys(erasure)
        hers = {place: one for place, one in revisions.items() if one.state.person_id in keys}
        inherited = [one for one in heirs.values() if one.state.inherited_from.conversion_id in gone]
        inherited += hers.values()
        touches = {touch.event_id for one in inherited for touch in one.state.touches}
        newest = {name: revisions[name, revision] for name, revision in sorted(revisions)}
        for one in newest.values():  # what others earned by themselves and the person had from them is theirs
            if not one.state.inherited_from.conversion_id:
                touches.difference_update(touch.event_id for touch in one.state.touches)
        once = {name for name, _ in hers}
        formerly = {
            place
            for place, one in revisions.items()
            if place in hers or (place[0] in once and one.HasField("match") and one is not newest[place[0]])
        }
        last = hers | heirs
        others = {
            place: one
            for place, one in revisions.items()
            if place not in last and (place in formerly or touches.intersection(_touches_of(one)))
        }
        return others | last, sorted(touches), formerly


def _keys(erasure: Erasure) -> frozenset[str]:
    """Returns by what ids revisions name an erasure's person."""
    return frozenset(person_id(erasure.workspace, token) for token in erasure.tokens)


def _touches_of(revised: ConversionRevised) -> Iterator[str]:
    """Yields the touches that a revision names."""
    yield from (touch.event_id for touch in revised.state.touches)
    yield from (delta.touch_event_id for delta in revised.deltas)
