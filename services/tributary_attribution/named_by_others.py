"""What was published of others' conversions and names somebody who is erased, and what is left of that. Pure.

Credit is handed on: a lead's stage may have that of an order of the person, and be the first payment that renewals have
theirs from. The one rule: where the credit came from the person, through however many others, it names her no more.

What was the person's before it turned out to be another's was published under the person's id: that goes, too. So does
what the person told of another's conversion, as far as destinations could recognise somebody by it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_attribution.anonymous import anonymous_heir, match_without
from tributary_domain.erasures import Erasure
from tributary_domain.ids import person_id
from tributary_domain.sealing import SealError, key_name, name_of

Place = tuple[str, int]
"""Of a revision: conversion id and number."""

Revisions = Mapping[Place, ConversionRevised]


@dataclass(frozen=True, slots=True)
class NamedByOthers:
    """The revisions of others' conversions that name who is erased."""

    erasure: Erasure
    revisions: Revisions
    """Those that had the credit of the erased conversions themselves come last, after those of conversions that were
    the person's before somebody told more of them, and are others' now."""
    touches: list[str]
    """References of the person's touches that they name."""
    formerly: Collection[Place]
    """Of conversions that were the person's once."""
    told: Revisions
    """What conversions are now, by the places of their revisions that the person had told as well."""

    def told_again_by(self, place: Place) -> frozenset[str]:
        """Returns the conversions that one of them may name as somebody new's: it has no touch of the person."""
        told = self.erasure.told_again_by(place[1])
        if told and any(touch.event_id in self.touches for touch in self.revisions[place].state.touches):
            return frozenset()
        return told

    def left(self, place: Place, ids: Mapping[str, str], hashes: Mapping[str, int]) -> bytes:
        """Returns what is left of one of them.

        Args:
            place: Which.
            ids: Random ids by that of an erased conversion.
            hashes: Random hashes by reference of the erased person's touches.
        """
        keys, told = _keys(self.erasure), self.told_again_by(place)
        if told:
            ids = {name: own for name, own in ids.items() if name not in told}
        after = anonymous_heir(self.revisions[place], ids, hashes, keys, was_theirs=place in self.formerly)
        if place in self.told and after.HasField("match"):
            after.match.CopyFrom(match_without(after.match, self.told[place].match, keys))
        return after.SerializeToString(deterministic=True)


def named_by_others(revisions: Revisions, erasure: Erasure) -> NamedByOthers:
    """Returns those revisions that had the credit of an erasure's conversions, or took it away, or name its person.

    Args:
        revisions: All of conversions that are related to the erased ones.
        erasure: Of the person.
    """
    gone = frozenset(erasure.ever_theirs)
    heirs: dict[Place, ConversionRevised] = {}
    inherited: list[ConversionRevised] = []
    for place, one in revisions.items():
        named = gone.intersection(_others_of(one))
        if named and (named := named - erasure.told_again_by(place[1])):
            heirs[place] = one
            if one.state.inherited_from.conversion_id in named:
                inherited.append(one)
    keys = _keys(erasure)
    hers = {place: one for place, one in revisions.items() if one.state.person_id in keys}
    inherited += hers.values()
    touches = {touch.event_id for one in inherited for touch in one.state.touches}
    newest = newest_of(revisions)
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
    return NamedByOthers(erasure, others | last, sorted(touches), formerly, told)


def newest_of(revisions: Revisions) -> dict[str, ConversionRevised]:
    """Returns the newest of some revisions, by conversion id."""
    return {name: revisions[name, revision] for name, revision in sorted(revisions)}


def told_with(revisions: Revisions, erasure: Erasure) -> tuple[tuple[str, int], ...]:
    """Returns `Erasure.told_with`: with what is known of it already.

    Args:
        revisions: As of `named_by_others`, before anything is taken out of them.
        erasure: Of the person.
    """
    gone, keys, names = set(erasure.ever_theirs), _keys(erasure), _key_names(erasure)
    found = set(erasure.told_with)
    for (name, revision), one in revisions.items():
        match = one.match
        sealed = (*match.sealed_match_keys, match.sealed_device_keys, *(other.sealed for other in match.person_keys))
        plain = one.state.merged_from.conversion_id
        was_theirs = plain in gone and plain not in erasure.told_again_by(revision)
        has_keys = was_theirs or any(_name(own) in names for own in sealed)
        if has_keys or name in erasure.joined or not keys.isdisjoint((one.state.person_id, *match.person_ids)):
            found |= {(name, 0), (name, revision)} if has_keys else {(name, 0)}
    return tuple(sorted(found))


def _keys(erasure: Erasure) -> frozenset[str]:
    """Returns by what ids revisions name an erasure's person."""
    return frozenset(person_id(erasure.workspace, token) for token in erasure.tokens)


def _key_names(erasure: Erasure) -> frozenset[bytes]:
    """Returns by what names match keys of an erasure's person were sealed."""
    return frozenset(key_name(erasure.workspace, token) for token in erasure.tokens)


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
    names, held = _key_names(erasure), now.match.sealed_match_keys
    if any(_name(sealed) in names for sealed in one.match.sealed_match_keys if sealed not in held):
        return True
    is_joined = one.state.conversion_id in erasure.joined and one.HasField("match")
    return is_joined and match_without(one.match, now.match, keys) != one.match


def _name(sealed: bytes) -> bytes:
    try:
        return name_of(sealed)
    except SealError:
        return b""


def _others_of(revised: ConversionRevised) -> set[str]:
    """Returns which conversions a revision has its credit from, or counts in place of, or not for."""
    state = revised.state
    same = (state.merged_into.conversion_id, state.merged_from.conversion_id)
    return {state.inherited_from.conversion_id, *same, state.superseded_by}


def _touches_of(revised: ConversionRevised) -> Iterator[str]:
    """Yields the touches that a revision names."""
    yield from (touch.event_id for touch in revised.state.touches)
    yield from (delta.touch_event_id for delta in revised.deltas)
