"""Revisions of others that had the credit of somebody who is erased: their touches are named no more, the credit stays.

Credit is handed on: a lead's stage may have that of an order of the person, and be the first payment that renewals have
theirs from. The one rule: where the credit came from the person, through however many others, it names her no more; and
those that tell which touches were hers are stripped last, so that a run that stopped finds the others again.

What was the person's before it turned out to be another's was published under the person's id: that goes, too. So does
what the person told of another's conversion, as far as destinations could recognise somebody by it.

The newest revision of each has the credit of a stand-in by then (`stand_ins`). What was published before is kept, for
closed books and questions about past moments, and so is stripped in place: by the same random names as the stand-in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.anonymous import anonymous_heir, match_without
from tributary_domain.erasures import Erasure
from tributary_domain.ids import person_id
from tributary_domain.sealing import SealError, key_name, name_of
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
        found, touches, formerly, told = await self._found(erasure)
        if not found:
            return 0
        keys = _keys(erasure)
        ids, hashes = await self._records.random_ids(erasure, erasure.conversion_ids, touches)

        def stripped(place: tuple[str, int]) -> bytes:
            after = anonymous_heir(found[place], ids, hashes, keys, was_theirs=place in formerly)
            if place in told and after.HasField("match"):
                after.match.CopyFrom(match_without(after.match, told[place].match, keys))
            return after.SerializeToString(deterministic=True)

        places = list(found)
        for start in range(0, len(places), _AT_ONCE):
            some: Mapping[tuple[str, int], bytes] = {
                place: stripped(place) for place in places[start : start + _AT_ONCE]
            }
            await self._records.strip_heirs(erasure, some, touches, ids)
        return len(found)

    async def left(self, erasure: Erasure) -> int:
        """Returns how many revisions of others name an erasure's person, or touches or click ids of them."""
        return len((await self._found(erasure))[0])

    async def _found(self, erasure: Erasure) -> tuple[_Revisions, list[str], Collection[tuple[str, int]], _Revisions]:
        """Returns the revisions that had the credit of an erasure's conversions, or took it away; and its touches.

        Those that had it from these conversions themselves come last, after those of conversions that were the person's
        before somebody told more of them, and are others' now: the places of these are returned, too; and what
        conversions are now, by the places of their revisions that the person had told as well.
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
        touches |= set(erasure.touches).intersection(one for own in revisions.values() for one in _touches_of(own))
        once = {name for name, _ in hers}
        formerly = {
            place
            for place, one in revisions.items()
            if place in hers or (place[0] in once and one.HasField("match") and one is not newest[place[0]])
        }
        told = {
            place: newest[place[0]]
            for place, one in revisions.items()
            if one is not newest[place[0]] and _may_tell_of(one, newest[place[0]], erasure)
        }
        last = hers | heirs
        others = {
            place: one
            for place, one in revisions.items()
            if place not in last and (place in formerly or place in told or touches.intersection(_touches_of(one)))
        }
        return others | last, sorted(touches), formerly, told


def _keys(erasure: Erasure) -> frozenset[str]:
    """Returns by what ids revisions name an erasure's person."""
    return frozenset(person_id(erasure.workspace, token) for token in erasure.tokens)


def _may_tell_of(one: ConversionRevised, now: ConversionRevised, erasure: Erasure) -> bool:
    """Tells whether destinations could recognise an erased person by what was published of another's conversion.

    By its people, or its keys, the person was among those who told it; or was taken for its person once, and it is not
    recognised by the same any more.

    Args:
        one: A revision.
        now: The newest one, published without what the person told: who comes under their names since, is new.
        erasure: Of the person.
    """
    keys = _keys(erasure)
    if any(person in keys for person in one.match.person_ids):
        return True
    names = {key_name(erasure.workspace, token) for token in erasure.tokens}
    held = now.match.sealed_match_keys
    if any(_name(sealed) in names for sealed in one.match.sealed_match_keys if sealed not in held):
        return True
    is_joined = one.state.conversion_id in erasure.joined and one.HasField("match")
    return is_joined and match_without(one.match, now.match, keys) != one.match


def _name(sealed: bytes) -> bytes:
    try:
        return name_of(sealed)
    except SealError:
        return b""


def _touches_of(revised: ConversionRevised) -> Iterator[str]:
    """Yields the touches that a revision names."""
    yield from (touch.event_id for touch in revised.state.touches)
    yield from (delta.touch_event_id for delta in revised.deltas)
